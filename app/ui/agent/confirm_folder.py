"""A folder that holds far more than one project is opened only after its name is typed."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QLineEdit, QVBoxLayout, QWidget

from app.ui.theme import Theme, tint


class ConfirmFolder(QDialog):
    """Says why the folder is risky; Cancel is the default."""

    confirmed = Signal(str, str)  # the folder, what was typed

    def __init__(
        self, theme: Theme, folder: str, reason: str, phrase: str, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._folder = folder
        self._phrase = phrase
        self.setWindowTitle(self.tr("Give the agent this folder?"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        why = _label(reason, self)
        font = theme.text_font()
        font.setBold(True)
        why.setFont(font)
        where = _label(folder, self)
        tint(where, theme.colors.muted)
        advice = _label(
            self.tr(
                "Better choose the folder of one project. If you do mean all of this, type "
                "{phrase} here:"
            ).format(phrase=phrase),
            self,
        )
        self.field = QLineEdit(self)
        self.field.setAccessibleName(self.tr("The name of the folder"))
        self.field.textChanged.connect(self._on_text)
        kinds = QDialogButtonBox.StandardButton
        self.buttons = QDialogButtonBox(kinds.Cancel, self)
        self.open_it = self.buttons.addButton(
            self.tr("Open it"), QDialogButtonBox.ButtonRole.AcceptRole
        )
        self.open_it.setEnabled(False)
        self.buttons.button(kinds.Cancel).setDefault(True)
        self.buttons.accepted.connect(self._on_accepted)
        self.buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setSpacing(10)
        for widget in (why, where, advice, self.field, self.buttons):
            column.addWidget(widget)
        self.setMinimumWidth(460)

    def _on_text(self, text: str) -> None:
        self.open_it.setEnabled(text == self._phrase)

    def _on_accepted(self) -> None:
        self.confirmed.emit(self._folder, self.field.text())
        self.accept()


def _label(text: str, parent: QWidget) -> QLabel:
    label = QLabel(text, parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label
