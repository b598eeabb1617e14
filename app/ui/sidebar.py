"""The left side: new chat, search, the chats, and the other pages."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPoint, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFrame,
    QHBoxLayout,
    QLineEdit,
    QListView,
    QMenu,
    QVBoxLayout,
    QWidget,
)

from app.storage.values import ChatPlace
from app.ui.buttons import FlatButton
from app.ui.chat_delegate import ChatDelegate
from app.ui.chat_list import ChatListModel, ChatRow
from app.ui.icons import Icons
from app.ui.scroll_bar import make_slim
from app.ui.sidebar_filter import FilterButton
from app.ui.theme import Theme

_SEARCH_DELAY_MS = 140


class ChatListView(QListView):
    """Up and Down move, Enter opens, Delete trashes."""

    opened = Signal(QModelIndex)
    delete_pressed = Signal(QModelIndex)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, index = event.key(), self.currentIndex()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and index.isValid():
            self.opened.emit(index)
        elif key == Qt.Key.Key_Delete and index.isValid():
            self.delete_pressed.emit(index)
        else:
            super().keyPressEvent(event)


class Sidebar(QWidget):
    """Emits what was chosen; `verb` signals carry a chat id."""

    new_chat_wanted = Signal()
    chat_chosen = Signal(int, object)  # chat id, message id or None
    search_changed = Signal(str)
    verb_chosen = Signal(str, int)  # rename, pin, archive, duplicate, export, trash
    page_chosen = Signal(str)
    move_wanted = Signal(int, object)  # chat id, folder id or None
    new_folder_wanted = Signal(object)  # chat id, or None for an empty one
    tags_wanted = Signal(int)
    more_wanted = Signal()  # the end of the list is in view

    def __init__(self, theme: Theme, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._icons = icons
        self.model = ChatListModel(self)
        self.setMinimumWidth(190)
        self._setup_ui()
        self._restyle()
        theme.changed.connect(self._restyle)

    def _setup_ui(self) -> None:
        self.new_chat = FlatButton(self.tr("New chat"), self)
        self.new_chat.setIconSize(QSize(17, 17))
        self._icons.bind(self.new_chat, "new-chat")
        self.new_chat.clicked.connect(self.new_chat_wanted)
        self.search = QLineEdit(self)
        self.search.setPlaceholderText(self.tr("Search chats"))
        self.search.setAccessibleName(self.tr("Search chats"))
        self.search.setClearButtonEnabled(True)
        glass = QAction(self.search)
        self._icons.bind(glass, "search")
        self.search.addAction(glass, QLineEdit.ActionPosition.LeadingPosition)
        self._delay = QTimer(self)
        self._delay.setSingleShot(True)
        self._delay.setInterval(_SEARCH_DELAY_MS)
        self._delay.timeout.connect(lambda: self.search_changed.emit(self.search.text()))
        self.search.textChanged.connect(lambda _text: self._delay.start())
        self.list = ChatListView(self)
        make_slim(self.list)
        self.list.setAccessibleName(self.tr("Chats"))
        self.list.setModel(self.model)
        self.list.setItemDelegate(ChatDelegate(self._theme, self))
        self.list.setFrameShape(QFrame.Shape.NoFrame)
        self.list.setMouseTracking(True)
        self.list.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.list.customContextMenuRequested.connect(self._on_menu)
        self.list.viewport().setAutoFillBackground(False)
        self.list.clicked.connect(self._on_chosen)
        self.list.opened.connect(self._on_chosen)
        self.list.delete_pressed.connect(self._on_delete)
        self.list.verticalScrollBar().valueChanged.connect(self._on_scrolled)
        self.filter = FilterButton(self._icons, self)
        self._pages = QVBoxLayout()
        self._pages.setSpacing(2)
        self.new_chat.set_left()
        top = QHBoxLayout()
        top.addWidget(self.new_chat, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(10, 12, 10, 10)
        column.setSpacing(8)
        column.addLayout(top)
        column.addWidget(self.search)
        column.addWidget(self.filter)
        column.addWidget(self.list, 1)
        column.addLayout(self._pages)

    @property
    def place(self) -> ChatPlace:
        """Where the listed chats are."""
        return self.filter.filter.place

    def add_page(self, name: str, title: str, icon: str) -> None:
        """A button at the bottom for another page of the window."""
        button = FlatButton(title, self)
        button.setIconSize(QSize(17, 17))
        button.setCheckable(True)
        button.set_left()
        self._icons.bind(button, icon)
        button.clicked.connect(lambda: self.page_chosen.emit(name))
        last = self._pages.count()
        before_settings = last > 0 and self.findChild(FlatButton, "page-settings") is not None
        self._pages.insertWidget(last - 1 if before_settings else last, button)
        button.setObjectName(f"page-{name}")

    def set_page(self, name: str) -> None:
        """Marks the page in front."""
        for button in self.findChildren(FlatButton):
            if button.objectName().startswith("page-"):
                button.setChecked(button.objectName() == f"page-{name}")

    def set_rows(self, rows: list[ChatRow], current: int | None) -> None:
        """New lines; the open chat stays marked."""
        self.model.set_rows(rows)
        self.set_current(current)

    def set_current(self, chat_id: int | None) -> None:
        """Marks the open chat."""
        index = self.model.index_of(chat_id)
        if index.isValid():
            self.list.setCurrentIndex(index)
        else:
            self.list.clearSelection()
            self.list.setCurrentIndex(QModelIndex())

    def _on_chosen(self, index: QModelIndex) -> None:
        row = self.model.row(index.row())
        if row.chat_id is not None:
            self.chat_chosen.emit(row.chat_id, row.message_id)

    def _on_delete(self, index: QModelIndex) -> None:
        row = self.model.row(index.row())
        if row.chat_id is not None:
            self.verb_chosen.emit("trash", row.chat_id)

    def _on_menu(self, at: QPoint) -> None:
        index = self.list.indexAt(at)
        if not index.isValid() or self.model.row(index.row()).chat_id is None:
            return
        row = self.model.row(index.row())
        menu = QMenu(self)
        for verb, words in self._verbs(row):
            if verb == "trash":
                self._add_labels(menu, row)
                menu.addSeparator()
            action = menu.addAction(words)
            action.triggered.connect(
                lambda _checked=False, v=verb, chat=row.chat_id: self.verb_chosen.emit(v, chat)
            )
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.list.viewport().mapToGlobal(at))

    def _add_labels(self, menu: QMenu, row: ChatRow) -> None:
        chat_id = row.chat_id
        folders = menu.addMenu(self.tr("Move to folder"))
        for folder_id, name in [(None, self.tr("No folder"))] + [
            (folder.id, folder.name) for folder in self.filter.folders
        ]:
            action = folders.addAction(name.replace("&", "&&"))
            action.setCheckable(True)
            action.setChecked(folder_id == row.folder_id)
            action.triggered.connect(
                lambda _checked=False, to=folder_id: self.move_wanted.emit(chat_id, to)
            )
        folders.addSeparator()
        new = folders.addAction(self.tr("New folder…"))
        new.triggered.connect(lambda: self.new_folder_wanted.emit(chat_id))
        menu.addAction(self.tr("Tags…")).triggered.connect(lambda: self.tags_wanted.emit(chat_id))

    def _verbs(self, row: ChatRow) -> list[tuple[str, str]]:
        if self.place == "trash":
            return [("restore", self.tr("Take out of the trash"))]
        verbs = [
            ("rename", self.tr("Rename…")),
            ("pin", self.tr("Unpin") if row.is_pinned else self.tr("Pin")),
            ("duplicate", self.tr("Duplicate")),
            ("export", self.tr("Export…")),
            ("archive", self.tr("Archive")),
            ("trash", self.tr("Move to trash")),
        ]
        if self.place == "archived":
            verbs[4] = ("unarchive", self.tr("Back to the chats"))
            del verbs[1]
        return verbs

    def _on_scrolled(self, value: int) -> None:
        bar = self.list.verticalScrollBar()
        if value >= bar.maximum() - self.list.viewport().height():
            self.more_wanted.emit()

    def _restyle(self) -> None:
        self.filter.setFont(self._theme.small_font())
        self.list.viewport().update()
