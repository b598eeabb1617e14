"""Fills the sidebar from storage and carries out what its menus ask for."""

from __future__ import annotations

import time

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QInputDialog

from app.storage.storage import Storage
from app.storage.values import Chat, ChatPlace, SearchHit
from app.ui.chat_controller import ChatController
from app.ui.chat_list import ChatEntry, ChatRow, rows_of
from app.ui.chat_switcher import ChatSwitcher
from app.ui.label_controller import LabelController
from app.ui.sidebar import Sidebar
from app.ui.sidebar_filter import ChatFilter
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme


def hit_row(hit: SearchHit) -> ChatRow:
    """A search hit as a line of the sidebar."""
    snippet = "" if hit.message_id is None else hit.snippet.replace("\n", " ")
    return ChatRow(
        hit.chat_title or "New chat",
        hit.chat_id,
        hit.message_id,
        snippet,
        hit.spans if snippet else (),
    )


_PAGE = 200  # chats read at a time


class SidebarController(QObject):
    """One per window."""

    export_wanted = Signal(int)
    trashed = Signal(object)  # Chat; the window offers to undo
    filtered = Signal(object)  # ChatFilter now in force

    def __init__(
        self,
        sidebar: Sidebar,
        chats: ChatController,
        storage: Storage,
        tasks: TaskOwner,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._sidebar = sidebar
        self._chats = chats
        self._storage = storage
        self._tasks = tasks
        self._limit = _PAGE
        self._listed = 0
        self.labels = LabelController(sidebar, storage, tasks, self.refresh, self)
        sidebar.filter.filter_chosen.connect(self.set_filter)
        sidebar.more_wanted.connect(self._on_more)
        sidebar.new_chat_wanted.connect(chats.new_chat)
        sidebar.chat_chosen.connect(chats.open_chat)
        sidebar.search_changed.connect(self._on_search)
        sidebar.verb_chosen.connect(self._on_verb)
        chats.chats_changed.connect(self.refresh)
        chats.chat_opened.connect(self._on_opened)

    def refresh(self) -> None:
        """Reads the list again."""
        self._tasks.start("chat-list", self._fill(self._sidebar.search.text()))

    async def _fill(self, query: str) -> None:
        if query.strip():
            hits = await self._storage.search.find(query, limit=60)
            rows = [hit_row(hit) for hit in hits] or [ChatRow("Nothing found")]
        else:
            await self.labels.load()
            rows = await self._list_rows(self._sidebar.filter.filter)
        self._sidebar.set_rows(rows, self._chats.chat_id)

    async def _list_rows(self, wanted: ChatFilter) -> list[ChatRow]:
        chats = await self._storage.chats.list(
            wanted.place, folder_id=wanted.folder_id, tag=wanted.tag, limit=self._limit
        )
        self._listed = len(chats)
        if wanted.place == "active":
            entries = [
                ChatEntry(c.id, c.title, c.updated_at, c.pinned, c.folder_id, c.tags) for c in chats
            ]
            rows = rows_of(entries, time.time(), self._chats.busy_chats)
            return rows if rows or wanted == ChatFilter() else [ChatRow("Nothing here yet")]
        name = "Archive" if wanted.place == "archived" else "Trash, emptied after 30 days"
        return [
            ChatRow(name if chats else f"{name}: nothing here"),
            *(ChatRow(chat.title or "New chat", chat.id) for chat in chats),
        ]

    def set_place(self, place: ChatPlace) -> None:
        """Lists the chats in use, the archive, or the trash."""
        self.set_filter(ChatFilter(place))

    def set_filter(self, chosen: ChatFilter) -> None:
        """Lists a folder, a tag, a place, or all chats."""
        self._limit = _PAGE
        self._sidebar.filter.set_filter(chosen)
        self._sidebar.search.clear()
        self.filtered.emit(chosen)
        self.refresh()

    def _on_more(self) -> None:
        """The next page, when the last one is read to its end."""
        if self._listed >= self._limit and not self._sidebar.search.text().strip():
            self._limit += _PAGE
            self.refresh()

    def open_switcher(self, theme: Theme) -> None:
        """The list one types into to go to a chat."""
        switcher = ChatSwitcher(theme, self._sidebar.window())
        switcher.query_changed.connect(
            lambda query: self._tasks.start("switcher", self._fill_switcher(switcher, query))
        )
        switcher.chosen.connect(self._chats.open_chat)
        switcher.destroyed.connect(lambda: self._tasks.cancel("switcher"))
        switcher.open_over(self._sidebar.window())

    async def _fill_switcher(self, switcher: ChatSwitcher, query: str) -> None:
        if query.strip():
            rows = [hit_row(hit) for hit in await self._storage.search.find(query, limit=20)]
        else:
            chats = await self._storage.chats.list(limit=40)
            rows = [ChatRow(chat.title or "New chat", chat.id) for chat in chats]
        switcher.set_rows(rows)

    def restore(self, chat: Chat) -> None:
        """Takes a chat out of the trash."""
        self._tasks.start(f"restore-{chat.id}", self._restore(chat.id))

    async def _restore(self, chat_id: int) -> None:
        await self._storage.chats.restore(chat_id)
        self._chats.open_chat(chat_id)
        self.refresh()

    def _on_search(self, _query: str) -> None:
        self.refresh()

    def _on_opened(self, chat: Chat | None) -> None:
        self._sidebar.set_current(chat.id if chat is not None else None)

    def _on_verb(self, verb: str, chat_id: int) -> None:
        if verb == "rename":
            self.rename(chat_id)
        elif verb == "export":
            self.export_wanted.emit(chat_id)
        else:
            self._tasks.start(f"{verb}-{chat_id}", self._do(verb, chat_id))

    def trash(self, chat_id: int) -> None:
        """Into the trash; the window offers to undo."""
        self._on_verb("trash", chat_id)

    def rename(self, chat_id: int) -> None:
        """Asks for a new title."""
        self._tasks.start(f"rename-{chat_id}", self._ask_title(chat_id))

    async def _ask_title(self, chat_id: int) -> None:
        chat = await self._storage.chats.get(chat_id)
        dialog = QInputDialog(self._sidebar.window())
        dialog.setWindowTitle(self.tr("Rename chat"))
        dialog.setLabelText(self.tr("Title"))
        dialog.setTextValue(chat.title)
        dialog.resize(420, dialog.sizeHint().height())
        dialog.textValueSelected.connect(
            lambda title: self._tasks.start(f"retitle-{chat_id}", self._retitle(chat_id, title))
        )
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    async def _retitle(self, chat_id: int, title: str) -> None:
        if title.strip():
            await self._storage.chats.update(chat_id, title=title.strip()[:200])
        self.refresh()

    async def _do(self, verb: str, chat_id: int) -> None:
        chat = await self._storage.chats.get(chat_id)
        if verb == "pin":
            await self._storage.chats.update(chat_id, pinned=not chat.pinned)
        elif verb == "archive":
            await self._storage.chats.update(chat_id, archived=True)
        elif verb == "unarchive":
            await self._storage.chats.update(chat_id, archived=False)
        elif verb == "restore":
            await self._storage.chats.restore(chat_id)
        elif verb == "duplicate":
            copy = await self._storage.chats.duplicate(chat_id)
            self._chats.open_chat(copy.id)
        elif verb == "trash":
            await self._storage.chats.trash(chat_id)
            self.trashed.emit(chat)
        if verb in ("archive", "trash") and self._chats.chat_id == chat_id:
            self._chats.new_chat()
        self.refresh()
