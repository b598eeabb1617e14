"""The demo page: the cards, and the stage where one of them runs."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPalette, QResizeEvent, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.ui.agent.cards import ApprovalView, QuestionView, TodoView, ToolCardView
from app.ui.buttons import FlatButton
from app.ui.demo.cards_page import CardsPage
from app.ui.demo.facts_view import FactsView
from app.ui.demo.values import CardFace, Fact
from app.ui.icons import Icons
from app.ui.theme import Theme, tint
from app.ui.transcript.transcript import Transcript

_ROOM_FOR_BOTH_EM = 46


class DemoPage(QWidget):
    """Values in, signals out."""

    card_chosen = Signal(str)
    card_focused = Signal(str)
    run_wanted = Signal()
    stop_wanted = Signal()
    reset_wanted = Signal()
    models_wanted = Signal()
    large_type_wanted = Signal()
    open_wanted = Signal()
    card_action = Signal(int, str, object)
    shown = Signal()
    escaped = Signal()

    def __init__(self, theme: Theme, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._card_id = ""
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAutoFillBackground(True)
        self.cards = CardsPage(theme)
        self.transcript = Transcript(theme, icons)
        for kind, view in (
            ("tool", ToolCardView),
            ("approval", ApprovalView),
            ("question", QuestionView),
            ("todos", TodoView),
        ):
            self.transcript.register(kind, view)
        self.facts = FactsView(theme)
        self._make_head(icons)
        self._lay_out()
        self.cards.chosen.connect(self.card_chosen)
        self.cards.focused.connect(self.card_focused)
        self.transcript.action.connect(self.card_action)
        theme.changed.connect(self._restyle)
        self._restyle()

    @property
    def is_on_stage(self) -> bool:
        """A card is open."""
        return self._stack.currentWidget() is self._stage

    def show_cards(self, note: str, faces: Sequence[CardFace]) -> None:
        """What can be shown, and one line on what answers."""
        self.cards.show_faces(note, faces)

    def open_stage(self, card_id: str, title: str, hint: str, obstacle: str) -> None:
        """A card's stage. With an obstacle nothing runs until somebody insists."""
        self._card_id = card_id
        self._title.setText(title)
        self._hint.setText(obstacle or hint)
        tint(self._hint, self._theme.colors.warning if obstacle else self._theme.colors.muted)
        self._hint.setVisible(bool(obstacle or hint))
        self.run.setText(self.tr("Try it anyway") if obstacle else self.tr("Run again"))
        self.models.setVisible(bool(obstacle))
        self.show_facts(())
        self.offer_files(False)
        self.show_status("")
        self._stack.setCurrentWidget(self._stage)
        self.transcript.setFocus()

    def close_stage(self) -> None:
        """Back to the cards, the keyboard on the one that was open."""
        self._stack.setCurrentWidget(self.cards)
        self.cards.focus_card(self._card_id)

    def set_running(self, running: bool) -> None:
        """Which buttons make sense."""
        self.stop.setVisible(running)
        self.run.setVisible(not running)
        if running:
            self.run.setText(self.tr("Run again"))
            self.models.hide()

    def show_status(self, words: str) -> None:
        self.status.setText(words)

    def show_facts(self, facts: Sequence[Fact]) -> None:
        """What just happened; with nothing to say the view goes away."""
        self.facts.show_facts(facts)
        self.what.setVisible(bool(facts))
        self.what.setChecked(bool(facts) and self.width() > self._theme.em() * _ROOM_FOR_BOTH_EM)
        self._on_what()

    def offer_files(self, there: bool) -> None:
        """Whether the run left something to open."""
        self.open.setVisible(there)

    def toggle_facts(self) -> None:
        """Shows or hides what just happened."""
        if not self.what.isHidden():
            self.what.setChecked(not self.what.isChecked())
            self._on_what()

    def escape(self) -> None:
        """Esc: the controller decides what ends."""
        self.escaped.emit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """In a narrow window, or in large type, what the menus have too makes room."""
        em = self._theme.em()
        self.large.setVisible(self.width() > em * 44)
        self.reset.setVisible(self.width() > em * 36)
        self.back.setText(self.tr("All cards") if self.width() > em * 30 else "")
        self.back.updateGeometry()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.shown.emit()

    def _make_head(self, icons: Icons) -> None:
        self.back = FlatButton(self.tr("All cards"), self)
        icons.bind(self.back, "chevron-left")
        self.back.setAccessibleName(self.tr("All cards"))
        self.back.setToolTip(self.tr("All cards"))
        self.back.clicked.connect(self.escaped)
        self._title = QLabel(self)
        self._hint = QLabel(self)
        self.status = QLabel(self)
        for label in (self._title, self._hint, self.status):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self._title.setWordWrap(True)
        self._hint.setWordWrap(True)
        self._hint.setContentsMargins(28, 0, 28, 6)
        self.what = FlatButton(self.tr("What just happened"), self, "outlined")
        self.what.setCheckable(True)
        self.what.clicked.connect(self._on_what)
        self.open = FlatButton(self.tr("Open"), self, "outlined")
        self.open.setToolTip(self.tr("Opens what was written"))
        self.open.clicked.connect(self.open_wanted)
        self.open.hide()
        self.large = FlatButton(self.tr("Large type"), self, "outlined")
        self.large.clicked.connect(self.large_type_wanted)
        self.reset = FlatButton(self.tr("Reset"), self, "outlined")
        self.reset.setToolTip(self.tr("Ends the run, clears the stage and begins afresh (F5)"))
        self.reset.clicked.connect(self.reset_wanted)
        self.stop = FlatButton(self.tr("Stop"), self, "outlined")
        self.stop.clicked.connect(self.stop_wanted)
        self.run = FlatButton(self.tr("Run again"), self, "filled")
        self.run.clicked.connect(self.run_wanted)
        self.models = FlatButton(self.tr("Get a model"), self, "outlined")
        self.models.clicked.connect(self.models_wanted)

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setContentsMargins(14, 10, 20, 4)
        head.setSpacing(8)
        head.addWidget(self.back)
        head.addWidget(self._title, 1)
        for button in (
            self.open,
            self.what,
            self.large,
            self.reset,
            self.stop,
            self.models,
            self.run,
        ):
            head.addWidget(button)
        self._split = QSplitter(Qt.Orientation.Horizontal, self)
        self._split.addWidget(self.transcript)
        self._split.addWidget(self.facts)
        self._split.setStretchFactor(0, 3)
        self._split.setStretchFactor(1, 2)
        self._split.setHandleWidth(1)
        self.status.setContentsMargins(28, 6, 28, 12)
        self._stage = QWidget(self)
        column = QVBoxLayout(self._stage)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(head)
        column.addWidget(self._hint)
        column.addWidget(self._split, 1)
        column.addWidget(self.status)
        self._stack = QStackedWidget(self)
        self._stack.addWidget(self.cards)
        self._stack.addWidget(self._stage)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(self._stack)

    def _on_what(self) -> None:
        on = self.what.isChecked() and not self.what.isHidden()
        self.facts.setVisible(on)
        narrow = self.width() <= self._theme.em() * _ROOM_FOR_BOTH_EM
        self.transcript.setVisible(not (on and narrow))

    def _restyle(self) -> None:
        title = self._theme.text_font(1.2)
        title.setWeight(title.Weight.DemiBold)
        self._title.setFont(title)
        self._hint.setFont(self._theme.text_font(0.95))
        self.status.setFont(self._theme.text_font(0.95))
        tint(self.status, self._theme.colors.muted)
        for button in (
            self.back,
            self.open,
            self.what,
            self.large,
            self.reset,
            self.stop,
            self.run,
            self.models,
        ):
            button.setFont(self._theme.small_font())
            button.updateGeometry()
        self._fit()
