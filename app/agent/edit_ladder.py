"""Where an edit applies: exact first, then four careful steps, never by similarity.

Every rung must match exactly once. The first allows any substring; the later ones compare whole
lines (rung 2 differs from the text in line ends only). Nothing here normalises the file: a match
is a span of the original text, and only that span is replaced.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Rung = Literal["exact", "line ends", "trailing space", "indentation", "escapes"]

_PUNCTUATION = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u00b4", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u205f\u3000", " "),
    }
)
_ESCAPE = re.compile(r"\\(\\|n|\")")
_OMISSION = re.compile(
    r"^\W*(?:\.{3}|…)?\s*\(?(?:the\s+)?(?:(?:rest|remainder)\s+of\s+(?:the\s+|your\s+)?"
    r"(?:code|file|function|method|methods|class|content|implementation|module|script)"
    r"|(?:existing|unchanged|remaining|previous|other|same)\s+"
    r"(?:code|methods?|functions?|content|lines?|implementation|imports?|logic)"
    r"|(?:code|methods?|functions?|content|lines?|implementation)\s+(?:here\s+)?"
    r"(?:unchanged|remains?(?:\s+the\s+same)?|omitted))\b[^=;{}]{0,60}$",
    re.IGNORECASE,
)

_COMMENT_STARTS = ("#", "//", "/*", "*", "--", "<!--", ";", "...", "…", "(", "[", "%")


class NoMatch(Exception):
    """The edit does not apply; `places` are 1-based line numbers when it applies too often."""

    def __init__(self, reason: str, places: tuple[int, ...] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.places = places


@dataclass(frozen=True, slots=True)
class Edit:
    """The new text and how it came about. `spans` are (start, end) in the *old* text."""

    text: str
    rung: Rung
    spans: tuple[tuple[int, int], ...]
    replacement: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    end: int  # without the line end
    after: int  # with it
    body: str


def omission_in(text: str) -> str:
    """The first line that stands for code the model left out ("… rest of code …"), or ""."""
    for line in text.split("\n"):
        stripped = line.strip()
        looks_like_comment = stripped.startswith(_COMMENT_STARTS)
        if looks_like_comment and _OMISSION.match(stripped.lstrip('#/*-<!;.…([%" ')):
            return stripped
    return ""


def apply(text: str, old: str, new: str, line_end: str = "\n", replace_all: bool = False) -> Edit:
    """The text after one edit.

    Args:
        text: the whole file, decoded, line ends as they are.
        line_end: what new lines in `new` become.

    Raises:
        NoMatch: nothing, or more than one place, matches; or a guard refused.
    """
    if not old:
        raise NoMatch("old_string is empty")
    if old == new:
        raise NoMatch("old_string and new_string are the same")
    hole = omission_in(new)
    if hole and hole not in old:
        raise NoMatch(f'new_string leaves code out ("{hole[:80]}"); write the whole text')
    for rung in (_exact, _line_ends, _trailing_space, _indentation, _escapes):
        found = rung(text, old, new, line_end, replace_all)
        if found is not None:
            return _checked(text, old, found)
    raise NoMatch("old_string was not found")


def _checked(text: str, old: str, edit: Edit) -> Edit:
    if edit.text == text:
        raise NoMatch("the edit would change nothing")
    for start, end in edit.spans:
        if len(text[start:end].strip()) > 2 * len(old.strip()) + 2 * old.count("\n"):
            raise NoMatch("the place that matches is far longer than old_string")
    return edit


def _exact(text: str, old: str, new: str, line_end: str, replace_all: bool) -> Edit | None:
    spans = _occurrences(text, old)
    if not spans:
        return None
    _refuse_many(text, spans, replace_all)
    if "\r\n" not in old:
        new = _with_line_end(new, line_end if "\n" not in old else "\n")
    return _replaced(text, "exact", spans, new)


def _line_ends(text: str, old: str, new: str, line_end: str, replace_all: bool) -> Edit | None:
    old = old.removeprefix("\ufeff")
    flat, origin = _flatten(text)
    wanted = old.replace("\r\n", "\n")
    spans = _occurrences(flat, wanted)
    if not spans or not wanted:
        return None
    real = [(origin[start], origin[end]) for start, end in spans]
    _refuse_many(text, real, replace_all)
    fresh = _with_line_end(new.removeprefix("\ufeff"), line_end)
    return _replaced(text, "line ends", real, fresh)


def _trailing_space(text: str, old: str, new: str, line_end: str, replace_all: bool) -> Edit | None:
    def same(have: str, want: str) -> bool:
        return _folded(have) == _folded(want)

    spans = _whole_lines(text, old, same)
    if not spans:
        return None
    _refuse_many(text, spans, replace_all)
    note = "Matched without looking at trailing spaces and typographic punctuation."
    return _replaced(text, "trailing space", spans, _with_line_end(new, line_end), note)


def _indentation(text: str, old: str, new: str, line_end: str, replace_all: bool) -> Edit | None:
    wanted = _old_lines(old)
    if not any(line.strip() for line in wanted):
        return None
    lines = _lines(text)
    hits: list[tuple[int, int, str, bool]] = []
    for at in range(len(lines) - len(wanted) + 1):
        shift = _uniform_shift([line.body for line in lines[at : at + len(wanted)]], wanted)
        if shift is not None:
            start, end = _span(lines, at, len(wanted), old)
            hits.append((start, end, *shift))
    if not hits:
        return None
    spans = [(start, end) for start, end, _, _ in hits]
    _refuse_many(text, spans, False)  # each place may need another shift: never all at once
    _, _, delta, deeper = hits[0]
    fresh = _shifted(new, delta, deeper)
    if fresh is None:
        return None
    note = f"The indentation of old_string was off by {delta!r}; new_string was shifted to fit."
    return _replaced(text, "indentation", spans, _with_line_end(fresh, line_end), note)


def _escapes(text: str, old: str, new: str, line_end: str, replace_all: bool) -> Edit | None:
    plain = _unescaped(old)
    if plain == old or not plain.strip():
        return None
    fresh = _unescaped(new)
    for rung in (_exact, _line_ends):
        found = rung(text, plain, fresh, line_end, False)
        if found is not None:
            note = "One level of backslash escapes was taken off both strings."
            return Edit(found.text, "escapes", found.spans, found.replacement, note)
    return None


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(lambda found: "\n" if found[1] == "n" else found[1], text)


def _occurrences(text: str, part: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    at = text.find(part) if part else -1
    while at >= 0:
        found.append((at, at + len(part)))
        at = text.find(part, at + len(part))
    return found


def _refuse_many(text: str, spans: list[tuple[int, int]], replace_all: bool) -> None:
    if len(spans) > 1 and not replace_all:
        places = tuple(text.count("\n", 0, start) + 1 for start, _ in spans)
        raise NoMatch(f"old_string matches {len(spans)} places", places)


def _replaced(
    text: str, rung: Rung, spans: list[tuple[int, int]], new: str, note: str = ""
) -> Edit:
    out: list[str] = []
    at = 0
    for start, end in spans:
        out += (text[at:start], new)
        at = end
    out.append(text[at:])
    return Edit("".join(out), rung, tuple(spans), new, note)


def _with_line_end(text: str, line_end: str) -> str:
    plain = text.replace("\r\n", "\n")
    return plain.replace("\n", "\r\n") if line_end == "\r\n" else text


def _flatten(text: str) -> tuple[str, list[int]]:
    """The text with "\\n" line ends, and for each of its offsets the offset in the original."""
    origin: list[int] = []
    out: list[str] = []
    at = 0
    for piece in re.split(r"(\r\n)", text):
        if piece == "\r\n":
            out.append("\n")
            origin.append(at)
        else:
            out.append(piece)
            origin.extend(range(at, at + len(piece)))
        at += len(piece)
    origin.append(at)
    return "".join(out), origin


def _lines(text: str) -> list[_Line]:
    found: list[_Line] = []
    at = 0
    while at < len(text):
        after = text.find("\n", at)
        after = len(text) if after < 0 else after + 1
        body = text[at:after].removesuffix("\n").removesuffix("\r")
        found.append(_Line(at, at + len(body), after, body))
        at = after
    return found


def _old_lines(old: str) -> list[str]:
    return old.replace("\r\n", "\n").removesuffix("\n").split("\n")


def _span(lines: list[_Line], at: int, count: int, old: str) -> tuple[int, int]:
    last = lines[at + count - 1]
    return lines[at].start, last.after if old.endswith("\n") else last.end


def _whole_lines(text: str, old: str, same: Callable[[str, str], bool]) -> list[tuple[int, int]]:
    wanted = _old_lines(old)
    if not any(line.strip() for line in wanted):
        return []
    lines = _lines(text)
    found: list[tuple[int, int]] = []
    at = 0
    while at <= len(lines) - len(wanted):
        if all(same(lines[at + i].body, line) for i, line in enumerate(wanted)):
            found.append(_span(lines, at, len(wanted), old))
            at += len(wanted)
        else:
            at += 1
    return found


def _folded(line: str) -> str:
    return line.translate(_PUNCTUATION).rstrip()


def _indent_of(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


def _uniform_shift(have: list[str], want: list[str]) -> tuple[str, bool] | None:
    """The one white-space prefix all non-blank lines differ by, and whether the file is deeper."""
    shift: tuple[str, bool] | None = None
    for mine, theirs in zip(have, want, strict=True):
        mine, theirs = _folded(mine), _folded(theirs)
        if not mine or not theirs:
            if mine != theirs:
                return None
            continue
        a, b = _indent_of(mine), _indent_of(theirs)
        if mine[len(a) :] != theirs[len(b) :] or a == b:
            return None
        if a.endswith(b):
            here = (a[: len(a) - len(b)], True)
        elif b.endswith(a):
            here = (b[: len(b) - len(a)], False)
        else:
            return None
        if shift is not None and shift != here:
            return None
        shift = here
    return shift


def _shifted(new: str, delta: str, deeper: bool) -> str | None:
    out: list[str] = []
    for line in new.split("\n"):
        if not line.strip():
            out.append(line)
        elif deeper:
            out.append(delta + line)
        elif line.startswith(delta):
            out.append(line[len(delta) :])
        else:
            return None
    return "\n".join(out)
