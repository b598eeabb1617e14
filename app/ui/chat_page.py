"""The page people talk on: transcript, engine strip, composer. Values in, signals out."""

from __future__ import annotations

from PySide6.QtCore import QSize, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QHBoxLayout, QStackedLayout, QVBoxLayout, QWidget

from app.ui.composer import Composer
from app.ui.engine_notice import EngineNotice
from app.ui.engine_strip import EngineStrip
from app.ui.find_bar import FindBar
from app.ui.icons import Icons
from app.ui.room_strip import CostStrip, RoomStrip
from app.ui.theme import Theme
from app.ui.transcript.look import FormulaMaker
from app.ui.transcript.messages import MessageItem
from app.ui.transcript.transcript import Transcript
from app.ui.welcome import Welcome

_MARGIN = 24


class ChatPage(QWidget):
    """Knows no session; `ChatController` ties one to it."""

    engine_action = Signal(str)
    contents_changed = Signal()  # the welcome gave way to messages, or the other way round

    def __init__(
        self,
        theme: Theme,
        icons: Icons,
        formulas: FormulaMaker | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAutoFillBackground(True)
        self.transcript = Transcript(theme, icons, formulas)
        self.welcome = Welcome(theme, icons)
        self.find_bar = FindBar(self.transcript, theme, icons, self)
        self.strip = EngineStrip(theme, icons)
        self.coming = EngineStrip(theme, icons)  # a model on its way
        self.room = RoomStrip(theme)
        self.cost = CostStrip(theme)
        self.composer = Composer(theme, icons)
        self.welcome.suggestion_chosen.connect(self._on_suggestion)
        self.strip.action.connect(self.engine_action)
        upper = QWidget(self)
        self._stack = QStackedLayout(upper)
        self._stack.addWidget(self.welcome)
        self._stack.addWidget(self.transcript)
        strip_row = _centered(self.strip)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.find_bar)
        column.addWidget(upper, 1)
        column.addLayout(_centered(self.room))
        column.addLayout(_centered(self.cost))
        column.addLayout(_centered(self.coming))
        column.addLayout(strip_row)
        column.addSpacing(6)
        column.addWidget(self.composer)
        theme.changed.connect(self._restyle)
        self._restyle()

    def show_messages(self, items: list[MessageItem]) -> None:
        """A whole conversation; the welcome when it is empty."""
        self.transcript.set_messages(items)
        self._stack.setCurrentWidget(self.transcript if items else self.welcome)
        self.contents_changed.emit()

    def show_transcript(self) -> None:
        """The first message has come."""
        self._stack.setCurrentWidget(self.transcript)
        self.contents_changed.emit()

    @property
    def is_empty(self) -> bool:
        return self._stack.currentWidget() is self.welcome

    def set_engine_notice(self, notice: EngineNotice) -> None:
        """How the engine is."""
        self.strip.set_notice(notice)

    def sizeHint(self) -> QSize:
        return QSize(760, 640)

    def _on_suggestion(self, text: str) -> None:
        self.composer.set_text(text)
        self.composer.text.setFocus()

    def _restyle(self) -> None:
        for widget in (self.strip, self.coming, self.room, self.cost):
            widget.setMaximumWidth(self._theme.column_width() + 24)


def _centered(widget: QWidget) -> QHBoxLayout:
    """A row that gives `widget` the width of the column."""
    row = QHBoxLayout()
    row.setContentsMargins(_MARGIN, 0, _MARGIN, 0)
    row.addStretch(1)
    row.addWidget(widget, 1000)
    row.addStretch(1)
    return row
