"""What the agent changed: a list of files, the difference of the chosen one, and ways back."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.agent.types import Change
from app.ui.agent.code_box import CodeBox
from app.ui.buttons import FlatButton
from app.ui.theme import Theme, tint

_KINDS = {"created": "new", "modified": "", "deleted": "deleted", "mode": "permissions"}


class ChangesPanel(QWidget):
    """Shows what it is given; asks for the rest."""

    file_chosen = Signal(str)
    undo_file_wanted = Signal(str)
    undo_all_wanted = Signal()
    redo_wanted = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setBackgroundRole(QPalette.ColorRole.Window)
        self.setAutoFillBackground(True)
        self._title = QLabel(self.tr("Changes"), self)
        self._note = QLabel(self)
        self._note.setTextFormat(Qt.TextFormat.PlainText)
        self._note.setWordWrap(True)
        self.list = QListWidget(self)
        self.list.setAccessibleName(self.tr("Changed files"))
        self.list.currentItemChanged.connect(self._on_current)
        self._box = CodeBox(theme.colors, 10_000, self)
        self._box.setAccessibleName(self.tr("Difference"))
        self.undo_file = FlatButton(self.tr("Undo this file"), self, "outlined")
        self.undo_file.clicked.connect(lambda: self.undo_file_wanted.emit(self.path))
        self.undo_all = FlatButton(self.tr("Undo all"), self, "outlined")
        self.undo_all.clicked.connect(self.undo_all_wanted)
        self.redo = FlatButton(self.tr("Redo"), self, "outlined")
        self.redo.setToolTip(self.tr("Takes the last undo back"))
        self.redo.clicked.connect(self.redo_wanted)
        head = QHBoxLayout()
        head.addWidget(self._title, 1)
        head.addWidget(self.redo)
        head.addWidget(self.undo_all)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 12, 14, 14)
        column.setSpacing(8)
        column.addLayout(head)
        column.addWidget(self._note)
        column.addWidget(self.list, 1)
        column.addWidget(self.undo_file, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._box, 3)
        theme.changed.connect(self._restyle)
        self._restyle()
        self.show_changes(())

    @property
    def path(self) -> str:
        """The chosen file, workspace-relative; empty with none."""
        item = self.list.currentItem()
        return str(item.data(Qt.ItemDataRole.UserRole)) if item is not None else ""

    def show_changes(self, changes: Sequence[Change]) -> None:
        """All files that differ from before; the chosen one stays chosen."""
        chosen = self.path
        self.list.blockSignals(True)
        self.list.clear()
        for change in changes:
            kind = _KINDS.get(change.kind, "")
            words = f"+{change.added_lines} −{change.removed_lines}"
            text = "  ".join(word for word in (change.path, words, kind) if word)
            item = QListWidgetItem(text)
            item.setData(Qt.ItemDataRole.UserRole, change.path)
            item.setToolTip(change.path)
            self.list.addItem(item)
            if change.path == chosen:
                self.list.setCurrentItem(item)
        self.list.blockSignals(False)
        some = bool(changes)
        self._note.setText(
            self.tr("Everything here is on disk already; undo brings back what was there before.")
            if some
            else self.tr("Nothing has been changed yet.")
        )
        for widget in (self.undo_file, self.undo_all, self._box, self.list):
            widget.setVisible(some)
        if some and self.list.currentItem() is None:
            self.list.setCurrentRow(0)
        elif some:
            self.file_chosen.emit(self.path)

    def show_diff(self, text: str) -> None:
        self._box.show_text(text, is_diff=True)
        self._box.setMinimumHeight(80)
        self._box.setMaximumHeight(16_777_215)

    def _on_current(self) -> None:
        if self.path:
            self.file_chosen.emit(self.path)

    def _restyle(self) -> None:
        font = self._theme.text_font(1.1)
        font.setBold(True)
        self._title.setFont(font)
        self._box.setFont(self._theme.code_font())
        pad = round(self._theme.em() * 0.3)
        self.list.setStyleSheet(
            "QListWidget { border: none; border-radius: 6px; outline: none; }"
            f"QListWidget::item {{ padding: {pad}px {2 * pad}px; border-radius: 6px; }}"
            "QListWidget::item:selected { background: palette(window); color: palette(text); }"
        )
        tint(self._note, self._theme.colors.muted)
