"""Ctrl+K: type a few letters, Enter goes there."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QFrame, QLineEdit, QListView, QVBoxLayout, QWidget

from app.ui.chat_delegate import ChatDelegate
from app.ui.chat_list import ChatListModel, ChatRow
from app.ui.details_popover import Popover
from app.ui.scroll_bar import make_slim
from app.ui.theme import Theme

_DELAY_MS = 80


class ChatSwitcher(Popover):
    """A field and a list; the rows come from whoever listens to `query_changed`."""

    query_changed = Signal(str)
    chosen = Signal(int, object)  # chat id, message id or None

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self.model = ChatListModel(self)
        self.field = QLineEdit(self)
        self.field.setPlaceholderText(self.tr("Go to a chat"))
        self.field.setAccessibleName(self.tr("Go to a chat"))
        self.field.setFrame(False)
        self.field.setFont(theme.text_font(1.1))
        self.field.installEventFilter(self)
        self.list = QListView(self)
        make_slim(self.list)
        self.list.setModel(self.model)
        self.list.setItemDelegate(ChatDelegate(theme, self))
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setMouseTracking(True)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setAccessibleName(self.tr("Chats"))
        self.list.clicked.connect(self._choose)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(_DELAY_MS)
        self._delay.timeout.connect(lambda: self.query_changed.emit(self.field.text()))
        self.field.textChanged.connect(lambda _text: self._delay.start())
        column = QVBoxLayout(self)
        column.setContentsMargins(12, 12, 12, 12)
        column.addWidget(self.field)
        column.addWidget(self.list, 1)

    def sizeHint(self) -> QSize:
        return QSize(520, 380)

    def open_over(self, host: QWidget) -> None:
        """In the upper middle of the window."""
        self.resize(self.sizeHint())
        corner = QPoint((host.width() - self.width()) // 2, round(host.height() * 0.14))
        self.move(host.mapToGlobal(corner))
        self.show()
        self.field.setFocus()
        self.query_changed.emit("")

    def set_rows(self, rows: list[ChatRow]) -> None:
        """What matches; the first one is ready to be chosen."""
        self.model.set_rows(rows)
        self._move(1, QModelIndex())

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            if event.key() in (Qt.Key.Key_Down, Qt.Key.Key_Up):
                step = 1 if event.key() == Qt.Key.Key_Down else -1
                self._move(step, self.list.currentIndex())
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                self._choose(self.list.currentIndex())
                return True
        return super().eventFilter(watched, event)

    def _move(self, step: int, index: QModelIndex) -> None:
        at = index.row() + step if index.isValid() else 0
        while 0 <= at < self.model.rowCount() and self.model.row(at).chat_id is None:
            at += step
        if 0 <= at < self.model.rowCount():
            self.list.setCurrentIndex(self.model.index(at))

    def _choose(self, index: QModelIndex) -> None:
        if not index.isValid():
            return
        row = self.model.row(index.row())
        if row.chat_id is not None:
            self.chosen.emit(row.chat_id, row.message_id)
            self.close()
