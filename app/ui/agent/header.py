"""The row above a run: which folder, what the agent may do there, and what holds it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QActionGroup
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QMenu, QWidget

from app.agent.events import Tier
from app.ui.buttons import FlatButton, icon_button
from app.ui.icons import Icons
from app.ui.theme import Theme, tint

MODES = (
    ("look", "Look", "Reads only. Nothing is changed, no command runs."),
    ("ask", "Ask", "Asks before every change and every command."),
    ("auto", "Hands-free", "Works inside this folder without asking; dangerous things still ask."),
)
TIERS = {
    Tier.NATIVE: (
        "Uses tools",
        "This model calls tools in its own format: it looks around, edits and runs commands.",
    ),
    Tier.JSON: (
        "Tools by description",
        "This model has no tool format of its own, so the tools are described to it in words.",
    ),
    Tier.WHOLE_FILE: (
        "Whole files",
        "Small models work best without tools: Garret shows the files that matter, the model "
        "writes whole files back, and the tests are run for it.",
    ),
}


class AgentHeader(QWidget):
    """Values in, signals out."""

    folder_chosen = Signal(str)
    mode_chosen = Signal(str)
    new_wanted = Signal()
    servers_wanted = Signal()

    def __init__(self, theme: Theme, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._recent: tuple[str, ...] = ()
        self._proven = False
        self._mode = "ask"
        self.folder = FlatButton(self.tr("Choose a folder…"), self, "outlined")
        icons.bind(self.folder, "folder")
        self.folder.clicked.connect(self.open_folders)
        self.mode = FlatButton("", self, "outlined")
        self.mode.setAccessibleName(self.tr("What the agent may do"))
        icons.bind(self.mode, "chevron-down")
        self.mode.clicked.connect(self.open_modes)
        self.badge = QLabel(self)
        self.tier = QLabel(self)
        for label in (self.badge, self.tier):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.servers = icon_button(
            icons, "tune", self.tr("More tools: add MCP servers"), self, size=17
        )
        self.servers.clicked.connect(self.servers_wanted)
        self.fresh = FlatButton(self.tr("New task"), self, "outlined")
        self.fresh.clicked.connect(self.new_wanted)
        row = QHBoxLayout(self)
        row.setContentsMargins(20, 12, 20, 6)
        row.setSpacing(10)
        for widget in (self.folder, self.mode, self.badge, self.tier):
            row.addWidget(widget)
        row.addStretch(1)
        row.addWidget(self.servers)
        row.addWidget(self.fresh)
        theme.changed.connect(self._restyle)
        self.show_mode("ask")
        self._restyle()

    def show_folder(self, path: str, *, proven: bool, sentence: str) -> None:
        """The open folder and what holds commands in it; an empty path means none."""
        name = PurePath(path).name or path
        shown = name if len(name) <= 32 else f"{name[:30]}…"
        self.folder.setText(shown if path else self.tr("Choose a folder…"))
        self.folder.setToolTip(path)
        self.folder.updateGeometry()
        words = self.tr("Commands are fenced in") if proven else self.tr("Commands always ask")
        self.badge.setText(words if path else "")
        self.badge.setToolTip(sentence)
        self._proven = proven
        for widget in (self.fresh, self.mode, self.servers):
            widget.setVisible(bool(path))
        self.show_tier(None)
        self._restyle()

    def show_mode(self, mode: str) -> None:
        """ "look", "ask" or "auto"."""
        self._mode = mode
        _key, title, meaning = next((one for one in MODES if one[0] == mode), MODES[1])
        self.mode.setText(title)
        self.mode.setToolTip(meaning)
        self.mode.updateGeometry()

    def show_tier(self, tier: Tier | None, reason: str = "") -> None:
        """How the model is spoken to; None before the first task."""
        words, meaning = TIERS[tier] if tier is not None else ("", "")
        self.tier.setText(words)
        self.tier.setToolTip(f"{meaning} {reason}".strip())

    def show_recent(self, folders: Sequence[str]) -> None:
        """Folders used before, newest first."""
        self._recent = tuple(folders)

    def open_folders(self) -> None:
        """The folders used before, or the file dialog."""
        if not self._recent:
            self.choose()
            return
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        for path in self._recent:
            action = QAction(path.replace("&", "&&"), menu)
            action.triggered.connect(lambda _on=False, chosen=path: self.folder_chosen.emit(chosen))
            menu.addAction(action)
        menu.addSeparator()
        other = menu.addAction(self.tr("Another folder…"))
        other.triggered.connect(self.choose)
        menu.popup(self.folder.mapToGlobal(self.folder.rect().bottomLeft()))

    def open_modes(self) -> None:
        """What the agent may do, each with its meaning."""
        menu = self.mode_menu()
        menu.popup(self.mode.mapToGlobal(self.mode.rect().bottomLeft()))

    def mode_menu(self) -> QMenu:
        """The menu of `open_modes`."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        group = QActionGroup(menu)
        for key, title, meaning in MODES:
            action = menu.addAction(f"{self.tr(title)} — {self.tr(meaning)}")
            action.setCheckable(True)
            action.setChecked(key == self._mode)
            action.triggered.connect(lambda _on=False, chosen=key: self.mode_chosen.emit(chosen))
            group.addAction(action)
        return menu

    def choose(self) -> None:
        """The system's folder dialog."""
        dialog = QFileDialog(self, self.tr("Choose a folder for the agent"))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(self.folder_chosen)
        dialog.open()  # never exec(): it would stop the tasks of the loop

    def _restyle(self) -> None:
        colors = self._theme.colors
        for label in (self.badge, self.tier):
            label.setFont(self._theme.small_font())
        tint(self.badge, colors.muted if self._proven else colors.warning)
        tint(self.tier, colors.muted)
