"""The rows of a difference, for one column and for two. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from app.agent.hunks import Hunk
from app.agent.review import FileReview, Group
from app.agent.types import visible

RowKind = Literal["gap", "head", "same", "removed", "added", "blank"]

CONTEXT_LINES = 3
MOST_ROWS = 6_000
_LONGEST_LINE = 2_000
_MOST_MARKED = 400  # characters; longer lines are not compared word by word
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_OUTLINE = re.compile(rb"^[A-Za-z_$@].*\S")


@dataclass(frozen=True, slots=True)
class Row:
    """One line on screen. `old` and `new` are its 1-based numbers in the two files, 0 for none;
    `group` is the change it belongs to; `marks` are the stretches that really differ."""

    kind: RowKind
    text: str = ""
    old: int = 0
    new: int = 0
    group: int = -1
    marks: tuple[tuple[int, int], ...] = field(default=())


BLANK = Row("blank")
Pair = tuple[Row, Row]


def unified_rows(review: FileReview) -> list[Row]:
    """One column: removed lines above added ones."""
    rows: list[Row] = []
    for part in _parts(review):
        if isinstance(part, Row):
            rows.append(part)
            continue
        removed, added = part
        rows += [*removed, *added]
    return _capped(rows)


def split_rows(review: FileReview) -> tuple[list[Row], list[Row]]:
    """Two columns of equal length: the old file and the new one."""
    left: list[Row] = []
    right: list[Row] = []
    for part in _parts(review):
        if isinstance(part, Row):
            left.append(part)
            right.append(replace(part, text="") if part.kind == "head" else part)
            continue
        removed, added = part
        height = max(len(removed), len(added))
        group = (removed or added)[0].group
        filler = replace(BLANK, group=group)
        left += [*removed, *[filler] * (height - len(removed))]
        right += [*added, *[filler] * (height - len(added))]
    return _capped(left), _capped(right)


def _parts(review: FileReview) -> Iterator[Row | tuple[list[Row], list[Row]]]:
    """Rows that are alike in both files, and blocks of removed and added ones."""
    new = (review.after or b"").splitlines(keepends=True)
    shown_until = 0
    for number, group in enumerate(review.groups):
        first = group.hunks[0]
        start = max(shown_until, first.new_start - CONTEXT_LINES)
        yield Row("gap", group=number)
        yield Row("head", _title(group, new, review), group=number)
        shift = first.old_start - first.new_start
        yield from _same(new, start, first.new_start, shift, number)
        for hunk, following in zip(group.hunks, [*group.hunks[1:], None], strict=True):
            yield _block(hunk, number)
            shift = hunk.old_end - hunk.new_end
            if following is not None:
                yield from _same(new, hunk.new_end, following.new_start, shift, number)
        last = group.hunks[-1]
        rest = min(len(new), last.new_end + CONTEXT_LINES)
        if number + 1 < len(review.groups):
            rest = min(rest, review.groups[number + 1].hunks[0].new_start)
        yield from _same(new, last.new_end, rest, shift, number)
        shown_until = rest


def _same(new: Sequence[bytes], start: int, end: int, shift: int, group: int) -> Iterator[Row]:
    for at in range(start, end):
        yield Row("same", _text(new[at]), at + shift + 1, at + 1, group)


def _block(hunk: Hunk, group: int) -> tuple[list[Row], list[Row]]:
    with_ends = [line.rstrip(b"\r\n") for line in hunk.removed] == [
        line.rstrip(b"\r\n") for line in hunk.added
    ]
    removed = [
        Row("removed", _text(line, with_ends), old=hunk.old_start + at + 1, group=group)
        for at, line in enumerate(hunk.removed)
    ]
    added = [
        Row("added", _text(line, with_ends), new=hunk.new_start + at + 1, group=group)
        for at, line in enumerate(hunk.added)
    ]
    if len(removed) == len(added):
        for at, (one, other) in enumerate(zip(removed, added, strict=True)):
            gone, come = _differences(one.text, other.text)
            removed[at], added[at] = replace(one, marks=gone), replace(other, marks=come)
    return removed, added


def _differences(
    old: str, new: str
) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """Stretches (start, length) of two versions of a line that differ; () where most does."""
    if max(len(old), len(new)) > _MOST_MARKED:
        return (), ()
    words = _WORD.findall(old), _WORD.findall(new)
    matcher = difflib.SequenceMatcher(None, *words, autojunk=False)
    if matcher.ratio() < 0.4:
        return (), ()
    places = [_starts(side) for side in words]
    gone: list[tuple[int, int]] = []
    come: list[tuple[int, int]] = []
    for tag, i, j, k, m in matcher.get_opcodes():
        if tag != "equal":
            gone.append((places[0][i], places[0][j] - places[0][i]))
            come.append((places[1][k], places[1][m] - places[1][k]))
    return tuple(one for one in gone if one[1]), tuple(one for one in come if one[1])


def _starts(words: Sequence[str]) -> list[int]:
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word))
    return starts


def _title(group: Group, new: Sequence[bytes], review: FileReview) -> str:
    """Where it is: line numbers, and the function or section around it."""
    if review.before is None:
        return "New file"
    if review.after is None:
        return "Deleted file"
    first, last = group.hunks[0].new_start + 1, max(group.hunks[-1].new_end, 1)
    place = f"Line {first}" if last <= first else f"Lines {first}–{last}"
    for at in range(min(first, len(new)) - 1, -1, -1):
        if _OUTLINE.match(new[at]):
            return f"{place}  ·  {_text(new[at]).strip()[:80]}"
    return place


def _text(line: bytes, with_end: bool = False) -> str:
    """A line as it is drawn: nothing in it is hidden or turns the direction of the text."""
    bare = line.rstrip(b"\r\n")
    text = visible(bare.decode("utf-8", "replace"))
    if len(text) > _LONGEST_LINE:
        text = f"{text[:_LONGEST_LINE]} … (+{len(text) - _LONGEST_LINE:,})"
    if with_end:
        end = line[len(bare) :]
        text += {b"\n": "␊", b"\r\n": "␍␊", b"\r": "␍"}.get(end, "  (no line end)")
    return text


def _capped(rows: list[Row]) -> list[Row]:
    if len(rows) <= MOST_ROWS:
        return rows
    left = len(rows) - MOST_ROWS
    return [*rows[:MOST_ROWS], Row("gap"), Row("head", f"… {left:,} more lines")]
