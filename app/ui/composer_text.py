"""The box people type into: grows with its text, Enter sends, Shift+Enter breaks the line."""

from __future__ import annotations

from PySide6.QtCore import QMimeData, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QTextOption
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QSizePolicy, QWidget

from app.ui.scroll_bar import make_slim

MAX_LINES = 11
_SUBMIT_KEYS = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class ComposerText(QPlainTextEdit):
    """Plain text only. Emits what the keys mean and leaves the doing to the composer."""

    submitted = Signal()
    height_changed = Signal()
    history_wanted = Signal(int)  # -1 older, +1 newer
    pasted = Signal(QMimeData)
    completion_key = Signal(int)  # a key for the open completer

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.completing = False
        self.enter_sends = True
        make_slim(self)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setTabChangesFocus(True)
        self.viewport().setAutoFillBackground(False)
        self.document().setDocumentMargin(2)
        self.document().documentLayout().documentSizeChanged.connect(self._on_size)
        self._on_size()

    def sizeHint(self) -> QSize:
        return QSize(300, self._wanted_height())

    def minimumSizeHint(self) -> QSize:
        return QSize(80, self._wanted_height())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, shift = event.key(), bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if self.completing and key in (
            Qt.Key.Key_Up,
            Qt.Key.Key_Down,
            Qt.Key.Key_Tab,
            Qt.Key.Key_Escape,
            *_SUBMIT_KEYS,
        ):
            self.completion_key.emit(key)
            return
        control = bool(event.modifiers() & Qt.KeyboardModifier.ControlModifier)
        if key in _SUBMIT_KEYS and not shift and (self.enter_sends or control):
            self.submitted.emit()
            return
        if key == Qt.Key.Key_Up and self.textCursor().blockNumber() == 0 and self._is_recall():
            self.history_wanted.emit(-1)
            return
        if key == Qt.Key.Key_Down and self._at_last_line() and self._is_recall():
            self.history_wanted.emit(1)
            return
        super().keyPressEvent(event)

    def canInsertFromMimeData(self, source: QMimeData) -> bool:
        return source.hasText() or source.hasUrls()

    def insertFromMimeData(self, source: QMimeData) -> None:
        self.pasted.emit(source)

    def _is_recall(self) -> bool:
        return not self.textCursor().hasSelection()

    def _at_last_line(self) -> bool:
        return self.textCursor().blockNumber() == self.document().blockCount() - 1

    def _wanted_height(self) -> int:
        line = self.fontMetrics().lineSpacing()
        rows = min(max(round(self.document().size().height()), 1), MAX_LINES)
        return rows * line + 10

    def _on_size(self, _size: object = None) -> None:
        height = self._wanted_height()
        policy = Qt.ScrollBarPolicy
        full = round(self.document().size().height()) > MAX_LINES
        self.setVerticalScrollBarPolicy(
            policy.ScrollBarAsNeeded if full else policy.ScrollBarAlwaysOff
        )
        if height != self.height():
            self.setFixedHeight(height)
            self.updateGeometry()
            self.height_changed.emit()
