"""What a person has looked at of a run's changes: kept parts leave the list, the rest waits."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from app.agent.hunks import Hunk, hunks, without
from app.agent.types import Change

_NEAR_LINES = 3  # hunks with fewer equal lines between them are decided together


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring hunks that are decided together; line numbers as in `Hunk`."""

    hunks: tuple[Hunk, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """The numbers of its hunks."""
        return tuple(hunk.number for hunk in self.hunks)


@dataclass(frozen=True, slots=True)
class FileReview:
    """One file: `before` with everything kept so far in it, and what the agent left.

    `groups` is empty where there is nothing to decide line by line; `sentence` then says why.
    """

    path: str
    before: bytes | None
    after: bytes | None
    groups: tuple[Group, ...] = ()
    sentence: str = ""


class Ledger:
    """The kept parts of one run's changes. On disk nothing changes by keeping."""

    def __init__(self) -> None:
        self._before: dict[str, bytes] = {}
        self._whole: dict[str, str | None] = {}

    def review(self, change: Change, before: bytes | None, after: bytes | None) -> FileReview:
        """What is still to be decided in one file."""
        path = change.path
        if self._whole.get(path, "") == change.after and path in self._whole:
            return FileReview(path, after, after, (), "You kept this change.")
        base = self._before.get(path, before)
        if change.kind == "mode":
            return FileReview(path, base, after, (), "Only its permissions changed.")
        if base == after:
            return FileReview(path, base, after, (), "You kept this change.")
        found = hunks(base or b"", after or b"")
        if found:
            return FileReview(path, base, after, grouped(found))
        if is_binary(base) or is_binary(after):
            sentence = "This is not a text file, so it can only be kept or undone as a whole."
        elif not base and not after:
            sentence = "The file is empty."
        else:
            sentence = "The file is too long to be compared line by line."
        return FileReview(path, base, after, (), sentence)

    def is_kept(self, change: Change, before: bytes | None, after: bytes | None) -> bool:
        """Whether nothing is left to decide in this file."""
        if change.path in self._whole and self._whole[change.path] == change.after:
            return True
        return change.path in self._before and self._before[change.path] == after != before

    def keep(self, review: FileReview, numbers: Collection[int]) -> None:
        """Takes these hunks as decided."""
        everything = {number for group in review.groups for number in group.numbers}
        self._before[review.path] = without(
            review.before or b"", review.after or b"", everything - set(numbers)
        )

    def keep_whole(self, change: Change) -> None:
        """Takes all of one file as decided, as it is now."""
        self._whole[change.path] = change.after

    def forget(self, path: str | None = None) -> None:
        """After an undo of one file, or of all: what was kept of it is gone."""
        for kept in (self._before, self._whole):
            if path is None:
                kept.clear()
            else:
                kept.pop(path, None)


def grouped(found: Sequence[Hunk]) -> tuple[Group, ...]:
    """Hunks with hardly anything between them, together."""
    groups: list[list[Hunk]] = []
    for hunk in found:
        if groups and hunk.new_start - groups[-1][-1].new_end < _NEAR_LINES:
            groups[-1].append(hunk)
        else:
            groups.append([hunk])
    return tuple(Group(tuple(group)) for group in groups)


def is_binary(content: bytes | None) -> bool:
    """Whether a content is not text."""
    return content is not None and b"\0" in content[:8192]
