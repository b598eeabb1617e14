"""The parts Garret is made of, each with its licence."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QListWidget,
    QPlainTextEdit,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from app.ui.help.licences import Part
from app.ui.scroll_bar import make_slim
from app.ui.theme import Theme


class LicencesDialog(QDialog):
    """A list at the left, the text at the right."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Licences"))
        self._parts: tuple[Part, ...] = ()
        self.list = QListWidget(self)
        self.list.setAccessibleName(self.tr("Parts"))
        make_slim(self.list)
        self.text = QPlainTextEdit(self)
        self.text.setReadOnly(True)
        self.text.setTabChangesFocus(True)
        self.text.setFont(theme.code_font(0.86))
        self.text.setAccessibleName(self.tr("Licence"))
        make_slim(self.text)
        split = QSplitter(self)
        split.addWidget(self.list)
        split.addWidget(self.text)
        split.setStretchFactor(0, 2)
        split.setStretchFactor(1, 3)
        close = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        close.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(split, 1)
        column.addWidget(close)
        em = theme.em()
        self.resize(round(em * 50), round(em * 30))
        self.list.currentRowChanged.connect(self._on_row)

    def show_parts(self, parts: Sequence[Part]) -> None:
        """What is listed."""
        self._parts = tuple(parts)
        self.list.clear()
        for part in self._parts:
            version = f" {part.version}" if part.version else ""
            self.list.addItem(f"{part.name}{version} · {part.licence}")
        self.list.setCurrentRow(0)

    def _on_row(self, row: int) -> None:
        if 0 <= row < len(self._parts):
            part = self._parts[row]
            empty = self.tr("{name} comes under: {licence}.")
            self.text.setPlainText(part.text or empty.format(name=part.name, licence=part.licence))
