"""Cutting a long message into slices that are parsed only when they come near the screen.

Pure. A slice normally ends at a blank line outside fences, before a line that cannot continue a
list: such a line always starts a new block, so slices can be read apart and in any order. What
offers no such place (a monstrous list, table or fence) is cut by force, so that no slice can hold
up the window: a table takes its head along, a fence becomes code without any parsing. A monstrous
text becomes chapters first, which are slices that are cut again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from app.ui.transcript.blocks import GIANT_CHARS, closes_fence, fence_language, opened_fence
from app.ui.transcript.chapters import (
    Chapter,
    chapters,
    code_chapters,
    is_fence_storm,
    is_monstrous,
)

_SECTION_CHARS = 3_000
_SECTION_LINES = 150
MOST_CHARS = 6_000
_MOST_LINES = 200  # of a list or table without a blank line
_MOST_INDENTED_LINES = 300
_GIANT_LINES = 300
_FRESH_START = re.compile(r"[A-Za-z#\"'(*_`|À-￿]")
_LIST_START = re.compile(r"[*+-][ \t]|\d{1,9}[.)][ \t]")
_TABLE_RULE = re.compile(r"^ {0,3}\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")


@dataclass(frozen=True, slots=True)
class Section:
    """A slice of Markdown, or of one long fence (`is_code`, from line `first_line` on)."""

    text: str
    is_code: bool = False
    language: str = ""
    first_line: int = 0
    is_last: bool = True


def sections(text: str) -> list[Section]:
    """The slices, which together are the text (heads of cut tables repeated)."""
    if not text.strip():
        return []
    if is_fence_storm(text):
        return [_from_chapter(one) for one in code_chapters(text, "text")]
    if is_monstrous(text):
        return [_from_chapter(one) for one in chapters(text)]
    if len(text) <= GIANT_CHARS and text.count("\n") <= _GIANT_LINES:
        return [Section(text)]
    return _Cutter().cut(text)


def _from_chapter(one: Chapter) -> Section:
    if one.info is None:
        return Section(one.text)
    return Section(one.text, True, fence_language(f"```{one.info}"), one.first_line, one.is_last)


class _Cutter:
    def __init__(self) -> None:
        self._found: list[Section] = []
        self._lines: list[str] = []
        self._chars = 0
        self._fence = ""
        self._language = ""
        self._code: list[str] | None = None  # lines of the open fence
        self._code_from = 0  # its place in _lines
        self._head = ""
        self._blank_before = False

    def cut(self, text: str) -> list[Section]:
        for line in lines_of(text):
            bare = line.rstrip("\n")
            if self._fence:
                self._in_fence(line, bare)
            elif not bare and self._chars < MOST_CHARS and len(self._lines) < _MOST_LINES:
                self._lines.append(line)
                self._chars += 1
                self._head = ""
                self._blank_before = True
            else:
                self._in_text(line, bare)
        if self._code is not None and self._is_long_fence():
            self._flush_fence()
        self._flush()
        return self._found

    def _in_text(self, line: str, bare: str) -> None:
        may_cut = (
            self._blank_before
            and (self._chars >= _SECTION_CHARS or len(self._lines) >= _SECTION_LINES)
            and _FRESH_START.match(line)
            and not _LIST_START.match(line)
        )
        if may_cut:
            self._flush()
            self._head = ""
        elif (
            self._chars >= MOST_CHARS
            or len(self._lines) >= _MOST_INDENTED_LINES
            or (len(self._lines) >= _MOST_LINES and (not bare or not line[:1].isspace()))
        ):
            head = self._head if "|" in line else ""
            self._flush()
            if head:
                self._add(head)
        if len(line) <= MOST_CHARS:
            self._add(line)
        else:
            for piece in _pieces(line):
                self._add(piece)
                if len(piece) >= MOST_CHARS:
                    self._flush()
        if "|" in bare and _TABLE_RULE.match(bare) and len(self._lines) > 1:
            self._head = self._lines[-2] + line if len(line) < 2_000 else ""
        elif not bare.strip():
            self._head = ""
        self._blank_before = not bare.strip()
        opened = opened_fence(bare) if "```" in bare or "~~~" in bare else ""
        if opened:
            self._fence, self._language = opened, fence_language(bare)
            self._code, self._code_from = [], len(self._lines) - 1

    def _in_fence(self, line: str, bare: str) -> None:
        assert self._code is not None
        self._add(line)
        self._blank_before = False
        if not closes_fence(bare, self._fence[0], len(self._fence)):
            self._code.append(bare)
            return
        if self._is_long_fence():
            self._flush_fence()
        self._fence, self._code = "", None

    def _is_long_fence(self) -> bool:
        return sum(map(len, self._lines[self._code_from :])) > MOST_CHARS

    def _flush_fence(self) -> None:
        """The text before the fence as Markdown, the fence itself as ready lines."""
        assert self._code is not None
        code = self._code
        del self._lines[self._code_from :]
        self._flush()
        step = 500
        for first in range(0, len(code), step):
            part = "\n".join(code[first : first + step])
            last = first + step >= len(code)
            self._found.append(Section(part, True, self._language, first, last))
        self._fence, self._code = "", None

    def _add(self, line: str) -> None:
        self._lines.append(line)
        self._chars += len(line)

    def _flush(self) -> None:
        if self._lines:
            self._found.append(Section("".join(self._lines)))
        self._lines, self._chars = [], 0


def lines_of(text: str) -> Iterator[str]:
    """Lines with their ends; only a line feed ends one, as in CommonMark."""
    start = 0
    while start < len(text):
        end = text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end


def _pieces(line: str) -> list[str]:
    """A monstrous line in slices."""
    return [line[at : at + MOST_CHARS] for at in range(0, len(line), MOST_CHARS)]
