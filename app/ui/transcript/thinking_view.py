"""Reasoning: one line with its duration; opened, the text behind a thin bar."""

from __future__ import annotations

from PySide6.QtCore import QSize
from PySide6.QtGui import QPainter, QPaintEvent, QTextCursor
from PySide6.QtWidgets import QWidget

from app.ui.buttons import FlatButton
from app.ui.theme import tint
from app.ui.transcript.cell_view import CellView
from app.ui.transcript.cells import Cell, ThinkingCell
from app.ui.transcript.look import Look
from app.ui.transcript.text_browser import PassiveBrowser
from app.ui.transcript.writer import DocumentWriter, visible
from app.ui.words import duration_words

_MOST_CHARS = 24_000  # the end of longer reasoning is shown; Copy gives all of it
_STEP_CHARS = 6_000


class ThinkingView(CellView):
    """One stretch of reasoning, folded until asked for."""

    outset = 7

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self._value: ThinkingCell | None = None
        self._written = ""
        self._open = False
        self.button = FlatButton("", self)
        self.button.setIconSize(QSize(15, 15))
        self.button.setFont(look.small)
        tint(self.button, look.colors.muted)
        self.button.clicked.connect(self._on_toggle)
        self.browser: PassiveBrowser | None = None
        self._show_icon()
        if look.open_thinking:
            self._set_open(True)

    def set_value(self, value: Cell) -> None:
        assert isinstance(value, ThinkingCell)
        self._value = value
        if value.is_running:
            words = self.tr("Thinking…")
        elif value.duration_s is not None and value.duration_s < 1.0:
            words = self.tr("Thought for a moment")
        elif value.duration_s is None:
            words = self.tr("Thoughts")
        else:
            words = self.tr("Thought for {time}").format(time=duration_words(value.duration_s))
        self.button.setText(words)
        self.button.setAccessibleName(words)
        if self._open:
            self._write()

    def height_for(self, width: int) -> int:
        hint = self.button.sizeHint()
        self.button.setGeometry(0, 0, min(hint.width() + 8, width), hint.height())
        if not self._open or self.browser is None:
            return hint.height()
        left = self.outset + round(self.look.em * 0.9)
        height = self.browser.height_for(width + self.outset - left)
        self.browser.setGeometry(left, hint.height() + 4, width + self.outset - left, height)
        return hint.height() + 4 + height

    def selected_text(self) -> str:
        if self.browser is None:
            return ""
        return self.browser.textCursor().selection().toPlainText()

    def paintEvent(self, _event: QPaintEvent) -> None:
        if not self._open:
            return
        painter = QPainter(self)
        top = self.button.height() + 4
        painter.fillRect(self.outset, top, 2, self.height() - top, self.look.colors.border)
        painter.end()

    def _on_toggle(self) -> None:
        self._set_open(not self._open)
        self.resized_itself.emit()

    def _set_open(self, on: bool) -> None:
        self._open = on
        self._show_icon()
        if self._open and self.browser is None:
            self.browser = PassiveBrowser(self.look, self)
            self.browser.show()
        if self.browser is not None:
            self.browser.setVisible(self._open)
            self._write()
        self.update()

    def _show_icon(self) -> None:
        if self.look.icons is not None:
            self.look.icons.bind(self.button, "chevron-down" if self._open else "chevron-right")

    def _write(self) -> None:
        """Only what has come since the last time, as reasoning grows to many screens."""
        if self.browser is None or self._value is None:
            return
        text = self._value.text.strip()
        left_out = max(len(text) - _MOST_CHARS, 0)
        left_out += -left_out % _STEP_CHARS  # in steps, so that little is written again
        shown = f"… {text[left_out:]}" if left_out else text
        document = self.browser.document()
        if self._written and shown.startswith(self._written):
            cursor = QTextCursor(document)
            cursor.movePosition(QTextCursor.MoveOperation.End)
            cursor.insertText(visible(shown[len(self._written) :]))
        else:
            document.clear()
            cursor = QTextCursor(document)
            cursor.beginEditBlock()
            DocumentWriter(document, self.look).write_muted(shown)
            cursor.endEditBlock()
        self._written = shown
