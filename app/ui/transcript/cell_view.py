"""What every cell on screen can do."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from app.ui.transcript.cells import Cell
from app.ui.transcript.look import Look


class CellView(QWidget):
    """Draws one cell. Created when the cell comes near the screen, deleted when it is far."""

    outset = 0  # pixels this view reaches past the column on both sides
    resized_itself = Signal()  # the height changed without a new value (a fold was opened)
    action = Signal(str, object)  # a verb of this cell and what it is about

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = look

    def set_value(self, value: Cell) -> None:
        """Shows `value`, reusing what is the same as before."""
        raise NotImplementedError

    def height_for(self, width: int) -> int:
        """Lays out for `width` device-independent pixels and says how high that is."""
        raise NotImplementedError

    def set_modes(self, modes: frozenset[str]) -> None:
        """How its reader wants code shown; nothing to other cells."""

    def outdate(self, drawn: frozenset[str]) -> bool:
        """Whether one of these formulas, drawn now, stands here: the next measuring writes it."""
        return False

    def selected_text(self) -> str:
        """What the user has marked in here, as plain text."""
        return ""

    def clear_selection(self) -> None:
        """Unmarks everything."""
