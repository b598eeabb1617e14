"""The prompt library: saved texts, called by /name, with blanks to fill in."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from app.storage.prompts import Prompt
from app.ui.theme import Theme, tint


class FillDialog(QDialog):
    """Asks for the blanks of one prompt."""

    filled = Signal(dict)

    def __init__(self, name: str, blanks: Mapping[str, str], parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(f"/{name}")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._fields: dict[str, QLineEdit] = {}
        form = QFormLayout()
        for blank, default in blanks.items():
            field = QLineEdit(default, self)
            form.addRow(blank.replace("_", " ").capitalize(), field)
            self._fields[blank] = field
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel, self
        )
        buttons.accepted.connect(self._on_ok)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addLayout(form)
        column.addWidget(buttons)
        self.setMinimumWidth(420)

    def _on_ok(self) -> None:
        self.filled.emit({name: field.text() for name, field in self._fields.items()})
        self.accept()


class PromptLibraryDialog(QDialog):
    """A list on the left, the chosen prompt on the right."""

    save_wanted = Signal(str, str, str)  # name, description, text
    delete_wanted = Signal(int)

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Prompt library"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._prompts: list[Prompt] = []
        self.list = QListWidget(self)
        self.list.setAccessibleName(self.tr("Saved prompts"))
        self.list.currentRowChanged.connect(self._on_row)
        self.name = QLineEdit(self)
        self.name.setPlaceholderText(self.tr("review"))
        self.about = QLineEdit(self)
        self.text = QPlainTextEdit(self)
        self.text.setTabChangesFocus(True)
        self.text.setPlaceholderText(
            self.tr("Review this {{language|Python}} code and name the three worst problems:")
        )
        self.note = QLabel(
            self.tr(
                "Type /name in the composer. {{word}} asks for it, {{word|text}} has a default."
            ),
            self,
        )
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        self.note.setWordWrap(True)
        self.note.setFont(theme.small_font())
        tint(self.note, theme.colors.muted)
        new = QPushButton(self.tr("New"), self)
        new.clicked.connect(self._on_new)
        delete = QPushButton(self.tr("Delete"), self)
        delete.clicked.connect(self._on_delete)
        save = QPushButton(self.tr("Save"), self)
        save.setDefault(True)
        save.clicked.connect(self._on_save)
        left = QVBoxLayout()
        left.addWidget(self.list, 1)
        row = QHBoxLayout()
        row.addWidget(new)
        row.addWidget(delete)
        left.addLayout(row)
        form = QFormLayout()
        form.addRow(self.tr("Name"), self.name)
        form.addRow(self.tr("What for"), self.about)
        right = QVBoxLayout()
        right.addLayout(form)
        right.addWidget(self.text, 1)
        right.addWidget(self.note)
        right.addWidget(save, 0, Qt.AlignmentFlag.AlignRight)
        columns = QHBoxLayout(self)
        columns.setContentsMargins(16, 16, 16, 16)
        columns.setSpacing(16)
        columns.addLayout(left, 2)
        columns.addLayout(right, 3)
        self.resize(680, 420)

    def set_prompts(self, prompts: list[Prompt]) -> None:
        """The library as it is now."""
        chosen = self.name.text()
        self._prompts = prompts
        self.list.blockSignals(True)
        self.list.clear()
        self.list.addItems([f"/{prompt.name}" for prompt in prompts])
        self.list.blockSignals(False)
        names = [prompt.name for prompt in prompts]
        if chosen in names:
            self.list.setCurrentRow(names.index(chosen))

    def say(self, words: str) -> None:
        """Why a prompt could not be saved."""
        self.note.setText(words)

    def _on_row(self, row: int) -> None:
        if 0 <= row < len(self._prompts):
            prompt = self._prompts[row]
            self.name.setText(prompt.name)
            self.about.setText(prompt.description)
            self.text.setPlainText(prompt.text)

    def _on_new(self) -> None:
        self.list.setCurrentRow(-1)
        for field in (self.name, self.about):
            field.clear()
        self.text.clear()
        self.name.setFocus()

    def _on_delete(self) -> None:
        row = self.list.currentRow()
        if 0 <= row < len(self._prompts):
            self.delete_wanted.emit(self._prompts[row].id)
            self._on_new()

    def _on_save(self) -> None:
        if self.name.text().strip() and self.text.toPlainText().strip():
            self.save_wanted.emit(
                self.name.text().strip().lstrip("/"),
                self.about.text().strip(),
                self.text.toPlainText(),
            )
