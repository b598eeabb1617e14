"""Find in this chat: all hits marked, one after another brought into view."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QWidget

from app.ui.buttons import icon_button
from app.ui.icons import Icons
from app.ui.theme import Theme, tint
from app.ui.transcript.transcript import Transcript


class FindBar(QWidget):
    """Opens over the transcript with Ctrl+F, closes with Esc."""

    closed = Signal()

    def __init__(
        self, transcript: Transcript, theme: Theme, icons: Icons, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._transcript = transcript
        self._theme = theme
        self.field = QLineEdit(self)
        self.field.setPlaceholderText(self.tr("Find in this chat"))
        self.field.setAccessibleName(self.tr("Find in this chat"))
        self.field.setClearButtonEnabled(True)
        self.count = QLabel(self)
        back = icon_button(icons, "chevron-up", self.tr("Previous hit"), self)
        forth = icon_button(icons, "chevron-down", self.tr("Next hit"), self)
        close = icon_button(icons, "close", self.tr("Close (Esc)"), self)
        row = QHBoxLayout(self)
        row.setContentsMargins(24, 8, 16, 8)
        row.addWidget(self.field, 1)
        row.addWidget(self.count)
        row.addWidget(back)
        row.addWidget(forth)
        row.addWidget(close)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(120)
        self._delay.timeout.connect(self._search)
        self.field.textChanged.connect(lambda _text: self._delay.start())
        back.clicked.connect(lambda: self.step(-1))
        forth.clicked.connect(lambda: self.step(1))
        close.clicked.connect(self.close_bar)
        theme.changed.connect(self._restyle)
        self._restyle()
        self.hide()

    def open_bar(self) -> None:
        """Shows the bar with the last words marked."""
        self.show()
        self.field.setFocus()
        self.field.selectAll()
        self._search()

    def close_bar(self) -> None:
        """Hides the bar and the marks."""
        self.hide()
        self._delay.stop()
        self._transcript.find_words("")
        self.closed.emit()

    def step(self, by: int) -> None:
        """To the next (1) or the previous (-1) hit."""
        self._transcript.find_step(by)
        self._show_count()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.close_bar()
        elif event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
            self.step(-1 if shift else 1)
        else:
            super().keyPressEvent(event)

    def _search(self) -> None:
        self._transcript.find_words(self.field.text())
        self._show_count()

    def _show_count(self) -> None:
        at, total = self._transcript.find_place()
        if not self.field.text():
            self.count.setText("")
        else:
            self.count.setText(
                self.tr("{at} of {total}").format(at=at, total=total)
                if total
                else self.tr("Not found")
            )

    def _restyle(self) -> None:
        tint(self.count, self._theme.colors.muted)
