"""The strip over the composer that tells how the engine is, with a button that helps."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from app.ui.buttons import FlatButton
from app.ui.engine_notice import EngineNotice
from app.ui.icons import Icons
from app.ui.theme import Theme, tint


class EngineStrip(QWidget):
    """Hidden while all is well."""

    action = Signal(str)

    def __init__(self, theme: Theme, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._icons = icons
        self._notice = EngineNotice()
        self._icon = QLabel(self)
        self._label = QLabel(self)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setWordWrap(True)
        self.button = FlatButton("", self, "outlined")
        self.button.clicked.connect(lambda: self.action.emit(self._notice.action))
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 9, 10, 9)
        row.setSpacing(10)
        row.addWidget(self._icon)
        row.addWidget(self._label, 1)
        row.addWidget(self.button)
        theme.changed.connect(self._restyle)
        self._restyle()
        self.hide()

    def set_notice(self, notice: EngineNotice) -> None:
        """Shows, changes or hides the strip."""
        if notice == self._notice:
            return
        self._notice = notice
        self.setVisible(not notice.is_empty)
        words = f"{notice.sentence} {notice.remedy}".strip()
        self._label.setText(words)
        self.setAccessibleName(words)
        self.button.setText(notice.action_label)
        self.button.setVisible(bool(notice.action))
        self.button.updateGeometry()
        self._restyle()
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:
        colors, notice = self._theme.colors, self._notice
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colors.warning_back if notice.is_problem else colors.bubble)
        area = QRectF(self.rect())
        painter.drawRoundedRect(area, 11, 11)
        if notice.fraction is not None:
            bar = QRectF(14, area.height() - 5, area.width() - 28, 2.5)
            painter.setBrush(colors.border)
            painter.drawRoundedRect(bar, 1.25, 1.25)
            bar.setWidth(max(bar.width() * notice.fraction, 2.5))
            painter.setBrush(colors.accent)
            painter.drawRoundedRect(bar, 1.25, 1.25)
        painter.end()

    def _restyle(self) -> None:
        colors = self._theme.colors
        problem = self._notice.is_problem
        self._label.setFont(self._theme.text_font(0.95))
        self.button.setFont(self._theme.small_font())
        tint(self._label, colors.text if problem else colors.muted)
        name, color = ("warning", colors.warning) if problem else ("model", colors.muted)
        self._icon.setPixmap(self._icons.pixmap(name, 18, color, self.devicePixelRatioF()))
