"""Cutting a monstrous text into chapters, without looking at its lines one by one.

Pure. A megabyte of short lines has half a million of them; walking over them all would hold up the
window. A chapter is found by searching from its far end, and only where the reader comes is it cut
further (`sections`). Chapters end at a blank line outside fences where there is one. A fence longer
than a chapter becomes slices of code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_CHAPTER_CHARS = 48_000
_CHAPTER_LINES = 2_000
_MONSTROUS_CHARS = 600_000
_MONSTROUS_LINES = 12_000
MOST_FENCES = 20_000
_LINES = re.compile(rf"(?:[^\n]*+\n){{{_CHAPTER_LINES}}}")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_TABLE_RULE = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_FRESH_START = re.compile(r"[A-Za-z#\"'(_`|À-￿]")
_TRIES = 40


@dataclass(frozen=True, slots=True)
class Chapter:
    """A slice of Markdown, or (`info` not None) of one long fence, from `first_line` on."""

    text: str
    info: str | None = None
    first_line: int = 0
    is_last: bool = True


def is_monstrous(text: str) -> bool:
    """Whether a text is to be cut into chapters first."""
    return len(text) > _MONSTROUS_CHARS or text.count("\n") > _MONSTROUS_LINES


def is_fence_storm(text: str) -> bool:
    """Whether a text has more code fences than can be told apart in time."""
    return text.count("```") + text.count("~~~") > MOST_FENCES


def chapters(text: str) -> Iterator[Chapter]:
    """The chapters, which together are the text (heads of cut tables repeated)."""
    start, head = 0, ""
    while start < len(text):
        end = _far_end(text, start)
        opened = open_fence(text, start, end)
        if opened is not None and opened.start() - start > (end - start) // 2:
            end, opened = opened.start(), None
        if opened is not None:
            if opened.start() > start:
                yield Chapter(head + text[start : opened.start()])
            closing = _closing(text, opened)
            body = text[opened.end() + 1 : closing.start() if closing else len(text)]
            yield from code_chapters(body.removesuffix("\n"), opened[2])
            start, head = (closing.end() + 1 if closing else len(text)), ""
            continue
        if end < len(text):
            end = _fresh_start(text, start, end) or end
        yield Chapter(head + text[start:end])
        head = _table_head(head + text[start:end]) if text[end - 2 : end] != "\n\n" else ""
        start = end


def _far_end(text: str, start: int) -> int:
    """The end of a line about a chapter further on."""
    match = _LINES.match(text, start, start + _CHAPTER_CHARS)
    if match is not None:
        return match.end()
    if start + _CHAPTER_CHARS >= len(text):
        return len(text)
    return text.rfind("\n", start, start + _CHAPTER_CHARS) + 1 or start + _CHAPTER_CHARS


def open_fence(text: str, start: int, end: int) -> re.Match[str] | None:
    """The first line of the fence that is open at `end`; at `start` none is."""
    opened: re.Match[str] | None = None
    if text.find("```", start, end) < 0 and text.find("~~~", start, end) < 0:
        return None
    for line in _FENCE.finditer(text, start, end):
        marker, rest = line[1], line[2]
        if opened is None:
            if not (marker[0] == "`" and "`" in rest):
                opened = line
        elif marker[0] == opened[1][0] and len(marker) >= len(opened[1]) and not rest.strip():
            opened = None
    return opened


def _closing(text: str, opened: re.Match[str]) -> re.Match[str] | None:
    char, length = opened[1][0], len(opened[1])
    pattern = re.compile(rf"^ {{0,3}}{re.escape(char)}{{{length},}}[ \t]*$", re.MULTILINE)
    return pattern.search(text, opened.end())


def code_chapters(code: str, info: str) -> Iterator[Chapter]:
    """One long code block in slices."""
    start, line = 0, 0
    while start < len(code) or start == 0:
        end = _far_end(code, start)
        last = end >= len(code)
        part = code[start:end]
        yield Chapter(part if last else part.removesuffix("\n"), info, line, last)
        line += part.count("\n")
        start = max(end, 1)


def _fresh_start(text: str, start: int, end: int) -> int | None:
    """The last place near `end` where a new block surely begins."""
    at = end
    for _try in range(_TRIES):
        at = text.rfind("\n\n", start, at)
        if at <= start:
            return None
        if _FRESH_START.match(text, at + 2):
            return at + 2
    return None


def _table_head(text: str) -> str:
    """The two first lines of the table that is open at the end of `text`."""
    at = text.rfind("\n\n")
    lines = text[at + 2 if at >= 0 else 0 :][:4_000].split("\n", 2)
    if len(lines) < 3 or "|" not in lines[0] or not _TABLE_RULE.fullmatch(lines[1]):
        return ""
    return f"{lines[0]}\n{lines[1]}\n"
