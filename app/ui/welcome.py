"""An empty chat: a greeting, what answers, and a few first questions."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from app.ui.buttons import FlatButton
from app.ui.icons import Icons
from app.ui.theme import Theme, tint

SUGGESTIONS = (
    "Explain what a hash table is, with a small Python example.",
    "Write a shell script that renames photos by date.",
    "What should I check before merging a pull request?",
)


class Welcome(QWidget):
    """Shown until the first message."""

    suggestion_chosen = Signal(str)

    def __init__(self, theme: Theme, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._icons = icons
        self._icon = QLabel(self)
        self._icon.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._title = QLabel(self.tr("What shall we work on?"), self)
        self._note = QLabel(self)
        for label in (self._title, self._note):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            label.setWordWrap(True)
        column = QVBoxLayout(self)
        column.setSpacing(0)
        column.addStretch(5)
        column.addWidget(self._icon)
        column.addSpacing(14)
        column.addWidget(self._title)
        column.addSpacing(8)
        column.addWidget(self._note)
        column.addSpacing(22)
        self._buttons: list[FlatButton] = []
        for words in SUGGESTIONS:
            button = FlatButton(words, self, "outlined")
            button.clicked.connect(
                lambda _checked=False, text=words: self.suggestion_chosen.emit(text)
            )
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
            column.addSpacing(8)
            self._buttons.append(button)
        column.addStretch(6)
        theme.changed.connect(self._restyle)
        self._restyle()

    def set_note(self, words: str) -> None:
        """One line on what answers here."""
        self._note.setText(words)

    def _restyle(self) -> None:
        size = round(self._theme.em() * 3)
        self._icon.setPixmap(self._icons.app_icon().pixmap(size, size))
        title = self._theme.text_font(1.5)
        title.setWeight(title.Weight.DemiBold)
        self._title.setFont(title)
        self._note.setFont(self._theme.text_font(0.95))
        tint(self._note, self._theme.colors.muted)
        for button in self._buttons:
            button.setFont(self._theme.text_font(0.95))
            tint(button, self._theme.colors.muted)
            button.updateGeometry()
