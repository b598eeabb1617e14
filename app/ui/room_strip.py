"""Choices over the composer: the context is full, or an action costs time. Never silently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.ui.buttons import FlatButton
from app.ui.theme import Theme, tint


class Choice(NamedTuple):
    """One button: its name in `chosen`, its words, and a tip."""

    name: str
    words: str
    tip: str


class ChoiceStrip(QWidget):
    """A sentence and its answers; emits the name of the one chosen ("" leaves it)."""

    chosen = Signal(str)

    def __init__(
        self, theme: Theme, choices: Sequence[Choice], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._label = QLabel(self)
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setWordWrap(True)
        row = QHBoxLayout()
        row.setSpacing(8)
        self.buttons: dict[str, FlatButton] = {}
        for choice in choices:
            button = FlatButton(choice.words, self, "outlined")
            button.setToolTip(choice.tip)
            button.clicked.connect(lambda _checked=False, name=choice.name: self._choose(name))
            row.addWidget(button)
            self.buttons[choice.name] = button
        row.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 10, 14, 10)
        column.addWidget(self._label)
        column.addLayout(row)
        theme.changed.connect(self._restyle)
        self._restyle()
        self.hide()

    def ask(self, sentence: str) -> None:
        """Shows the choice; the first answer has the focus."""
        self._label.setText(sentence)
        self.setAccessibleName(sentence)
        self.show()
        next(iter(self.buttons.values())).setFocus()

    @property
    def words(self) -> str:
        """The sentence."""
        return self._label.text()

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


class RoomStrip(ChoiceStrip):
    """The context is full: "summary", "drop_oldest", "new_chat", or ""."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        choices = (
            Choice(
                "summary",
                self.tr("Continue with a summary"),
                self.tr("The model sums up the older messages and goes on from there."),
            ),
            Choice(
                "drop_oldest",
                self.tr("Leave out the oldest"),
                self.tr("The oldest messages stay here, but the model no longer reads them."),
            ),
            Choice("new_chat", self.tr("New chat"), self.tr("Take this message into a new chat.")),
            Choice("", self.tr("Not now"), self.tr("Back to writing.")),
        )
        super().__init__(theme, choices, parent)


class CostStrip(ChoiceStrip):
    """An action makes the model read much again: "go" does it, "" leaves it."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        choices = (
            Choice("go", self.tr("Do it"), self.tr("Go on; the model reads it again.")),
            Choice("", self.tr("Not now"), self.tr("Everything stays as it is.")),
        )
        super().__init__(theme, choices, parent)
