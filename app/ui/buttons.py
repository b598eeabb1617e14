"""Flat buttons: an icon, perhaps a word, a quiet round rectangle under the pointer."""

from __future__ import annotations

from typing import Literal

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QSizePolicy, QToolButton, QWidget

from app.ui.icons import Icons
from app.ui.theme import mix

Kind = Literal["flat", "filled", "outlined"]


class FlatButton(QToolButton):
    """Draws itself from palette roles, so it follows light and dark without a style sheet."""

    def __init__(self, text: str = "", parent: QWidget | None = None, kind: Kind = "flat") -> None:
        super().__init__(parent)
        self._kind = kind
        self._radius = 6.0
        self.setText(text)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.setCursor(Qt.CursorShape.ArrowCursor)

    def set_round(self) -> None:
        """A circle, for the one button that matters."""
        self._radius = 999.0

    def set_left(self) -> None:
        """As wide as its place, with icon and word at the left."""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        icon = self.iconSize() if not self.icon().isNull() else QSize(0, 0)
        pad = 5 if not self.text() else 9
        width = icon.width() + 2 * pad
        height = max(icon.height() + 2 * min(pad, 6), 0)
        if self.text():
            metrics = self.fontMetrics()
            width += metrics.horizontalAdvance(self.text()) + (6 if icon.width() else 2)
            height = max(height, round(metrics.height() * 1.55))
        return QSize(width, height)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        radius = min(self._radius, area.height() / 2)
        self._paint_back(painter, area, radius)
        if self.hasFocus():
            painter.setPen(self.palette().color(QPalette.ColorRole.Accent))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(area, radius, radius)
        self._paint_content(painter)
        painter.end()

    def _paint_back(self, painter: QPainter, area: QRectF, radius: float) -> None:
        palette = self.palette()
        text = palette.color(QPalette.ColorRole.WindowText)
        fill: QColor | None = None
        if self._kind == "filled":
            fill = palette.color(QPalette.ColorRole.Accent)
            if not self.isEnabled():
                fill = mix(palette.color(QPalette.ColorRole.Base), text, 0.14)
            elif self.isDown():
                fill = mix(fill, QColor("black"), 0.16)
            elif self.underMouse():
                fill = mix(fill, QColor("white"), 0.1)
        elif self.isEnabled() and (self.isDown() or self.isChecked() or self.underMouse()):
            fill = QColor(text)
            fill.setAlphaF(0.16 if self.isDown() else 0.09)
        painter.setPen(Qt.PenStyle.NoPen)
        if self._kind == "outlined":
            painter.setPen(mix(palette.color(QPalette.ColorRole.Base), text, 0.25))
        if fill is not None or self._kind == "outlined":
            painter.setBrush(fill if fill is not None else Qt.BrushStyle.NoBrush)
            painter.drawRoundedRect(area, radius, radius)

    def _paint_content(self, painter: QPainter) -> None:
        mode = QIcon.Mode.Normal if self.isEnabled() else QIcon.Mode.Disabled
        if self.isEnabled() and self.underMouse():
            mode = QIcon.Mode.Active
        icon, text = self.icon(), self.text()
        size = self.iconSize()
        if not text:
            place = QRect(0, 0, size.width(), size.height())
            place.moveCenter(self.rect().center())
            icon.paint(painter, place, Qt.AlignmentFlag.AlignCenter, mode)
            return
        left = 9
        if not icon.isNull():
            place = QRect(left, (self.height() - size.height()) // 2, size.width(), size.height())
            icon.paint(painter, place, Qt.AlignmentFlag.AlignCenter, mode)
            left += size.width() + 6
        painter.setPen(self._text_color())
        rest = self.rect().adjusted(left, 0, -6, 0)
        flags = Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft
        if icon.isNull():
            rest, flags = self.rect(), Qt.AlignmentFlag.AlignCenter
        shown = self.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, rest.width())
        painter.drawText(rest, flags, shown)

    def _text_color(self) -> QColor:
        palette = self.palette()
        if self._kind == "filled":
            return palette.color(QPalette.ColorRole.HighlightedText)
        text = palette.color(QPalette.ColorRole.WindowText)
        if not self.isEnabled():
            return mix(text, palette.color(QPalette.ColorRole.Base), 0.6)
        return text if self.underMouse() else mix(text, palette.color(QPalette.ColorRole.Base), 0.2)


def icon_button(
    icons: Icons | None,
    name: str,
    tip: str,
    parent: QWidget | None = None,
    *,
    size: int = 16,
    kind: Kind = "flat",
) -> FlatButton:
    """An icon-only button; its tip is also its spoken name."""
    button = FlatButton("", parent, kind)
    button.setIconSize(QSize(size, size))
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    if icons is not None:
        icons.bind(button, name, on_accent=kind == "filled")
    return button
