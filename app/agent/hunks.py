"""The changes of one file hunk by hunk, for Keep and Undo in a review."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from difflib import SequenceMatcher

_MAX_LINES = 20_000


@dataclass(frozen=True, slots=True)
class Hunk:
    """Lines `old_start … old_end` (0-based, end excluded) became `new_start … new_end`."""

    number: int
    old_start: int
    old_end: int
    new_start: int
    new_end: int
    removed: tuple[bytes, ...]
    added: tuple[bytes, ...]


def hunks(before: bytes, after: bytes) -> tuple[Hunk, ...]:
    """The places where two contents differ, in order; () for equal, binary or huge ones."""
    if b"\0" in before[:8192] or b"\0" in after[:8192]:
        return ()
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    if len(old) + len(new) > _MAX_LINES:
        return ()
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    changed = [(i, j, k, m) for tag, i, j, k, m in codes if tag != "equal"]
    return tuple(
        Hunk(number, i, j, k, m, tuple(old[i:j]), tuple(new[k:m]))
        for number, (i, j, k, m) in enumerate(changed)
    )


def without(before: bytes, after: bytes, undone: Collection[int]) -> bytes:
    """`after` with these hunks taken back; for `UndoLog.keep_version`.

    Raises:
        ValueError: no such hunk.
    """
    found = hunks(before, after)
    if not set(undone) <= {hunk.number for hunk in found}:
        raise ValueError("no such hunk")
    new = after.splitlines(keepends=True)
    out: list[bytes] = []
    at = 0
    for hunk in found:
        out += new[at : hunk.new_start]
        out += hunk.removed if hunk.number in undone else hunk.added
        at = hunk.new_end
    return b"".join(out + new[at:])
