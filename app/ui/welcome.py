"""An empty chat: a greeting, what answers, and a few first questions."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QScrollArea, QVBoxLayout, QWidget

from app.ui.buttons import FlatButton
from app.ui.first_run.panel import FirstRunPanel
from app.ui.icons import Icons
from app.ui.scroll_bar import make_slim
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
        inner = QWidget(self)
        inner.setBackgroundRole(QPalette.ColorRole.Base)
        self._icon = QLabel(inner)
        self._icon.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        self._title = QLabel(self.tr("What shall we work on?"), inner)
        self._note = QLabel(inner)
        self.panel = FirstRunPanel(theme, icons, inner)
        for label in (self._title, self._note):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            label.setWordWrap(True)
        column = QVBoxLayout(inner)
        column.setContentsMargins(24, 12, 24, 12)
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
            button = FlatButton(words, inner, "outlined")
            button.clicked.connect(
                lambda _checked=False, text=words: self.suggestion_chosen.emit(text)
            )
            button.setMinimumWidth(80)  # in a narrow window the words are cut short
            column.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
            column.addSpacing(8)
            self._buttons.append(button)
        column.addSpacing(18)
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.panel, 1000)
        row.addStretch(1)
        column.addLayout(row)
        column.addStretch(6)
        area = QScrollArea(self)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        make_slim(area)
        area.setWidget(inner)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(area)
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
        self.panel.setMaximumWidth(round(self._theme.em() * 34))
        for button in self._buttons:
            button.setFont(self._theme.text_font(0.95))
            tint(button, self._theme.colors.muted)
            button.updateGeometry()
