"""Below the endpoint's settings: its address, how it is, and text to copy for each client."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QPlainTextEdit, QVBoxLayout, QWidget

from app.core.snippets import Snippet
from app.ui.buttons import FlatButton
from app.ui.theme import Theme, tint


class EndpointPanel(QWidget):
    """Shows what it is given; copies on request."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._snippets: tuple[Snippet, ...] = ()
        self.state = QLabel(self)
        self.state.setTextFormat(Qt.TextFormat.PlainText)
        self.state.setWordWrap(True)
        self.state.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.client = QComboBox(self)
        self.client.setAccessibleName(self.tr("Program to connect"))
        self.client.currentIndexChanged.connect(self._on_client)
        self.where = QLabel(self)
        self.where.setTextFormat(Qt.TextFormat.PlainText)
        self.text = QPlainTextEdit(self)
        self.text.setReadOnly(True)
        self.text.setTabChangesFocus(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setAccessibleName(self.tr("Text to copy"))
        self.copy = FlatButton(self.tr("Copy"), self, "outlined")
        self.copy.clicked.connect(self._on_copy)
        head = QHBoxLayout()
        head.addWidget(self.client)
        head.addWidget(self.where, 1)
        head.addWidget(self.copy)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 14, 0, 0)
        column.setSpacing(10)
        column.addWidget(self.state)
        column.addLayout(head)
        column.addWidget(self.text)
        theme.changed.connect(self._restyle)
        self._restyle()

    def show_endpoint(self, sentence: str, snippets: Sequence[Snippet]) -> None:
        """How the endpoint is, and the snippets for its address."""
        self.state.setText(sentence)
        chosen = max(0, self.client.currentIndex())
        self._snippets = tuple(snippets)
        self.client.blockSignals(True)
        self.client.clear()
        self.client.addItems([one.client for one in self._snippets])
        self.client.setCurrentIndex(min(chosen, len(self._snippets) - 1))
        self.client.blockSignals(False)
        self._on_client()

    def _on_client(self) -> None:
        index = self.client.currentIndex()
        if 0 <= index < len(self._snippets):
            one = self._snippets[index]
            self.text.setPlainText(one.text)
            self.where.setText(self.tr("goes into: {}").format(one.where))

    def _on_copy(self) -> None:
        QGuiApplication.clipboard().setText(self.text.toPlainText())

    def _restyle(self) -> None:
        self.text.setFont(self._theme.code_font())
        self.text.setFixedHeight(self.text.fontMetrics().lineSpacing() * 11 + 16)
        tint(self.where, self._theme.colors.muted)
