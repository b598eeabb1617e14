"""A memory pool drawn as one bar with a legend: how much a model takes, how much stays free."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from app.ui.models.values import MemoryPicture, PoolPart, memory_text
from app.ui.theme import Theme, mix

_GAP = 6


class MemoryBar(QWidget):
    """Draws one MemoryPicture; its accessible text says the same in words."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._picture: MemoryPicture | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        theme.changed.connect(self._restyle)
        self._restyle()

    def show_picture(self, picture: MemoryPicture) -> None:
        """Another pool, or other pieces in it."""
        self._picture = picture
        words = ", ".join(f"{part.title} {memory_text(part.size_bytes)}" for part in picture.parts)
        self.setAccessibleName(f"{picture.title}: {words}")
        self.setToolTip(words)
        self.update()

    def sizeHint(self) -> QSize:
        line = self.fontMetrics().height()
        return QSize(360, line + _GAP + round(line * 0.9) + _GAP + line)

    def paintEvent(self, _event: QPaintEvent) -> None:
        picture = self._picture
        if picture is None or picture.total_bytes <= 0:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        metrics = self.fontMetrics()
        line = metrics.height()
        colors = self._theme.colors
        painter.setPen(colors.text)
        painter.drawText(
            0, metrics.ascent(), f"{picture.title}, {memory_text(picture.total_bytes)}"
        )
        bar = QRectF(0, line + _GAP, self.width(), round(line * 0.9))
        self._paint_bar(painter, bar, picture)
        self._paint_legend(painter, bar.bottom() + _GAP, picture)
        painter.end()

    def _paint_bar(self, painter: QPainter, bar: QRectF, picture: MemoryPicture) -> None:
        outline = QPainterPath()
        outline.addRoundedRect(bar, 5, 5)
        painter.save()
        painter.setClipPath(outline)
        left = bar.left()
        for part in picture.parts:
            width = bar.width() * part.size_bytes / picture.total_bytes
            painter.fillRect(QRectF(left, bar.top(), width + 0.5, bar.height()), self._color(part))
            left += width
        painter.restore()

    def _paint_legend(self, painter: QPainter, top: float, picture: MemoryPicture) -> None:
        metrics = self.fontMetrics()
        dot, left = metrics.xHeight(), 0.0
        for part in picture.parts:
            text = f"{part.title} {memory_text(part.size_bytes)}"
            width = dot + 5 + metrics.horizontalAdvance(text)
            if left and left + width > self.width():
                return
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self._color(part))
            middle = top + metrics.height() / 2
            painter.drawRoundedRect(QRectF(left, middle - dot / 2, dot, dot), 2, 2)
            painter.setPen(self._theme.colors.muted)
            painter.drawText(round(left + dot + 5), round(top + metrics.ascent()), text)
            left += width + 16

    def _color(self, part: PoolPart) -> QColor:
        colors = self._theme.colors
        match part.role:
            case "weights":
                return colors.accent
            case "context":
                return mix(colors.accent, colors.base, 0.45)
            case "work":
                return mix(colors.accent, colors.base, 0.68)
            case "other":
                return mix(colors.base, colors.text, 0.42)
            case "reserve":
                return mix(colors.base, colors.text, 0.2)
            case "free":
                return mix(colors.base, colors.text, 0.08)

    def _restyle(self) -> None:
        self.setFont(self._theme.small_font())
        self.updateGeometry()
        self.update()
