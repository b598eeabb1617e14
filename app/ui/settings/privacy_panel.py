"""Below the privacy settings: every connection Garret made, the ones that are open now, and what
the engine keeps of conversations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import (
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from app.core.network_log import Connection
from app.ui.buttons import FlatButton
from app.ui.scroll_bar import make_slim
from app.ui.theme import Theme, tint
from app.ui.words import size_words


class PrivacyPanel(QWidget):
    """Shows what it is given; `refresh_wanted` when it comes into sight."""

    refresh_wanted = Signal()
    clear_wanted = Signal()
    forget_wanted = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._promise = QLabel(
            self.tr(
                "Questions, answers and files never leave this computer. There is no account, no "
                "telemetry and no update check behind your back. Garret connects to other "
                "computers only for a search or a download you ask for, or to another engine you "
                "name; each of these is listed here."
            ),
            self,
        )
        self.now = QLabel(self)
        for label in (self._promise, self.now):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        self.table = QTreeWidget(self)
        self.table.setRootIsDecorated(False)
        self.table.setAlternatingRowColors(True)
        self.table.setUniformRowHeights(True)
        self.table.setHeaderLabels(
            [self.tr("When"), self.tr("Where"), self.tr("What for"), self.tr("Received")]
        )
        self.table.setAccessibleName(self.tr("Connections to other computers"))
        self.table.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        for column_number in (1, 2):
            stretch = QHeaderView.ResizeMode.Stretch
            self.table.header().setSectionResizeMode(column_number, stretch)
        self.table.header().setStretchLastSection(False)
        make_slim(self.table)
        self._empty = QLabel(self.tr("No connection to another computer has been made."), self)
        self.look = FlatButton(self.tr("Look again"), self, "outlined")
        self.look.clicked.connect(self.refresh_wanted)
        self.clear = FlatButton(self.tr("Clear the list"), self, "outlined")
        self.clear.clicked.connect(self.clear_wanted)
        self.kept = QLabel(self)
        self.kept.setTextFormat(Qt.TextFormat.PlainText)
        self.kept.setWordWrap(True)
        self.forget = FlatButton(self.tr("Clear saved prompt states"), self, "outlined")
        self.forget.setToolTip(
            self.tr("Chats stay as they are; the engine reads them again when you go on with one.")
        )
        self.forget.clicked.connect(self.forget_wanted)
        buttons = QHBoxLayout()
        buttons.addWidget(self.look)
        buttons.addWidget(self.clear)
        buttons.addStretch(1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 14, 0, 0)
        column.setSpacing(10)
        for widget in (self._promise, self.now, self._empty, self.table):
            column.addWidget(widget)
        column.addLayout(buttons)
        column.addSpacing(12)
        column.addWidget(self.kept)
        column.addWidget(self.forget, 0, Qt.AlignmentFlag.AlignLeft)
        theme.changed.connect(self._restyle)
        self._restyle()
        self.show_connections(())
        self.show_kept(0)

    def show_connections(self, entries: Sequence[Connection]) -> None:
        """The list, newest first."""
        self.table.clear()
        for entry in reversed(entries):
            when = datetime.fromtimestamp(entry.at).strftime("%Y-%m-%d %H:%M")  # noqa: DTZ006
            got = self.tr("failed") if entry.failed else size_words(entry.received_bytes)
            if not entry.failed and not entry.received_bytes:
                got = "–"
            count = f" ({entry.count}×)" if entry.count > 1 else ""
            item = QTreeWidgetItem(self.table, [when, entry.host, f"{entry.purpose}{count}", got])
            item.setTextAlignment(3, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            item.setToolTip(2, entry.purpose.replace("<", "‹"))
        self._empty.setVisible(not entries)
        self.table.setVisible(bool(entries))
        self.clear.setVisible(bool(entries))
        self._set_height()

    def show_now(self, words: str) -> None:
        """How it is at this moment."""
        self.now.setText(words)

    def show_kept(self, size_bytes: int) -> None:
        """What the engine's prompt states take on the disk."""
        if size_bytes:
            words = self.tr(
                "So that long chats reopen in a moment, the engine keeps what it has read of them "
                "on this computer: {}. A chat that is deleted for good takes its part with it."
            ).format(size_words(size_bytes))
        else:
            words = self.tr(
                "No prompt states are saved. They let long chats reopen in a moment, and stay on "
                "this computer."
            )
        self.kept.setText(words)
        self.forget.setEnabled(size_bytes > 0)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.refresh_wanted.emit()

    def _set_height(self) -> None:
        rows = min(12, max(2, self.table.topLevelItemCount())) + 1
        each = max(self.table.sizeHintForRow(0), self.table.fontMetrics().height() + 4)
        self.table.setFixedHeight(rows * each + self.table.header().height() // 2 + 8)

    def _restyle(self) -> None:
        tint(self._empty, self._theme.colors.muted)
        tint(self.now, self._theme.colors.accent)
        self._set_height()
        for button in (self.look, self.clear, self.forget):
            button.setFont(self._theme.small_font())
            button.updateGeometry()
