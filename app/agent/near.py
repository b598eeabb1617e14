"""What to tell a model whose old_string or file name matched nothing."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_MAX_SHOWN_LINES = 40
_MAX_SEARCHED_LINES = 20_000


def closest_lines(text: str, old: str) -> str:
    """The lines of a file most like `old`, numbered, and what differs; "" when nothing is alike."""
    lines = text.split("\n")[:_MAX_SEARCHED_LINES]
    wanted = [line.strip() for line in old.strip("\n").split("\n")][:_MAX_SHOWN_LINES]
    at = _best_window(lines, wanted)
    if at is None:
        return ""
    first = max(0, at - 2)
    last = min(len(lines), at + len(wanted) + 2, first + _MAX_SHOWN_LINES)
    shown = "\n".join(f"{n + 1:>6}  {lines[n].rstrip()[:300]}" for n in range(first, last))
    return f"The closest lines are:\n{shown}\n{_difference(lines, wanted, at, old)}".rstrip()


def _best_window(lines: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Where most lines of `wanted` stand in order, else where its most telling line nearly does."""
    places: dict[str, list[int]] = {}
    for number, line in enumerate(lines):
        places.setdefault(line.strip(), []).append(number)
    votes: dict[int, int] = {}
    for offset, line in enumerate(wanted):
        if not line:
            continue
        for number in places.get(line, ())[:200]:
            votes[number - offset] = votes.get(number - offset, 0) + len(line)
    if votes:
        return max(0, max(votes, key=lambda start: votes[start]))
    telling = max(wanted, key=len, default="")
    if not telling:
        return None
    near = difflib.get_close_matches(telling, [key for key in places if key][:4000], 1, 0.5)
    if not near:
        return None
    return max(0, places[near[0]][0] - list(wanted).index(telling))


def _difference(lines: Sequence[str], wanted: Sequence[str], at: int, old: str) -> str:
    given = old.strip("\n").split("\n")
    for offset, line in enumerate(given[: len(wanted)]):
        if at + offset >= len(lines):
            return "The file ends before old_string does."
        have = lines[at + offset].removesuffix("\r")
        if have == line:
            continue
        what = "indentation or spaces differ" if have.strip() == line.strip() else "text differs"
        return (
            f"First difference, line {at + offset + 1} ({what}):\n"
            f"  file:       {have[:200]!r}\n  old_string: {line[:200]!r}"
        )
    return ""


def closest_names(name: str, names: Sequence[str], count: int = 3) -> list[str]:
    """The names most like one that does not exist: same last component first, then similar."""
    last = name.rpartition("/")[2].casefold()
    same = [other for other in names if other.rpartition("/")[2].casefold() == last]
    similar = difflib.get_close_matches(name, names, count, 0.6)
    return list(dict.fromkeys(same + similar))[:count]
