"""Where each cell stands: heights, gaps and tops of one long column. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from app.ui.transcript.cells import (
    Cell,
    CodeCell,
    FooterCell,
    NoticeCell,
    ProseCell,
    SectionCell,
    TableCell,
    UserCell,
)

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Measures:
    """What estimates need: line heights and the mean width of a character, in pixels."""

    line: float
    char: float
    code_line: float
    gap: int


@dataclass(slots=True)
class Slot(Generic[V]):
    """One cell's place. `width` is the one `height` was measured at; 0 means estimated.
    `modes` is how its reader wants code shown: "wrap", "numbers"."""

    message_id: int
    cell: Cell
    height: int = 0
    width: int = 0
    view: V | None = None
    modes: frozenset[str] = frozenset()


def estimate_height(cell: Cell, width: int, m: Measures) -> int:
    """About how high a cell will be; only far cells live by it."""
    per_line = max(width / m.char, 10)
    match cell:
        case SectionCell(section) if section.is_code:
            return round((section.text.count("\n") + 1) * m.code_line)
        case SectionCell() | UserCell():
            text = cell.section.text if isinstance(cell, SectionCell) else cell.text
            lines = len(text) / per_line + text.count("\n") * 0.7
            return round(max(lines, 1) * m.line * 1.1) + m.gap
        case ProseCell(blocks):
            return round(
                sum(max(len(block.source) / per_line, 1) * m.line + m.gap for block in blocks)
            )
        case TableCell(source):
            return round(source.count("\n") * m.line * 1.4)
        case CodeCell(code):
            return round((code.count("\n") + 1) * m.code_line + (40 if cell.first_line == 0 else 0))
        case NoticeCell():
            return round(m.line * 3)
        case _:
            return round(m.line * 1.4)


def gap_between(above: Slot[V] | None, below: Slot[V], gap: int) -> int:
    """The space over `below`."""
    cell = below.cell
    if above is None:
        return 0
    if above.message_id != below.message_id:
        return round(gap * 1.9)
    if isinstance(cell, CodeCell) and cell.first_line > 0:
        return 0
    if isinstance(cell, FooterCell):
        return round(gap * 0.5)
    if isinstance(above.cell, CodeCell | TableCell) or isinstance(cell, CodeCell | TableCell):
        return round(gap * 1.15)
    return gap


class Column(Generic[V]):
    """The slots in order, with their tops kept up to date from the first change on."""

    def __init__(self, gap: int) -> None:
        self.gap = gap
        self.slots: list[Slot[V]] = []
        self._tops: list[int] = []
        self._valid = 0

    def __len__(self) -> int:
        return len(self.slots)

    def replace(self, start: int, stop: int, fresh: Sequence[Slot[V]]) -> None:
        """Puts `fresh` in place of slots start…stop."""
        self.slots[start:stop] = fresh
        self._valid = min(self._valid, start)

    def set_height(self, index: int, height: int, width: int) -> None:
        """A measured height."""
        slot = self.slots[index]
        slot.width = width
        if slot.height != height:
            slot.height = height
            self._valid = min(self._valid, index + 1)

    def invalidate(self) -> None:
        """All tops are to be computed again."""
        self._valid = 0

    def top(self, index: int) -> int:
        """The upper edge of a slot, its gap not included."""
        self._settle()
        return self._tops[index]

    def total(self) -> int:
        """The height of everything."""
        self._settle()
        return self._tops[-1] + self.slots[-1].height if self.slots else 0

    def index_at(self, y: int) -> int:
        """The slot at `y`, or the last one above it."""
        self._settle()
        return max(bisect_right(self._tops, y) - 1, 0)

    def range_of(self, message_id: int) -> tuple[int, int]:
        """First and one-past-last slot of a message, looked for from the end; (n, n) if none."""
        stop = len(self.slots)
        while stop > 0 and self.slots[stop - 1].message_id != message_id:
            stop -= 1
        if stop == 0:
            return len(self.slots), len(self.slots)
        start = stop
        while start > 0 and self.slots[start - 1].message_id == message_id:
            start -= 1
        return start, stop

    def _settle(self) -> None:
        slots, tops = self.slots, self._tops
        if self._valid >= len(slots) == len(tops):
            return
        at = self._valid
        del tops[at:]
        above = slots[at - 1] if at else None
        y = tops[at - 1] + above.height if above is not None else 0
        for slot in islice(slots, at, None):
            y += gap_between(above, slot, self.gap)
            tops.append(y)
            y += slot.height
            above = slot
        self._valid = len(slots)
