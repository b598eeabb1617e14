"""A slim scroll bar for Fusion; platforms with their own look keep theirs."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRect, QRectF, QSize, Qt
from PySide6.QtGui import QEnterEvent, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QAbstractScrollArea, QScrollBar, QStyle, QStyleOptionSlider, QWidget

_THICKNESS = 11


class SlimScrollBar(QScrollBar):
    """A round handle on nothing, a little stronger under the pointer."""

    def __init__(self, orientation: Qt.Orientation, parent: QWidget | None = None) -> None:
        super().__init__(orientation, parent)
        self._near = False

    def sizeHint(self) -> QSize:
        if self.orientation() == Qt.Orientation.Vertical:
            return QSize(_THICKNESS, 60)
        return QSize(60, _THICKNESS)

    def enterEvent(self, event: QEnterEvent) -> None:
        self._near = True
        self.update()
        super().enterEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._near = False
        self.update()
        super().leaveEvent(event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        if self.maximum() <= self.minimum():
            return
        option = QStyleOptionSlider()
        self.initStyleOption(option)
        handle = self.style().subControlRect(
            QStyle.ComplexControl.CC_ScrollBar,
            option,
            QStyle.SubControl.SC_ScrollBarSlider,
            self,
        )
        handle = self._stretched(handle, option)
        color = self.palette().color(QPalette.ColorRole.WindowText)
        color.setAlphaF(0.42 if self._near or self.isSliderDown() else 0.22)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        vertical = self.orientation() == Qt.Orientation.Vertical
        area = QRectF(handle).adjusted(3, 1, -2, -1) if vertical else QRectF(handle)
        if not vertical:
            area = area.adjusted(1, 3, -1, -2)
        painter.drawRoundedRect(area, 3, 3)
        painter.end()

    def _stretched(self, handle: QRect, option: QStyleOptionSlider) -> QRect:
        """The handle on the whole length: Fusion leaves room for arrows that are not drawn."""
        groove = self.style().subControlRect(
            QStyle.ComplexControl.CC_ScrollBar, option, QStyle.SubControl.SC_ScrollBarGroove, self
        )
        if self.orientation() == Qt.Orientation.Vertical:
            share = self.height() / max(groove.height(), 1)
            top = round((handle.top() - groove.top()) * share)
            return QRect(handle.left(), top, handle.width(), round(handle.height() * share))
        share = self.width() / max(groove.width(), 1)
        left = round((handle.left() - groove.left()) * share)
        return QRect(left, handle.top(), round(handle.width() * share), handle.height())


def make_slim(area: QAbstractScrollArea) -> None:
    """Gives `area` slim scroll bars where the style is Fusion."""
    if area.style().name().lower() == "fusion":
        area.setVerticalScrollBar(SlimScrollBar(Qt.Orientation.Vertical, area))
        area.setHorizontalScrollBar(SlimScrollBar(Qt.Orientation.Horizontal, area))
