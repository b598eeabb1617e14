"""What the agent changed, to be kept or undone: a list of files and the difference of one."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QPalette
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.agent.review import FileReview
from app.session.agent_session import ChangedFile
from app.ui.agent.diff_colors import FileColors
from app.ui.agent.diff_view import DiffView
from app.ui.agent.test_strip import TestStrip
from app.ui.buttons import FlatButton
from app.ui.theme import Theme, tint

_KINDS = {"created": "new", "modified": "", "deleted": "deleted", "mode": "permissions"}
_MOST_LISTED = 7  # files seen without scrolling


class ChangesPanel(QWidget):
    """Shows what it is given; asks for the rest."""

    file_chosen = Signal(str)
    keep_file_wanted = Signal(str)
    undo_file_wanted = Signal(str)
    keep_all_wanted = Signal()
    undo_all_wanted = Signal()
    redo_wanted = Signal()
    split_changed = Signal(bool)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self.setBackgroundRole(QPalette.ColorRole.Window)
        self.setAutoFillBackground(True)
        self._title = QLabel(self.tr("Changes"), self)
        self._note = QLabel(self)
        self._note.setTextFormat(Qt.TextFormat.PlainText)
        self._note.setWordWrap(True)
        self.tests = TestStrip(theme, self)
        self.list = QListWidget(self)
        self.list.setAccessibleName(self.tr("Changed files"))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        self.list.currentItemChanged.connect(self._on_current)
        self.diff = DiffView(theme, self)
        self.list.itemActivated.connect(lambda _item: self.diff.focus_text())
        self.keep_all = self._button(
            self.tr("Keep all"), self.tr("Everything is right; the list becomes empty")
        )
        self.undo_all = self._button(
            self.tr("Undo all"), self.tr("Put back what was there before this task")
        )
        self.redo = self._button(self.tr("Redo"), self.tr("Takes the last undo back"))
        self.keep_file = self._button(self.tr("Keep file"), self.tr("All of this file is right"))
        self.undo_file = self._button(
            self.tr("Undo file"), self.tr("Put this file back as it was before this task")
        )
        self.side = self._button(
            self.tr("Side by side"), self.tr("The old file at the left, the new one at the right")
        )
        self.side.setCheckable(True)
        self.side.toggled.connect(self._on_split)
        self.keep_all.clicked.connect(self.keep_all_wanted)
        self.undo_all.clicked.connect(self.undo_all_wanted)
        self.redo.clicked.connect(self.redo_wanted)
        self.keep_file.clicked.connect(lambda: self.keep_file_wanted.emit(self.path))
        self.undo_file.clicked.connect(lambda: self.undo_file_wanted.emit(self.path))
        self._lay_out()
        theme.changed.connect(self._restyle)
        self._restyle()
        self.show_changes(())

    @property
    def path(self) -> str:
        """The chosen file, workspace-relative; empty with none."""
        item = self.list.currentItem()
        return str(item.data(Qt.ItemDataRole.UserRole)) if item is not None else ""

    @property
    def has_something(self) -> bool:
        """Whether there is anything to see here."""
        return self.list.count() > 0 or self.tests.isVisibleTo(self) or self.redo.isEnabled()

    def show_changes(self, files: Sequence[ChangedFile], *, can_redo: bool = False) -> None:
        """All files that differ from before; the chosen one stays chosen."""
        chosen = self.path
        self.list.blockSignals(True)
        self.list.clear()
        for file in files:
            self.list.addItem(_item(file))
            if file.change.path == chosen:
                self.list.setCurrentRow(self.list.count() - 1)
        self.list.blockSignals(False)
        open_ones = sum(not file.is_kept for file in files)
        self._note.setText(self._sentence(len(files), open_ones))
        some = bool(files)
        self.redo.setEnabled(can_redo)
        self.redo.setVisible(can_redo)
        self.keep_all.setEnabled(open_ones > 0)
        for widget in (self.keep_all, self.undo_all, self.list, self.diff, self._file_row):
            widget.setVisible(some)
        self._fit_list()
        if not some:
            self.diff.show_review(None)
        elif self.list.currentItem() is None:
            waiting = [at for at, file in enumerate(files) if not file.is_kept]
            self.list.setCurrentRow(waiting[0] if waiting else 0)
        else:
            self.file_chosen.emit(self.path)

    def show_review(self, review: FileReview | None) -> None:
        """The difference of the chosen file."""
        if review is not None and review.path != self.path:
            return
        self.diff.show_review(review)
        left = review is not None and review.sentence != "" and review.before == review.after
        self.keep_file.setEnabled(not left)

    def show_colors(self, review: FileReview, colors: FileColors) -> None:
        """Syntax colours for a review that is still the one on screen."""
        if self.diff.review is review:
            self.diff.show_colors(colors)

    def step(self, by: int) -> None:
        """The next or previous change, in the next or previous file where this one ends."""
        if self.diff.step(by):
            return
        row = self.list.currentRow() + by
        if 0 <= row < self.list.count():
            self.list.setCurrentRow(row)

    def _sentence(self, count: int, waiting: int) -> str:
        if not count:
            return self.tr("Nothing has been changed yet.")
        if not waiting:
            return self.tr("You have looked at everything.")
        return self.tr("Everything here is on disk already; undo brings back what was there.")

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(6)
        head.addWidget(self._title, 1)
        for button in (self.redo, self.undo_all, self.keep_all):
            head.addWidget(button)
        self._file_row = QWidget(self)
        row = QHBoxLayout(self._file_row)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.side)
        row.addStretch(1)
        row.addWidget(self.undo_file)
        row.addWidget(self.keep_file)
        column = QVBoxLayout(self)
        column.setContentsMargins(14, 12, 14, 14)
        column.setSpacing(8)
        column.addWidget(self.tests)
        column.addLayout(head)
        column.addWidget(self._note)
        column.addWidget(self.list)
        column.addWidget(self._file_row)
        column.addWidget(self.diff, 1)
        column.addStretch(0)

    def _button(self, words: str, tip: str) -> FlatButton:
        button = FlatButton(words, self, "outlined")
        button.setToolTip(tip)
        return button

    def _on_current(self) -> None:
        if self.path:
            self.file_chosen.emit(self.path)

    def _on_split(self, on: bool) -> None:
        self.diff.set_split(on)
        self.split_changed.emit(on)

    def _fit_list(self) -> None:
        rows = min(max(self.list.count(), 1), _MOST_LISTED)
        hint = self.list.sizeHintForRow(0) if self.list.count() else 24
        self.list.setFixedHeight(rows * max(hint, 20) + 8)

    def _restyle(self) -> None:
        font = self._theme.text_font(1.1)
        font.setBold(True)
        self._title.setFont(font)
        small = self._theme.small_font()
        self._note.setFont(small)
        self.list.setFont(self._theme.text_font(0.95))
        for button in (self.keep_all, self.undo_all, self.redo, self.keep_file, self.undo_file):
            button.setFont(small)
        self.side.setFont(small)
        pad = round(self._theme.em() * 0.22)
        self.list.setStyleSheet(
            "QListWidget { border: none; border-radius: 6px; outline: none; padding: 2px; }"
            f"QListWidget::item {{ padding: {pad}px {2 * pad}px; border-radius: 5px; }}"
            "QListWidget::item:selected { background: palette(window); color: palette(text); }"
            "QListWidget::item:selected:focus { border: 1px solid palette(highlight); }"
        )
        tint(self._note, self._theme.colors.muted)
        self._fit_list()


def _item(file: ChangedFile) -> QListWidgetItem:
    change = file.change
    words = f"+{change.added_lines} −{change.removed_lines}"
    parts = ("✓" if file.is_kept else "•", change.path, words, _KINDS.get(change.kind, ""))
    item = QListWidgetItem("  ".join(part for part in parts if part))
    item.setData(Qt.ItemDataRole.UserRole, change.path)
    item.setToolTip(change.path)
    item.setSizeHint(QSize())
    state = "kept" if file.is_kept else "to look at"
    item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{change.path}, {words}, {state}")
    return item
