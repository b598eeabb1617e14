"""`garret doctor` in a window: each check in plain words, with a remedy where one is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from app.ui.buttons import FlatButton
from app.ui.scroll_bar import make_slim
from app.ui.theme import Theme, tint

_MARKS = {"ok": "✓", "note": "•", "problem": "!"}


class Finding(Protocol):
    """One check: `level` is ok, note or problem."""

    @property
    def check(self) -> str: ...
    @property
    def level(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def remedy(self) -> str: ...


class DoctorDialog(QDialog):
    """Shows findings; copying leaves paths in, so it says so."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Check this computer"))
        self._theme = theme
        self._text = ""
        self._head = QLabel(self.tr("Looking… this takes a few seconds."), self)
        self._head.setFont(theme.text_font(1.1))
        self._head.setWordWrap(True)
        self._area = QScrollArea(self)
        self._area.setFrameShape(QFrame.Shape.NoFrame)
        self._area.setWidgetResizable(True)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        make_slim(self._area)
        self.copy = FlatButton(self.tr("Copy"), self, "outlined")
        self.copy.setToolTip(self.tr("Names folders of yours, but holds no prompts and no keys."))
        self.copy.setEnabled(False)
        self.copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self._text))
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        close.rejected.connect(self.reject)
        row = QHBoxLayout()
        row.addWidget(self.copy)
        row.addStretch(1)
        row.addWidget(close)
        column = QVBoxLayout(self)
        column.setContentsMargins(18, 16, 18, 14)
        column.setSpacing(10)
        column.addWidget(self._head)
        column.addWidget(self._area, 1)
        column.addLayout(row)
        em = theme.em()
        self.resize(round(em * 38), round(em * 30))

    @property
    def text(self) -> str:
        """What would be copied."""
        return self._text

    def show_findings(self, findings: Sequence[Finding]) -> None:
        """What was found; problems first in the heading."""
        problems = sum(one.level == "problem" for one in findings)
        words = self.tr("Everything is in order.")
        if problems:
            words = self.tr("{} things need a remedy.").format(problems)
            if problems == 1:
                words = self.tr("One thing needs a remedy.")
        self._head.setText(words)
        inner = QWidget()
        grid = QGridLayout(inner)
        grid.setContentsMargins(0, 0, 8, 0)
        grid.setColumnStretch(2, 1)
        grid.setHorizontalSpacing(12)
        grid.setVerticalSpacing(7)
        lines = []
        for row, one in enumerate(findings):
            mark = self._label(_MARKS[one.level], inner)
            color = self._theme.colors.warning if one.level == "problem" else None
            tint(mark, color or self._theme.colors.accent)
            name = self._label(one.check, inner)
            tint(name, self._theme.colors.muted)
            text = f"{one.text} {one.remedy}".strip()
            grid.addWidget(mark, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(name, row, 1, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(self._label(text, inner), row, 2)
            lines.append(f"{one.level:8} {one.check}: {text}")
        grid.setRowStretch(len(findings), 1)
        self._area.setWidget(inner)
        self._text = "\n".join(lines)
        self.copy.setEnabled(True)

    def show_problem(self, words: str) -> None:
        """The check itself could not be made."""
        self._head.setText(words)

    def _label(self, words: str, parent: QWidget) -> QLabel:
        label = QLabel(words, parent)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(len(words) > 20)
        label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        return label
