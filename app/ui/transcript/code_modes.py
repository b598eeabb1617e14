"""Wrapped lines and line numbers, for all parts of one code block at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.ui.transcript.cell_view import CellView
from app.ui.transcript.cells import CodeCell, SectionCell
from app.ui.transcript.column import Slot


@dataclass(frozen=True, slots=True)
class CodeMode:
    """What a click in the header of `first` asks for: "wrap" or "numbers", on or off."""

    first: CodeCell
    name: str
    on: bool


def set_code_mode(slots: Sequence[Slot[CellView]], mode: CodeMode) -> None:
    """Marks every part of the block; parts that are no widgets yet take it when they become one."""
    taking = False
    for slot in slots:
        taking = taking or slot.cell is mode.first
        if not taking or not isinstance(slot.cell, CodeCell | SectionCell):
            continue
        slot.modes = slot.modes | {mode.name} if mode.on else slot.modes - {mode.name}
        slot.width = 0
        if slot.view is not None:
            slot.view.set_modes(slot.modes)
        part = slot.cell if isinstance(slot.cell, CodeCell) else slot.cell.section
        if part.is_last:
            return
