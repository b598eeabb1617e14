"""What the agent page shows while no folder is open."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from app.ui.buttons import FlatButton
from app.ui.theme import Theme, tint

_MOST_RECENT = 5
_MOST_CHARS = 60


class Invitation(QWidget):
    """One sentence, one button, and the folders used before."""

    folder_chosen = Signal(str)
    choose_wanted = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._buttons: list[FlatButton] = []
        self._heading = QLabel(self.tr("An agent for one folder"), self)
        self._words = QLabel(
            self.tr(
                "Choose a folder and say what to do. The agent reads, edits and runs commands "
                "there, and nowhere else. It asks before it changes anything, and every change "
                "can be taken back."
            ),
            self,
        )
        self._words.setWordWrap(True)
        self._words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        choose = FlatButton(self.tr("Choose a folder…"), self, "filled")
        choose.clicked.connect(self.choose_wanted)
        self._before = QLabel(self.tr("Used before"), self)
        self._column = QVBoxLayout(self)
        self._column.setSpacing(12)
        self._column.addStretch(2)
        for widget in (self._heading, self._words, choose, self._before):
            self._column.addWidget(widget, 0, Qt.AlignmentFlag.AlignHCenter)
        self._recent = QVBoxLayout()
        self._recent.setSpacing(2)
        self._column.addLayout(self._recent)
        self._column.addStretch(3)
        theme.changed.connect(self._restyle)
        self.show_recent(())
        self._restyle()

    def show_recent(self, folders: Sequence[str]) -> None:
        """Folders used before, newest first."""
        for button in self._buttons:
            self._recent.removeWidget(button)
            button.deleteLater()
        self._buttons = []
        for path in folders[:_MOST_RECENT]:
            shown = path if len(path) <= _MOST_CHARS else f"…{path[-_MOST_CHARS:]}"
            button = FlatButton(shown, self)
            button.setToolTip(path)
            button.clicked.connect(lambda _on=False, chosen=path: self.folder_chosen.emit(chosen))
            self._recent.addWidget(button, 0, Qt.AlignmentFlag.AlignHCenter)
            self._buttons.append(button)
        self._before.setVisible(bool(folders))

    def _restyle(self) -> None:
        theme = self._theme
        font = theme.text_font(1.4)
        font.setBold(True)
        self._heading.setFont(font)
        self._words.setFont(theme.text_font())
        width = round(theme.em() * 30)
        self._words.setFixedWidth(width)
        self._words.setFixedHeight(self._words.heightForWidth(width))
        self._before.setFont(theme.small_font())
        tint(self._words, theme.colors.muted)
        tint(self._before, theme.colors.muted)
