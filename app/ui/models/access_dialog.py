"""How to get a model whose owner wants its terms accepted first."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QGridLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from app.ui.buttons import FlatButton
from app.ui.theme import Theme, tint


class AccessDialog(QDialog):
    """Explains three steps. Nothing is opened by itself: the address is there to be copied.

    Emits `saved` with the token, '' when the stored one shall be used.
    """

    saved = Signal(str)

    def __init__(
        self, title: str, address: str, has_token: bool, theme: Theme, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(self.tr("Getting this model"))
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        head = _label(self, self.tr("The owner of {} asks you to accept terms.").format(title))
        head.setFont(theme.text_font(1.1))
        self.address = QLineEdit(address, self)
        self.address.setReadOnly(True)
        self.address.setCursorPosition(0)
        self.address.setAccessibleName(self.tr("Address of the model's page"))
        self.copy = FlatButton(self.tr("Copy"), self, "outlined")
        self.copy.setAccessibleName(self.tr("Copy the address"))
        self.copy.clicked.connect(self._on_copy)
        self.token = QLineEdit(self)
        self.token.setEchoMode(QLineEdit.EchoMode.PasswordEchoOnEdit)
        self.token.setAccessibleName(self.tr("Access token"))
        self.token.setPlaceholderText(
            self.tr("Leave empty to use the one that is stored") if has_token else "hf_…"
        )
        self._has_token = has_token
        note = _label(
            self,
            self.tr(
                "The token is kept in Garret's settings, readable only by your account on this "
                "computer, and is sent to the model hub and nobody else."
            ),
        )
        note.setFont(theme.small_font())
        tint(note, theme.colors.muted)
        grid = QGridLayout()
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(8)
        grid.setColumnStretch(1, 1)
        steps = (
            self.tr("Open this page in your browser, sign in and accept the terms:"),
            self.tr("In your account's settings there, make an access token that may read:"),
        )
        for number, (words, field) in enumerate(
            zip(steps, (self.address, self.token), strict=True)
        ):
            grid.addWidget(QLabel(f"{number + 1}.", self), 2 * number, 0)
            grid.addWidget(_label(self, words), 2 * number, 1, 1, 2)
            grid.addWidget(field, 2 * number + 1, 1)
        grid.addWidget(self.copy, 1, 2)
        grid.addWidget(note, 4, 1, 1, 2)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel, self)
        self.go = buttons.addButton(self.tr("Download"), QDialogButtonBox.ButtonRole.AcceptRole)
        self.go.setEnabled(has_token)
        self.token.textChanged.connect(self._on_text)
        buttons.accepted.connect(self._on_save)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.setContentsMargins(22, 20, 22, 16)
        column.setSpacing(12)
        column.addWidget(head)
        column.addLayout(grid)
        column.addSpacing(4)
        column.addWidget(buttons)
        width = round(theme.em() * 32)
        self.resize(width, column.heightForWidth(width))

    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self.address.text())
        self.copy.setText(self.tr("Copied"))

    def _on_text(self, text: str) -> None:
        self.go.setEnabled(bool(text.strip()) or self._has_token)

    def _on_save(self) -> None:
        self.saved.emit(self.token.text().strip())
        self.accept()


def _label(parent: QWidget, words: str) -> QLabel:
    label = QLabel(words, parent)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    return label
