"""How a line of the sidebar is drawn."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPalette
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

from app.ui.chat_list import ROW_ROLE, ChatRow
from app.ui.theme import Theme

_PAD = 10


class ChatDelegate(QStyledItemDelegate):
    """A title, under it a snippet when searching; headings small and quiet."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme

    def sizeHint(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> QSize:
        row: ChatRow = index.data(ROW_ROLE)
        line = option.fontMetrics.height()
        if row.chat_id is None:
            return QSize(80, round(line * (1.6 if index.row() == 0 else 2.1)))
        return QSize(
            80, round(line * (1.95 if not row.snippet else 2.1) + (line if row.snippet else 0))
        )

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        row: ChatRow = index.data(ROW_ROLE)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if row.chat_id is None:
            self._paint_heading(painter, option, row)
        else:
            self._paint_chat(painter, option, row)
        painter.restore()

    def _paint_heading(self, painter: QPainter, option: QStyleOptionViewItem, row: ChatRow) -> None:
        font = option.font
        font.setPointSizeF(font.pointSizeF() * 0.86)
        font.setWeight(font.Weight.Medium)
        painter.setFont(font)
        painter.setPen(self._theme.colors.faint)
        area = option.rect.adjusted(_PAD, 0, -_PAD, -3)
        painter.drawText(area, Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignLeft, row.title)

    def _paint_chat(self, painter: QPainter, option: QStyleOptionViewItem, row: ChatRow) -> None:
        state = option.state
        selected = bool(state & QStyle.StateFlag.State_Selected)
        hovered = bool(state & QStyle.StateFlag.State_MouseOver)
        text = option.palette.color(QPalette.ColorRole.WindowText)
        area = QRectF(option.rect).adjusted(0, 1, 0, -1)
        if selected or hovered:
            fill = QColor(text)
            fill.setAlphaF(0.105 if selected else 0.05)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(fill)
            painter.drawRoundedRect(area, 7, 7)
        if selected and bool(state & QStyle.StateFlag.State_HasFocus):
            painter.setPen(self._theme.colors.accent)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(area.adjusted(0.5, 0.5, -0.5, -0.5), 7, 7)
        inner = option.rect.adjusted(_PAD, 0, -_PAD, 0)
        if row.is_busy:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._theme.colors.accent)
            dot = QRectF(inner.right() - 6, inner.center().y() - 3, 6, 6)
            painter.drawEllipse(dot)
            inner.setRight(inner.right() - 12)
        metrics = option.fontMetrics
        painter.setFont(option.font)
        painter.setPen(text)
        elide = Qt.TextElideMode.ElideRight
        middle = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        if not row.snippet:
            painter.drawText(inner, middle, metrics.elidedText(row.title, elide, inner.width()))
            return
        line = metrics.height()
        title = QRect(inner.left(), inner.top() + 5, inner.width(), line)
        painter.drawText(title, middle, metrics.elidedText(row.title, elide, inner.width()))
        self._paint_snippet(painter, option, row, title.translated(0, line))

    def _paint_snippet(
        self, painter: QPainter, option: QStyleOptionViewItem, row: ChatRow, area: QRect
    ) -> None:
        font = option.font
        font.setPointSizeF(font.pointSizeF() * 0.88)
        painter.setFont(font)
        metrics = painter.fontMetrics()
        shown, shift = row.snippet, 0
        if row.marks and metrics.horizontalAdvance(shown[: row.marks[0][1]]) > area.width() - 20:
            shift = max(row.marks[0][0] - 12, 0)
            shown = "…" + shown[shift + 1 :]
        x, at = area.left(), 0
        spans = [(start - shift, end - shift) for start, end in row.marks if start >= shift]
        for start, end in [*spans, (len(shown), len(shown))]:
            for piece, is_hit in ((shown[at:start], False), (shown[start:end], True)):
                if not piece or x >= area.right():
                    continue
                wide = metrics.horizontalAdvance(piece)
                place = QRect(x, area.top(), min(wide, area.right() - x), area.height())
                if is_hit:
                    painter.fillRect(place.adjusted(0, 2, 0, -2), self._theme.colors.found)
                painter.setPen(self._theme.colors.text if is_hit else self._theme.colors.muted)
                painter.drawText(place, Qt.AlignmentFlag.AlignVCenter, piece)
                x += wide
            at = end
