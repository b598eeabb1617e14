"""The context is full: what shall happen? Shown over the composer, never decided silently."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.ui.buttons import FlatButton
from app.ui.theme import Theme, tint


class RoomStrip(QWidget):
    """Emits "summary", "drop_oldest", "new_chat", or "" for leaving it."""

    chosen = Signal(str)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._label = QLabel(self)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setWordWrap(True)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.buttons: dict[str, FlatButton] = {}
        for name, words, tip in (
            (
                "summary",
                self.tr("Continue with a summary"),
                self.tr("The model sums up the older messages and goes on from there."),
            ),
            (
                "drop_oldest",
                self.tr("Leave out the oldest"),
                self.tr("The oldest messages stay here, but the model no longer reads them."),
            ),
            ("new_chat", self.tr("New chat"), self.tr("Take this message into a new chat.")),
            ("", self.tr("Not now"), self.tr("Back to writing.")),
        ):
            button = FlatButton(words, self, "outlined")
            button.setToolTip(tip)
            button.clicked.connect(lambda _checked=False, choice=name: self._choose(choice))
            row.addWidget(button)
            self.buttons[name] = button
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 14, 10)
        column.addWidget(self._label)
        column.addLayout(row)
        theme.changed.connect(self._restyle)
        self._restyle()
        self.hide()

    def ask(self, sentence: str) -> None:
        """Shows the choice."""
        self._label.setText(sentence)
        self.setAccessibleName(sentence)
        self.show()
        self.buttons["summary"].setFocus()

    def _choose(self, choice: str) -> None:
        self.hide()
        self.chosen.emit(choice)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colors.warning_back)
        painter.drawRoundedRect(QRectF(self.rect()), 11, 11)
        painter.end()

    def _restyle(self) -> None:
        self._label.setFont(self._theme.text_font(0.95))
        tint(self._label, self._theme.colors.text)
        for button in self.buttons.values():
            button.setFont(self._theme.small_font())
            button.updateGeometry()
