"""Folders and tags of chats: what the sidebar's menus ask for, carried out."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QInputDialog, QMessageBox

from app.storage.storage import Storage
from app.ui.sidebar import Sidebar
from app.ui.sidebar_filter import ChatFilter
from app.ui.tasks import TaskOwner


def tags_of(words: str) -> list[str]:
    """Tags as people write them: with commas between, perhaps a # before."""
    return [tag for part in words.split(",") if (tag := part.strip().lstrip("#").strip())]


class LabelController(QObject):
    """One per sidebar; `changed` is called when the list must be read again."""

    def __init__(
        self,
        sidebar: Sidebar,
        storage: Storage,
        tasks: TaskOwner,
        changed: Callable[[], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._sidebar = sidebar
        self._storage = storage
        self._tasks = tasks
        self._changed = changed
        sidebar.move_wanted.connect(self.move)
        sidebar.new_folder_wanted.connect(self.ask_new_folder)
        sidebar.tags_wanted.connect(self.ask_tags)
        sidebar.filter.verb_chosen.connect(self._on_verb)

    async def load(self) -> None:
        """Shows the folders and tags there are now."""
        folders = await self._storage.labels.folders()
        tags = await self._storage.labels.tags()
        self._sidebar.filter.set_labels(folders, tags)

    def move(self, chat_id: int, folder_id: int | None) -> None:
        """Into a folder, or out of it."""
        self._tasks.start(f"move-{chat_id}", self._move(chat_id, folder_id))

    async def _move(self, chat_id: int, folder_id: int | None) -> None:
        await self._storage.chats.update(chat_id, folder_id=folder_id)
        self._changed()

    def ask_new_folder(self, chat_id: int | None) -> None:
        """A new folder, perhaps with a chat in it."""
        self._ask(
            self.tr("New folder"),
            self.tr("Name"),
            "",
            lambda name: self._tasks.start("folder-new", self._create(name, chat_id)),
        )

    async def _create(self, name: str, chat_id: int | None) -> None:
        folder = await self._storage.labels.create_folder(name)
        if chat_id is not None:
            await self._storage.chats.update(chat_id, folder_id=folder.id)
        self._changed()

    def ask_tags(self, chat_id: int) -> None:
        """The tags of one chat, as one line."""
        self._tasks.start(f"tags-{chat_id}", self._ask_tags(chat_id))

    async def _ask_tags(self, chat_id: int) -> None:
        chat = await self._storage.chats.get(chat_id)
        self._ask(
            self.tr("Tags"),
            self.tr("Tags of this chat, with commas between"),
            ", ".join(chat.tags),
            lambda words: self._tasks.start(f"tag-{chat_id}", self._tag(chat_id, words)),
        )

    async def _tag(self, chat_id: int, words: str) -> None:
        await self._storage.labels.set_tags(chat_id, tags_of(words))
        self._changed()

    # -- the folder or trash that is listed ---------------------------------------------------

    def _on_verb(self, verb: str) -> None:
        folder_id = self._sidebar.filter.filter.folder_id
        if verb == "new_folder":
            self.ask_new_folder(None)
        elif verb == "rename_folder" and folder_id is not None:
            self._ask(
                self.tr("Rename folder"),
                self.tr("Name"),
                self._sidebar.filter.words,
                lambda name: self._tasks.start("folder-name", self._rename(folder_id, name)),
            )
        elif verb == "delete_folder" and folder_id is not None:
            self._tasks.start("folder-delete", self._delete(folder_id))
        elif verb == "empty_trash":
            self._ask_emptying()

    async def _rename(self, folder_id: int, name: str) -> None:
        await self._storage.labels.rename_folder(folder_id, name)
        self._changed()

    async def _delete(self, folder_id: int) -> None:
        await self._storage.labels.delete_folder(folder_id)
        self._sidebar.filter.filter_chosen.emit(ChatFilter())

    def _ask_emptying(self) -> None:
        """The one thing that cannot be undone is asked about."""
        box = QMessageBox(self._sidebar.window())
        box.setWindowTitle(self.tr("Empty the trash"))
        box.setText(self.tr("Delete every chat in the trash for good?"))
        box.setInformativeText(self.tr("This cannot be undone."))
        delete = box.addButton(self.tr("Delete for good"), QMessageBox.ButtonRole.DestructiveRole)
        keep = box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(keep)
        delete.clicked.connect(lambda: self._tasks.start("trash-empty", self._empty()))
        box.finished.connect(box.deleteLater)
        box.open()

    async def _empty(self) -> None:
        await self._storage.chats.purge(older_than_s=0.0)
        self._changed()

    def _ask(self, title: str, label: str, text: str, then: Callable[[str], object]) -> None:
        dialog = QInputDialog(self._sidebar.window())
        dialog.setWindowTitle(title)
        dialog.setLabelText(label)
        dialog.setTextValue(text)
        dialog.resize(420, dialog.sizeHint().height())
        dialog.textValueSelected.connect(then)
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
