"""The logs, and a copy of them without anything private."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QVBoxLayout,
    QWidget,
)

from app.ui.buttons import FlatButton
from app.ui.scroll_bar import make_slim
from app.ui.theme import Theme, tint


class LogDialog(QDialog):
    """Shows what a bug report would hold; the whole log only on request."""

    folder_wanted = Signal()

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Log"))
        self._report = ""
        self._logs: Mapping[str, str] = {}
        note = QLabel(
            self.tr(
                "This is what “Copy for a bug report” copies. Prompts, answers, names, paths, "
                "addresses and keys are taken out. Read it before you send it."
            ),
            self,
        )
        note.setWordWrap(True)
        note.setFont(theme.small_font())
        tint(note, theme.colors.muted)
        self.text = QPlainTextEdit(self)
        self.text.setReadOnly(True)
        self.text.setTabChangesFocus(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setFont(theme.code_font(0.86))
        self.text.setAccessibleName(self.tr("Log"))
        self.text.setPlainText(self.tr("Reading…"))
        make_slim(self.text)
        self.whole = QCheckBox(self.tr("Show everything (stays here)"), self)
        self.whole.toggled.connect(lambda _on: self._show())
        self.copy = FlatButton(self.tr("Copy for a bug report"), self, "filled")
        self.copy.clicked.connect(self._on_copy)
        self.copy.setEnabled(False)
        folder = FlatButton(self.tr("Open the folder"), self, "outlined")
        folder.clicked.connect(self.folder_wanted)
        self._said = QLabel(self)
        tint(self._said, theme.colors.muted)
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        close.rejected.connect(self.reject)
        row = QHBoxLayout()
        row.addWidget(self.copy)
        row.addWidget(folder)
        row.addWidget(self.whole)
        row.addWidget(self._said, 1)
        row.addWidget(close)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(10)
        column.addWidget(note)
        column.addWidget(self.text, 1)
        column.addLayout(row)
        em = theme.em()
        self.resize(round(em * 52), round(em * 32))

    def show_logs(self, report: str, logs: Mapping[str, str]) -> None:
        """The text for a bug report, and the logs as they are."""
        self._report, self._logs = report, logs
        self.copy.setEnabled(True)
        self._show()

    def _show(self) -> None:
        whole = "\n\n".join(f"--- {name}\n{text}" for name, text in self._logs.items())
        self.text.setPlainText(whole if self.whole.isChecked() else self._report)
        bar = self.text.verticalScrollBar()
        bar.setValue(bar.maximum() if self.whole.isChecked() else 0)

    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self._report)
        self._said.setText(self.tr("Copied."))
