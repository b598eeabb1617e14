"""Tables: as wide as they need, scrolling sideways where that is wider than the column."""

from __future__ import annotations

from markdown_it.token import Token
from PySide6.QtCore import Qt
from PySide6.QtGui import (
    QBrush,
    QTextCursor,
    QTextFrameFormat,
    QTextTableCellFormat,
    QTextTableFormat,
)
from PySide6.QtWidgets import QTextEdit, QVBoxLayout, QWidget

from app.ui.transcript.cell_view import CellView
from app.ui.transcript.cells import Cell, TableCell
from app.ui.transcript.look import Look
from app.ui.transcript.markdown import parse_source
from app.ui.transcript.text_browser import PassiveBrowser
from app.ui.transcript.writer import DocumentWriter

_ALIGN = {
    "text-align:left": Qt.AlignmentFlag.AlignLeft,
    "text-align:right": Qt.AlignmentFlag.AlignRight,
    "text-align:center": Qt.AlignmentFlag.AlignHCenter,
}
_MIN_COLUMN_EMS = 4.5


class TableView(CellView):
    """One table."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self._columns = 0
        self._natural = 0  # its width without wrapping; 0: not measured yet
        self._is_outdated = False
        self._value: TableCell | None = None
        self.browser = PassiveBrowser(look, self)
        self.browser.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.browser.setLineWrapMode(QTextEdit.LineWrapMode.FixedPixelWidth)
        self.browser.anchorClicked.connect(
            lambda url: self.action.emit("open_link", url.toString())
        )
        self.browser.highlighted.connect(lambda url: self.action.emit("hover", url.toString()))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.browser)

    def set_value(self, value: Cell) -> None:
        assert isinstance(value, TableCell)
        if value != self._value:
            self._value = value
            self._write(value)

    def outdate(self, drawn: frozenset[str]) -> bool:
        found = self._value is not None and any(latex in self._value.source for latex in drawn)
        self._is_outdated = self._is_outdated or found
        return found

    def _write(self, value: TableCell) -> None:
        self._natural = 0
        rows = _rows(value)
        self._columns = max((len(row) for row in rows), default=0)
        document = self.browser.document()
        document.clear()
        if not rows:
            return
        cursor = QTextCursor(document)
        cursor.beginEditBlock()
        table = cursor.insertTable(len(rows), self._columns, self._format())
        writer = DocumentWriter(document, self.look)
        for row_index, row in enumerate(rows):
            for column, (inline, style) in enumerate(row):
                cell = table.cellAt(row_index, column)
                cell.setFormat(self._cell_format(row_index == 0))
                writer.write_cell(
                    cell.firstCursorPosition(), inline, row_index == 0, _ALIGN.get(style)
                )
        cursor.endEditBlock()

    def height_for(self, width: int) -> int:
        if self._is_outdated and self._value is not None:
            self._is_outdated = False
            self._write(self._value)
        document = self.browser.document()
        self.browser.setFixedWidth(width)
        if self._natural == 0:
            document.setTextWidth(-1)
            self._natural = round(document.idealWidth()) + 2
        least = round(self._columns * self.look.em * _MIN_COLUMN_EMS)
        wanted = min(self._natural, max(width, least))
        self.browser.setLineWrapColumnOrWidth(wanted)
        if document.textWidth() != wanted:
            document.setTextWidth(wanted)
        extra = self.browser.horizontalScrollBar().sizeHint().height() if wanted > width else 0
        return round(document.size().height() + 0.49) + extra

    def selected_text(self) -> str:
        return self.browser.textCursor().selection().toPlainText()

    def clear_selection(self) -> None:
        cursor = self.browser.textCursor()
        cursor.clearSelection()
        self.browser.setTextCursor(cursor)

    def set_marks(self, marks: list[QTextEdit.ExtraSelection]) -> None:
        """Hits of a search."""
        self.browser.setExtraSelections(marks)

    def _format(self) -> QTextTableFormat:
        form = QTextTableFormat()
        form.setBorder(0)
        form.setCellSpacing(0)
        form.setCellPadding(0)
        form.setBorderCollapse(True)
        form.setHeaderRowCount(1)
        return form

    def _cell_format(self, is_head: bool) -> QTextTableCellFormat:
        form = QTextTableCellFormat()
        em = self.look.em
        form.setLeftPadding(em * 0.1)
        form.setRightPadding(em * 0.9)
        form.setTopPadding(em * 0.22)
        form.setBottomPadding(em * 0.22)
        form.setBottomBorder(1.0)
        form.setBottomBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
        colors = self.look.colors
        form.setBottomBorderBrush(QBrush(colors.faint if is_head else colors.border))
        return form


_Row = list[tuple[Token, str]]


def _rows(value: TableCell) -> list[_Row]:
    rows: list[_Row] = []
    style = ""
    for token in parse_source(value.source, value.definitions):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            style = str(token.attrGet("style") or "")
        elif token.type == "inline":
            if not rows:
                rows.append([])
            rows[-1].append((token, style))
    return rows
