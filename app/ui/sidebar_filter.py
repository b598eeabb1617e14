"""Which chats the sidebar lists: all, a folder, a tag, the archive, the trash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QMenu, QSizePolicy, QWidget

from app.storage.values import ChatPlace, Folder
from app.ui.buttons import FlatButton
from app.ui.icons import Icons


@dataclass(frozen=True, slots=True)
class ChatFilter:
    """What is listed; a folder or a tag narrows the chats in use."""

    place: ChatPlace = "active"
    folder_id: int | None = None
    tag: str | None = None


class FilterButton(FlatButton):
    """Says what is listed; its menu lists something else and looks after the folders."""

    filter_chosen = Signal(object)  # ChatFilter
    verb_chosen = Signal(str)  # new_folder, rename_folder, delete_folder, empty_trash

    def __init__(self, icons: Icons, parent: QWidget | None = None) -> None:
        super().__init__("", parent)
        self._icons = icons
        self.filter = ChatFilter()
        self.folders: Sequence[Folder] = ()
        self.tags: Mapping[str, int] = {}
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        self.clicked.connect(self._open)
        self._show_words()

    def set_labels(self, folders: Sequence[Folder], tags: Mapping[str, int]) -> None:
        """The folders and tags there are."""
        self.folders, self.tags = folders, tags
        self._show_words()

    def set_filter(self, chosen: ChatFilter) -> None:
        """What is listed now."""
        self.filter = chosen
        self._show_words()

    @property
    def words(self) -> str:
        """The name of what is listed."""
        chosen = self.filter
        if chosen.folder_id is not None:
            names = {folder.id: folder.name for folder in self.folders}
            return names.get(chosen.folder_id, self.tr("Folder"))
        if chosen.tag is not None:
            return f"#{chosen.tag}"
        places = {"archived": self.tr("Archive"), "trash": self.tr("Trash")}
        return places.get(chosen.place, self.tr("All chats"))

    def build_menu(self) -> QMenu:
        """Built anew each time: folders and tags come and go."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._add(menu, self.tr("All chats"), ChatFilter())
        menu.addSection(self.tr("Folders"))
        for folder in self.folders:
            self._add(menu, f"{folder.name}\t{folder.chats}", ChatFilter(folder_id=folder.id))
        self._add_verb(menu, self.tr("New folder…"), "new_folder")
        if self.filter.folder_id is not None:
            name = self.words.replace("&", "&&")
            self._add_verb(menu, self.tr("Rename “{name}”…").format(name=name), "rename_folder")
            words = self.tr("Remove “{name}”, keep its chats").format(name=name)
            self._add_verb(menu, words, "delete_folder")
        if self.tags:
            menu.addSection(self.tr("Tags"))
            for tag, count in self.tags.items():
                self._add(menu, f"#{tag}\t{count}", ChatFilter(tag=tag))
        menu.addSeparator()
        self._add(menu, self.tr("Archive"), ChatFilter("archived"))
        self._add(menu, self.tr("Trash"), ChatFilter("trash"))
        if self.filter.place == "trash":
            self._add_verb(menu, self.tr("Empty the trash…"), "empty_trash")
        return menu

    def _add(self, menu: QMenu, words: str, chosen: ChatFilter) -> QAction:
        action = menu.addAction(words.replace("&", "&&"))
        action.setCheckable(True)
        action.setChecked(chosen == self.filter)
        action.triggered.connect(lambda: self.filter_chosen.emit(chosen))
        return action

    def _add_verb(self, menu: QMenu, words: str, verb: str) -> None:
        menu.addAction(words).triggered.connect(lambda: self.verb_chosen.emit(verb))

    def _open(self) -> None:
        self.build_menu().popup(self.mapToGlobal(QPoint(0, self.height() + 2)))

    def _show_words(self) -> None:
        self._icons.bind(self, "folder" if self.filter.folder_id is not None else "chevron-down")
        words = self.words
        self.setText(self.fontMetrics().elidedText(words, Qt.TextElideMode.ElideRight, 180))
        self.setToolTip(self.tr("Folders, tags, archive and trash"))
        self.setAccessibleName(self.tr("Listed: {name}").format(name=words))
        self.updateGeometry()
