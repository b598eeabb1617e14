"""The agent page: folder and mode above, the story in the middle, changes at the right."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import QLabel, QSplitter, QStackedWidget, QVBoxLayout, QWidget

from app.ui.agent.cards import ApprovalView, QuestionView, TodoView, ToolCardView
from app.ui.agent.changes import ChangesPanel
from app.ui.agent.header import AgentHeader
from app.ui.agent.invitation import Invitation
from app.ui.agent.meter import RunMeter
from app.ui.composer import Composer
from app.ui.icons import Icons
from app.ui.theme import Theme, tint
from app.ui.transcript.transcript import Transcript

_SPLIT = {False: (58, 42), True: (38, 62)}


class AgentPage(QWidget):
    """Values in, signals out."""

    folder_chosen = Signal(str)
    mode_chosen = Signal(str)
    card_action = Signal(int, str, object)  # transcript id, verb, payload
    new_wanted = Signal()
    servers_wanted = Signal()
    escape_wanted = Signal()

    def __init__(self, theme: Theme, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAutoFillBackground(True)
        self.header = AgentHeader(theme, icons, self)
        self.header.folder_chosen.connect(self.folder_chosen)
        self.header.mode_chosen.connect(self.mode_chosen)
        self.header.new_wanted.connect(self.new_wanted)
        self.header.servers_wanted.connect(self.servers_wanted)
        self.transcript = Transcript(theme, icons)
        for kind, view in (
            ("tool", ToolCardView),
            ("approval", ApprovalView),
            ("question", QuestionView),
            ("todos", TodoView),
        ):
            self.transcript.register(kind, view)
        self.transcript.action.connect(self.card_action)
        self.changes = ChangesPanel(theme)
        self.changes.split_changed.connect(self._on_split)
        self.meter = RunMeter(theme, self)
        self.composer = Composer(theme, icons)
        self.composer.text.setPlaceholderText(self.tr("What shall be done in this folder?"))
        for part in ("attach", "tune", "gauge", "model"):
            getattr(self.composer, part).hide()
        self.invitation = Invitation(theme, self)
        self.invitation.folder_chosen.connect(self.folder_chosen)
        self.invitation.choose_wanted.connect(self.header.choose)
        self._lay_out()
        theme.changed.connect(self._restyle)
        self._restyle()
        self.show_folder("", proven=False, sentence="")

    def show_folder(self, path: str, *, proven: bool, sentence: str) -> None:
        """The open folder and what holds commands in it; an empty path means none."""
        self._stack.setCurrentIndex(1 if path else 0)
        self.header.show_folder(path, proven=proven, sentence=sentence)
        self.composer.setEnabled(bool(path))
        self.meter.clear()

    def escape(self) -> None:
        """Esc was pressed while this page was in front."""
        self.escape_wanted.emit()

    def show_mode(self, mode: str) -> None:
        self.header.show_mode(mode)

    def show_recent(self, folders: Sequence[str]) -> None:
        """Folders used before, newest first."""
        self.header.show_recent(folders)
        self.invitation.show_recent(folders)

    def show_problem(self, words: str) -> None:
        """Why a folder could not be opened, or a request not begun."""
        self.problem.setText(words)
        self.problem.setVisible(bool(words))

    def show_side(self) -> None:
        """The changes come into view with the first of them, and go with the last."""
        wanted = self.changes.has_something
        if wanted == self.changes.isVisibleTo(self._split):
            return
        self.changes.setVisible(wanted)
        if wanted:
            self._on_split(self.changes.diff.is_split)

    def focus_card(self, card_id: int) -> None:
        """Brings the keyboard to a new card's safe answer, unless something is being typed."""
        if self.composer.text.toPlainText():
            return
        for owner, view in self.transcript.views():
            if owner == card_id and isinstance(view, ApprovalView | QuestionView):
                view.focus_default()

    def _lay_out(self) -> None:
        self.problem = QLabel(self)
        self.problem.setTextFormat(Qt.TextFormat.PlainText)
        self.problem.setWordWrap(True)
        self.problem.setContentsMargins(20, 2, 20, 6)
        self.problem.hide()
        story = QWidget(self)
        column = QVBoxLayout(story)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.transcript, 1)
        column.addWidget(self.meter)
        column.addWidget(self.composer)
        self._split = QSplitter(Qt.Orientation.Horizontal, self)
        self._split.addWidget(story)
        self._split.addWidget(self.changes)
        self._split.setStretchFactor(0, 3)
        self._split.setStretchFactor(1, 2)
        self._split.setCollapsible(0, False)
        self._split.setHandleWidth(1)
        self.changes.hide()
        self._stack = QStackedWidget(self)
        self._stack.addWidget(self.invitation)
        self._stack.addWidget(self._split)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addWidget(self.header)
        outer.addWidget(self.problem)
        outer.addWidget(self._stack, 1)

    def _on_split(self, on: bool) -> None:
        width = max(self._split.width(), 100)
        self._split.setSizes([width * share // 100 for share in _SPLIT[on]])

    def _restyle(self) -> None:
        tint(self.problem, self._theme.colors.warning)
