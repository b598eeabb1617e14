"""What the user said: a quiet bubble on the right, folded when it is long."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QTextCursor, QTextOption
from PySide6.QtWidgets import QTextEdit, QWidget

from app.ui.buttons import FlatButton
from app.ui.transcript.cell_view import CellView
from app.ui.transcript.cells import Cell, UserCell
from app.ui.transcript.look import Look
from app.ui.transcript.text_browser import PassiveBrowser
from app.ui.transcript.writer import DocumentWriter

_FOLD_CHARS = 1_800
_FOLD_LINES = 22
_MOST_CHARS = 8_000
_MOST_LINES = 400
_SHARE = 0.84


def fold(text: str) -> str:
    """The part of a long text shown at first; the text itself when it is short."""
    if len(text) <= _FOLD_CHARS and text.count("\n") < _FOLD_LINES:
        return text
    lines = text[:_FOLD_CHARS].split("\n")
    return "\n".join(lines[: _FOLD_LINES - 4])[: _FOLD_CHARS - 400].rstrip() + " …"


def most(text: str) -> str:
    """What "Show all" shows: of a monstrous text the beginning; Copy still gives all of it."""
    shown = "\n".join(text[:_MOST_CHARS].split("\n", _MOST_LINES)[:_MOST_LINES])
    return shown if len(shown) == len(text) else f"{shown} …"


class UserView(CellView):
    """One question."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self._value: UserCell | None = None
        self._open = False
        self._area = QRectF()
        self.browser = PassiveBrowser(look, self)
        self._more = FlatButton(self.tr("Show all"), self)
        self._more.setFont(look.small)
        self._more.clicked.connect(self.unfold)
        self._more.hide()

    def set_value(self, value: Cell) -> None:
        assert isinstance(value, UserCell)
        if value != self._value:
            self._value = value
            self._write()

    def height_for(self, width: int) -> int:
        assert self._value is not None
        pad_x, pad_y = round(self.look.em * 0.8), round(self.look.em * 0.42)
        document = self.browser.document()
        widest = round(width * _SHARE) - 2 * pad_x
        self.browser.height_for(widest)  # or Qt lays out for the width the browser had before
        inner = min(round(document.idealWidth()) + 2, widest)
        height = self.browser.height_for(inner)
        bubble = inner + 2 * pad_x
        left = width - bubble
        self._area = QRectF(left, 0, bubble, height + 2 * pad_y)
        lead = round(self.look.em * 0.17)  # what a line's height leaves under its text
        self.browser.setGeometry(left + pad_x, pad_y + lead, inner, height)
        total = height + 2 * pad_y
        folded = fold(self._value.text) != self._value.text
        self._more.setVisible(folded)
        if folded:
            hint = self._more.sizeHint()
            self._more.setGeometry(
                left + pad_x - 9, total - pad_y // 2, hint.width(), hint.height()
            )
            total += hint.height()
            self._area.setHeight(total)
        return total

    def selected_text(self) -> str:
        return self.browser.textCursor().selection().toPlainText()

    def clear_selection(self) -> None:
        cursor = self.browser.textCursor()
        cursor.clearSelection()
        self.browser.setTextCursor(cursor)

    def set_marks(self, marks: list[QTextEdit.ExtraSelection]) -> None:
        """Hits of a search."""
        self.browser.setExtraSelections(marks)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(self.look.colors.bubble)
        painter.setPen(Qt.PenStyle.NoPen)
        area = self._area
        if self._value is not None and self._value.is_queued:
            pen = painter.pen()
            pen.setStyle(Qt.PenStyle.DashLine)
            pen.setColor(self.look.colors.faint)
            painter.setPen(pen)
            area = area.adjusted(0.5, 0.5, -0.5, -0.5)
        radius = self.look.em * 0.7
        painter.drawRoundedRect(area, radius, radius)
        painter.end()

    def _write(self) -> None:
        assert self._value is not None
        document = self.browser.document()
        document.clear()
        option = document.defaultTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        document.setDefaultTextOption(option)
        text = most(self._value.text) if self._open else fold(self._value.text)
        cursor = QTextCursor(document)
        cursor.beginEditBlock()  # laid out once, at its end
        writer = DocumentWriter(document, self.look)
        writer.write_plain(text)
        left = len(self._value.text) - len(text)
        if self._open and left > 0:
            words = self.tr("{count} more characters are not shown here; Copy gives all of them.")
            writer.write_muted(words.format(count=f"{left:,}"))
        cursor.endEditBlock()

    def unfold(self) -> None:
        """Shows all of a folded text, or folds it again."""
        self._open = not self._open
        self._more.setText(self.tr("Show less") if self._open else self.tr("Show all"))
        self._write()
        self.resized_itself.emit()
