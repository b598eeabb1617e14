"""What is in an attachment."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QFontDatabase
from PySide6.QtWidgets import QLabel, QPlainTextEdit, QVBoxLayout, QWidget

from app.ui.details_popover import Popover

_SHOWN_CHARS = 200_000


class TextPopover(Popover):
    """A name and a read-only text."""

    def __init__(self, name: str, text: str, parent: QWidget) -> None:
        super().__init__(parent)
        title = QLabel(name, self)
        title.setTextFormat(Qt.TextFormat.PlainText)
        body = QPlainTextEdit(self)
        body.setReadOnly(True)
        body.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        body.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        body.setPlainText(text[:_SHOWN_CHARS])
        column = QVBoxLayout(self)
        column.addWidget(title)
        column.addWidget(body)

    def sizeHint(self) -> QSize:
        return QSize(640, 440)
