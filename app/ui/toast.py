"""One line at the upper edge that goes away by itself, perhaps with a button."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QRectF, Qt, QTimer
from PySide6.QtGui import QAccessible, QAccessibleEvent, QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from app.ui.buttons import FlatButton
from app.ui.theme import Theme, mix, tint

_SHOWN_MS = 7_000


class Toast(QWidget):
    """Lies over its parent; never takes the focus, never blocks."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._host = parent
        self._theme = theme
        self._then: Callable[[], object] | None = None
        self._label = QLabel(self)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setWordWrap(True)
        self.button = FlatButton("", self, "outlined")
        self.button.clicked.connect(self._on_clicked)
        row = QHBoxLayout(self)
        row.setContentsMargins(14, 8, 10, 8)
        row.setSpacing(12)
        row.addWidget(self._label, 1)
        row.addWidget(self.button)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SHOWN_MS)
        self._timer.timeout.connect(self._on_time)
        parent.installEventFilter(self)
        self.hide()

    def say(
        self,
        words: str,
        action: str = "",
        then: Callable[[], object] | None = None,
        is_problem: bool = False,
    ) -> None:
        """Shows `words`; the button `action` calls `then`."""
        self._then = then
        self._label.setText(words)
        tint(self._label, self._theme.colors.text)
        self.button.setText(action)
        self.button.setVisible(bool(action))
        self.button.updateGeometry()
        self.setAccessibleName(words)
        self._place()
        self.show()
        self.raise_()
        self._timer.start(_SHOWN_MS * 2 if is_problem else _SHOWN_MS)
        QAccessible.updateAccessibility(QAccessibleEvent(self, QAccessible.Event.Alert))

    @property
    def words(self) -> str:
        return self._label.text()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.parent() and event.type() == QEvent.Type.Resize and self.isVisible():
            self._place()
        return super().eventFilter(watched, event)

    def paintEvent(self, _event: QPaintEvent) -> None:
        colors = self._theme.colors
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(mix(colors.border, colors.text, 0.15))
        painter.setBrush(mix(colors.base, colors.text, 0.07))
        painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 10, 10)
        painter.end()

    def _place(self) -> None:
        room = self._host.size()
        metrics = self._label.fontMetrics()
        natural = metrics.horizontalAdvance(self._label.text()) + 48
        if not self.button.isHidden():
            natural += self.button.sizeHint().width() + 12
        width = min(natural, room.width() - 48, 620)
        height = max(self.heightForWidth(width), self.sizeHint().height())
        self.setGeometry((room.width() - width) // 2, 16, width, height)

    def _on_time(self) -> None:
        if self.underMouse():  # somebody is about to press the button
            self._timer.start()
        else:
            self.hide()

    def _on_clicked(self) -> None:
        self.hide()
        if self._then is not None:
            self._then()
