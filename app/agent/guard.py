"""Notices when a model goes round in circles.

Counted are calls with the same name, arguments and result (agent.md §8.4): three get a note, five
end the run with a question. A call that changed a file starts the counts anew, because running the
same tests after each edit is work and not a loop; swinging between two calls is caught separately.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

NOTE_AT = 3
STOP_AT = 5
STOP_READS_AT = 10  # looking around before the first change is not yet a loop
SWINGS = 3
CHUNK_CHARS = 50
CHUNK_REPEATS = 10

Verdict = Literal["go_on", "note", "stop"]
NOTE = (
    "\n\n[Note: you have made this same call {count} times with the same result. "
    "Doing it again will not help: do something different, or say what is missing.]"
)


@dataclass(slots=True)
class LoopGuard:
    """What one request has done so far."""

    _counts: Counter[str] = field(default_factory=Counter)
    _sequence: list[str] = field(default_factory=list)
    _has_written: bool = False

    def judge(
        self, name: str, arguments: str, result: str, *, reads: bool, changed: bool
    ) -> tuple[Verdict, int]:
        """The verdict on a call that just ended, and how often it has been made."""
        key = _digest(name, arguments, result)
        if changed:
            self._counts.clear()
            self._has_written = True
        self._counts[key] += 1
        self._sequence.append(key)
        count = self._counts[key]
        stop_at = STOP_READS_AT if reads and not self._has_written else STOP_AT
        if count >= stop_at or self._is_swinging():
            return "stop", count
        return ("note" if count >= NOTE_AT else "go_on"), count

    def forgive(self) -> None:
        """The user wants to go on: counting starts anew."""
        self._counts.clear()
        self._sequence.clear()

    def _is_swinging(self) -> bool:
        last = self._sequence[-2 * SWINGS :]
        one, other = set(last[::2]), set(last[1::2])
        return len(last) == 2 * SWINGS and len(one) == len(other) == 1 and one != other


_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)


def repeats_itself(text: str) -> bool:
    """Whether the end of an answer is one piece of prose over and over, code left aside."""
    prose = _CODE.sub("", text)
    if len(prose) < CHUNK_CHARS * CHUNK_REPEATS:
        return False
    chunk = prose[-CHUNK_CHARS:]
    tail = prose[-CHUNK_CHARS * CHUNK_REPEATS * 8 :]
    is_rule = len(set(chunk)) <= 3  # a line of dashes is long before it is a loop
    return tail.count(chunk) >= CHUNK_REPEATS * (4 if is_rule else 1)


def _digest(*parts: str) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
