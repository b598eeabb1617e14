"""The line across a conversation above which the model no longer reads."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from app.ui.buttons import FlatButton
from app.ui.theme import tint
from app.ui.transcript.cell_view import CellView
from app.ui.transcript.cells import Cell, RoomCell
from app.ui.transcript.look import Look
from app.ui.transcript.text_browser import PassiveBrowser
from app.ui.transcript.writer import DocumentWriter


class RoomView(CellView):
    """A divider with a few words; opened, the summary that stands for what is above."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self._value = RoomCell(0, "")
        self._open = False
        self.button = FlatButton("", self)
        self.button.setIconSize(QSize(15, 15))
        self.button.setFont(look.small)
        tint(self.button, look.colors.muted)
        self.button.clicked.connect(self._on_toggle)
        self.browser: PassiveBrowser | None = None

    def set_value(self, value: Cell) -> None:
        assert isinstance(value, RoomCell)
        self._value = value
        if value.summary:
            words = self.tr("Earlier messages were summarised here")
            tip = self.tr("Shows what the model reads instead of the messages above")
        else:
            words = self.tr("The model no longer reads the messages above")
            tip = self.tr("They stay in this chat; only the model leaves them out")
        self.button.setText(words)
        self.button.setAccessibleName(words)
        self.button.setToolTip(tip)
        self._show_icon()
        if self._open:
            self._write()

    def height_for(self, width: int) -> int:
        hint = self.button.sizeHint()
        wide = min(hint.width() + 8, width)
        self.button.setGeometry((width - wide) // 2, 0, wide, hint.height())
        if not self._open or self.browser is None:
            return hint.height()
        inset = round(self.look.em)
        inner = max(width - 2 * inset, 40)
        height = self.browser.height_for(inner)
        self.browser.setGeometry(inset, hint.height() + 6, inner, height)
        return hint.height() + 6 + height + 6

    def selected_text(self) -> str:
        if self.browser is None:
            return ""
        return self.browser.textCursor().selection().toPlainText()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        middle, left = self.button.height() // 2, self.button.x()
        right = left + self.button.width()
        painter.fillRect(0, middle, max(left - 8, 0), 1, self.look.colors.border)
        painter.fillRect(right + 8, middle, self.width() - right - 8, 1, self.look.colors.border)
        painter.end()

    def _on_toggle(self) -> None:
        if not self._value.summary:
            return
        self._open = not self._open
        if self._open and self.browser is None:
            self.browser = PassiveBrowser(self.look, self)
        if self.browser is not None:
            self.browser.setVisible(self._open)
            self._write()
        self._show_icon()
        self.resized_itself.emit()

    def _show_icon(self) -> None:
        if self.look.icons is not None and self._value.summary:
            self.look.icons.bind(self.button, "chevron-down" if self._open else "chevron-right")

    def _write(self) -> None:
        if self.browser is not None:
            self.browser.document().clear()
            writer = DocumentWriter(self.browser.document(), self.look)
            writer.write_muted(self._value.summary.strip())
