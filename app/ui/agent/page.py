"""The agent page: folder and mode above, the story in the middle, changes at the right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QPalette
from PySide6.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QMenu,
    QSplitter,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from app.ui.agent.cards import ApprovalView, QuestionView, TodoView, ToolCardView
from app.ui.agent.changes import ChangesPanel
from app.ui.buttons import FlatButton
from app.ui.composer import Composer
from app.ui.icons import Icons
from app.ui.theme import Theme, tint
from app.ui.transcript.transcript import Transcript

MODES = (
    ("look", "Look", "Reads only. Nothing is changed, no command runs."),
    ("ask", "Ask", "Asks before every change and every command."),
    ("auto", "Hands-free", "Works inside this folder without asking; dangerous things still ask."),
)


class AgentPage(QWidget):
    """Values in, signals out."""

    folder_chosen = Signal(str)
    mode_chosen = Signal(str)
    card_action = Signal(int, str, object)  # transcript id, verb, payload
    new_wanted = Signal()

    def __init__(self, theme: Theme, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setBackgroundRole(QPalette.ColorRole.Base)
        self.setAutoFillBackground(True)
        self._recent: tuple[str, ...] = ()
        self.folder = FlatButton(self.tr("Choose a folder…"), self, "outlined")
        icons.bind(self.folder, "folder")
        self.folder.clicked.connect(self._on_folder)
        self.mode = QComboBox(self)
        self.mode.setAccessibleName(self.tr("What the agent may do"))
        for key, title, help_ in MODES:
            self.mode.addItem(title, key)
            self.mode.setItemData(self.mode.count() - 1, help_, Qt.ItemDataRole.ToolTipRole)
        self.mode.activated.connect(lambda row: self.mode_chosen.emit(self.mode.itemData(row)))
        self.badge = QLabel(self)
        self.badge.setTextFormat(Qt.TextFormat.PlainText)
        self.status = QLabel(self)
        self.status.setTextFormat(Qt.TextFormat.PlainText)
        self.fresh = FlatButton(self.tr("New task"), self, "outlined")
        self.fresh.clicked.connect(self.new_wanted)
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
        self.composer = Composer(theme, icons)
        self.composer.text.setPlaceholderText(self.tr("What shall be done in this folder?"))
        self.composer.attach.hide()
        self.composer.tune.hide()
        self.composer.gauge.hide()
        self.composer.model.hide()
        self._lay_out()
        theme.changed.connect(self._restyle)
        self._restyle()
        self.show_folder("", proven=False, sentence="")

    def show_folder(self, path: str, *, proven: bool, sentence: str) -> None:
        """The open folder and what holds commands in it; an empty path means none."""
        self._stack.setCurrentIndex(1 if path else 0)
        self.folder.setText(PurePath(path).name if path else self.tr("Choose a folder…"))
        self.folder.setToolTip(path)
        self.folder.updateGeometry()
        words = self.tr("Commands are fenced in") if proven else self.tr("Commands always ask")
        self.badge.setText(words if path else "")
        self.badge.setToolTip(sentence)
        tint(self.badge, self._theme.colors.muted if proven else self._theme.colors.warning)
        self.fresh.setVisible(bool(path))
        self.mode.setVisible(bool(path))
        self.composer.setEnabled(bool(path))

    def show_mode(self, mode: str) -> None:
        self.mode.setCurrentIndex(max(0, self.mode.findData(mode)))

    def show_recent(self, folders: Sequence[str]) -> None:
        """Folders used before, newest first."""
        self._recent = tuple(folders)

    def show_status(self, words: str) -> None:
        """What it is doing, or what the last run took."""
        self.status.setText(words)

    def show_problem(self, words: str) -> None:
        """Why a folder could not be opened, or a request not begun."""
        self._problem.setText(words)
        self._problem.setVisible(bool(words))

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setContentsMargins(20, 12, 20, 6)
        head.setSpacing(10)
        for widget in (self.folder, self.mode, self.badge):
            head.addWidget(widget)
        head.addStretch(1)
        head.addWidget(self.status)
        head.addWidget(self.fresh)
        self._problem = QLabel(self)
        self._problem.setTextFormat(Qt.TextFormat.PlainText)
        self._problem.setWordWrap(True)
        self._problem.setContentsMargins(20, 2, 20, 2)
        self._problem.hide()
        story = QWidget(self)
        column = QVBoxLayout(story)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.transcript, 1)
        column.addWidget(self.composer)
        split = QSplitter(Qt.Orientation.Horizontal, self)
        split.addWidget(story)
        split.addWidget(self.changes)
        split.setStretchFactor(0, 3)
        split.setStretchFactor(1, 2)
        split.setHandleWidth(1)
        self._stack = QStackedWidget(self)
        self._stack.addWidget(self._invitation())
        self._stack.addWidget(split)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.setSpacing(0)
        outer.addLayout(head)
        outer.addWidget(self._problem)
        outer.addWidget(self._stack, 1)

    def _invitation(self) -> QWidget:
        widget = QWidget(self)
        self._heading = QLabel(self.tr("An agent for one folder"), widget)
        self._words = QLabel(
            self.tr(
                "Choose a folder and say what to do. The agent reads, edits and runs commands "
                "there, and nowhere else. It asks before it changes anything, and every change "
                "can be taken back."
            ),
            widget,
        )
        self._words.setWordWrap(True)
        self._words.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        choose = FlatButton(self.tr("Choose a folder…"), widget, "filled")
        choose.clicked.connect(self._on_folder)
        column = QVBoxLayout(widget)
        column.setSpacing(12)
        column.addStretch(2)
        column.addWidget(self._heading, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(self._words, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addWidget(choose, 0, Qt.AlignmentFlag.AlignHCenter)
        column.addStretch(3)
        return widget

    def _on_folder(self) -> None:
        if not self._recent:
            self._choose()
            return
        menu = QMenu(self)
        for path in self._recent:
            action = QAction(path, menu)
            action.triggered.connect(lambda _on=False, chosen=path: self.folder_chosen.emit(chosen))
            menu.addAction(action)
        menu.addSeparator()
        other = menu.addAction(self.tr("Another folder…"))
        other.triggered.connect(self._choose)
        menu.popup(self.folder.mapToGlobal(self.folder.rect().bottomLeft()))

    def _choose(self) -> None:
        dialog = QFileDialog(self, self.tr("Choose a folder for the agent"))
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(self.folder_chosen)
        dialog.open()  # never exec(): it would stop the tasks of the loop

    def _restyle(self) -> None:
        small, colors = self._theme.small_font(), self._theme.colors
        for label in (self.badge, self.status):
            label.setFont(small)
        tint(self.status, colors.muted)
        tint(self._problem, colors.warning)
        font = self._theme.text_font(1.4)
        font.setBold(True)
        self._heading.setFont(font)
        width = round(self._theme.em() * 30)
        self._words.setFixedWidth(width)
        self._words.setFixedHeight(self._words.heightForWidth(width))
        tint(self._words, colors.muted)
