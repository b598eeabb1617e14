"""One column of a difference: read-only text with line numbers, colours and marked words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from PySide6.QtCore import QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QResizeEvent,
    QTextBlock,
    QTextCharFormat,
    QTextLayout,
    QTextOption,
)
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QWidget

from app.ui.agent.diff_colors import Stretch
from app.ui.agent.diff_rows import Row
from app.ui.scroll_bar import make_slim
from app.ui.theme import Colors, mix

_SIGNS = {"added": "+", "removed": "−"}


def row_color(colors: Colors, kind: str) -> QColor:
    """Green for what came, red for what went, as everywhere; readable on light and dark."""
    if colors.is_dark:
        return QColor("#3fb26a" if kind == "added" else "#e5686a")
    return QColor("#2a9d54" if kind == "added" else "#d64545")


class DiffPane(QPlainTextEdit):
    """Shows rows it is given; the numbers of `sides` ("old", "new") stand at the left."""

    clicked_group = Signal(int)
    moved = Signal()  # scrolled or laid out anew: what floats above must follow

    def __init__(self, sides: Sequence[str], colors: Colors, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        make_slim(self)
        self._sides = tuple(sides)
        self._colors = colors
        self._rows: Sequence[Row] = ()
        self.current = -1
        self._gutter = _Gutter(self, self._paint_gutter)
        self.setReadOnly(True)
        self.setTabChangesFocus(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setUndoRedoEnabled(False)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse
            | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.viewport().setAutoFillBackground(False)
        option = QTextOption()
        option.setTextDirection(Qt.LayoutDirection.LeftToRight)
        option.setWrapMode(QTextOption.WrapMode.NoWrap)
        self.document().setDefaultTextOption(option)
        self.document().setDocumentMargin(0)
        self.updateRequest.connect(self._on_update)

    @property
    def rows(self) -> Sequence[Row]:
        return self._rows

    def update_gutter(self) -> None:
        self._gutter.update()

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Replaces everything; the place is kept where it can be."""
        bar = self.verticalScrollBar()
        value = bar.value()
        self._rows = rows
        self.setPlainText("\n".join(row.text for row in rows))
        self._format({}, {})
        bar.setValue(value)
        self._place_gutter()

    def show_colors(
        self, old: Mapping[int, list[Stretch]], new: Mapping[int, list[Stretch]]
    ) -> None:
        """Syntax colours by line number."""
        self._format(old, new)
        self.viewport().update()

    def set_look(self, colors: Colors, font: QFont) -> None:
        self._colors = colors
        self.setFont(font)
        self.setTabStopDistance(QFontMetricsF(font).horizontalAdvance(" ") * 4)
        self._place_gutter()
        self.viewport().update()

    def row_rect(self, number: int) -> QRect:
        """Where a row is in the viewport; empty when it is not on screen."""
        block = self.document().findBlockByNumber(number)
        if not block.isValid():
            return QRect()
        rect = self._rect(block)
        if rect.bottom() < 0 or rect.top() > self.viewport().height():
            return QRect()
        return rect.toAlignedRect()

    def visible_rows(self) -> range:
        """Numbers of the rows on screen."""
        first = self.firstVisibleBlock()
        line = max(1.0, QFontMetricsF(self.font()).lineSpacing())
        count = int(self.viewport().height() / line) + 2
        return range(first.blockNumber(), min(len(self._rows), first.blockNumber() + count))

    def scroll_to(self, number: int) -> None:
        """Brings a row a little below the top."""
        self.verticalScrollBar().setValue(max(0, number - 2))

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        painter.fillRect(self.viewport().rect(), self._colors.base)
        for row, rect in self._visible():
            self._paint_row(painter, row, QRectF(0, rect.top(), self.width(), rect.height()))
        painter.end()
        super().paintEvent(event)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_gutter()
        self.moved.emit()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        super().mousePressEvent(event)
        number = self.cursorForPosition(event.position().toPoint()).blockNumber()
        if 0 <= number < len(self._rows) and self._rows[number].group >= 0:
            self.clicked_group.emit(self._rows[number].group)

    def _visible(self) -> list[tuple[Row, QRectF]]:
        found = []
        block = self.firstVisibleBlock()
        while block.isValid() and block.blockNumber() < len(self._rows):
            rect = self._rect(block)
            if rect.top() > self.viewport().height():
                break
            found.append((self._rows[block.blockNumber()], rect))
            block = block.next()
        return found

    def _rect(self, block: QTextBlock) -> QRectF:
        return self.blockBoundingGeometry(block).translated(self.contentOffset())

    def _paint_row(self, painter: QPainter, row: Row, rect: QRectF) -> None:
        colors = self._colors
        if row.kind in _SIGNS:
            painter.fillRect(rect, mix(colors.base, row_color(colors, row.kind), 0.14))
        elif row.kind == "blank":
            painter.fillRect(rect, mix(colors.base, colors.text, 0.035))
        if row.kind == "gap" and row.group > 0:
            painter.setPen(colors.border)
            painter.drawLine(rect.topLeft(), rect.topRight())

    def _format(self, old: Mapping[int, list[Stretch]], new: Mapping[int, list[Stretch]]) -> None:
        block = self.document().firstBlock()
        for row in self._rows:
            if not block.isValid():
                return
            block.layout().setFormats(self._ranges(row, old, new))
            block = block.next()

    def _ranges(
        self, row: Row, old: Mapping[int, list[Stretch]], new: Mapping[int, list[Stretch]]
    ) -> list[QTextLayout.FormatRange]:
        ranges = []
        if row.kind == "head":
            ranges.append(_range(0, len(row.text), foreground=self._colors.muted))
        stretches = old.get(row.old, ()) if row.kind == "removed" else new.get(row.new, ())
        for start, length, color in stretches:
            take = min(length, len(row.text) - start)
            if take > 0:
                ranges.append(_range(start, take, foreground=color))
        back = mix(self._colors.base, row_color(self._colors, row.kind), 0.36)
        ranges += [_range(start, length, background=back) for start, length in row.marks]
        return ranges

    def _on_update(self, _rect: QRect, _dy: int) -> None:
        self._gutter.update()
        self.moved.emit()

    def _gutter_width(self) -> int:
        metrics = QFontMetricsF(self.font())
        most = max((max(row.old, row.new) for row in self._rows), default=0)
        column = metrics.horizontalAdvance("0" * max(2, len(str(most)))) + 8
        return round(column * len(self._sides) + metrics.horizontalAdvance("+") + 14)

    def _place_gutter(self) -> None:
        width = self._gutter_width()
        self.setViewportMargins(width, 0, 0, 0)
        area = self.contentsRect()
        self._gutter.setGeometry(area.left(), area.top(), width, area.height())

    def _paint_gutter(self, painter: QPainter) -> None:
        colors, width = self._colors, self._gutter.width()
        painter.fillRect(self._gutter.rect(), colors.base)
        painter.setFont(self.font())
        sign_width = QFontMetricsF(self.font()).horizontalAdvance("+") + 10
        column = (width - sign_width - 4) / len(self._sides)
        for row, rect in self._visible():
            line = QRectF(0, rect.top(), width, rect.height())
            self._paint_row(painter, row, line)
            if row.group >= 0 and row.group == self.current and row.kind != "gap":
                painter.fillRect(QRectF(0, rect.top(), 3, rect.height()), colors.accent)
            painter.setPen(colors.faint)
            for place, side in enumerate(self._sides):
                number = row.old if side == "old" else row.new
                if number:
                    where = QRectF(4 + place * column, rect.top(), column - 4, rect.height())
                    painter.drawText(where, Qt.AlignmentFlag.AlignRight, str(number))
            if row.kind in _SIGNS:
                painter.setPen(row_color(colors, row.kind))
                where = QRectF(width - sign_width, rect.top(), sign_width - 3, rect.height())
                painter.drawText(where, Qt.AlignmentFlag.AlignHCenter, _SIGNS[row.kind])


class _Gutter(QWidget):
    """The strip with the numbers; painted by the pane, which knows the rows."""

    def __init__(self, pane: QPlainTextEdit, paint: Callable[[QPainter], None]) -> None:
        super().__init__(pane)
        self._paint = paint

    def sizeHint(self) -> QSize:
        return QSize(0, 0)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        self._paint(painter)
        painter.end()


def _range(
    start: int,
    length: int,
    *,
    foreground: QColor | None = None,
    background: QColor | None = None,
) -> QTextLayout.FormatRange:
    found = QTextLayout.FormatRange()
    found.start, found.length = start, length
    form = QTextCharFormat()
    if foreground is not None:
        form.setForeground(foreground)
    if background is not None:
        form.setBackground(background)
    found.format = form
    return found
