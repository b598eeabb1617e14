"""What the small buttons, the menus and the keys of the chat page do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import QObject, QPoint, Qt, QUrl
from PySide6.QtGui import QAction, QCursor, QDesktopServices, QGuiApplication
from PySide6.QtWidgets import (
    QApplication,
    QFileDialog,
    QLineEdit,
    QMenu,
    QPlainTextEdit,
    QTextEdit,
    QWidget,
)

from app.core.messages import AttachmentPart
from app.ui.chat_controller import ChatController
from app.ui.chat_page import ChatPage
from app.ui.details_popover import DetailsPopover
from app.ui.engine_view_controller import EngineViewController
from app.ui.file_verbs import FileVerbs
from app.ui.ports import ChatServices
from app.ui.sidebar_controller import SidebarController
from app.ui.tasks import TaskOwner
from app.ui.text_popover import TextPopover
from app.ui.toast import Toast
from app.ui.transcript.cells import CodeCell
from app.ui.transcript.markdown import is_allowed_link
from app.ui.transcript.messages import MessageItem


@dataclass(frozen=True, slots=True)
class ChatParts:
    """The parts of the window the verbs work on."""

    host: QWidget
    page: ChatPage
    chats: ChatController
    sidebar: SidebarController
    engine: EngineViewController
    toast: Toast
    context_choices: Callable[[int], None]


class ChatVerbs(QObject):
    """One per window; each verb is a few lines."""

    def __init__(
        self,
        parts: ChatParts,
        services: ChatServices,
        tasks: TaskOwner,
        actions: dict[str, QAction],
    ) -> None:
        super().__init__(parts.host)
        self._parts = parts
        self._host = parts.host
        self._page = parts.page
        self._chats = parts.chats
        self._toast = parts.toast
        self._files = FileVerbs(parts.host, services.storage, parts.sidebar, parts.toast, tasks)
        self._services = services
        self._tasks = tasks
        self._page.transcript.action.connect(self._on_action)
        self._page.composer.attach_requested.connect(self.attach)
        parts.sidebar.export_wanted.connect(self.export)
        for name, slot in self._slots().items():
            actions[name].triggered.connect(slot)

    def _slots(self) -> dict[str, Callable[[], object]]:
        return {
            "attach": self.attach,
            "export": lambda: self.export(self._chats.chat_id),
            "export_all": lambda: self._files.export(None),
            "import": lambda: self._files.import_file(),
            "import_folder": lambda: self._files.import_file(folder=True),
            "trash": self._on_trash,
            "rename": self._on_rename,
            "copy": self._on_copy,
            "paste": self._on_paste,
            "select_all": self._on_select_all,
            "copy_chat": self._on_copy_chat,
            "copy_answer": self._on_copy_answer,
            "copy_code": self._on_copy_code,
            "regenerate": self._on_regenerate_last,
            "edit_last": self._on_edit_last,
            "model": self._parts.engine.choose_model,
        }

    # -- from the transcript ----------------------------------------------------------------

    def _on_action(self, message_id: int, verb: str, about: object) -> None:
        match verb:
            case "open_link":
                self.open_link(str(about))
            case "hover":
                self._page.transcript.viewport().setToolTip(shown_address(str(about)))
            case "copy":
                self.copy_message(message_id)
            case "copy_code":
                QGuiApplication.clipboard().setText(str(about))
            case "save_code":
                self._files.save_text(str(about), "code.txt")
            case "regenerate":
                self._chats.regenerate(message_id)
            case "edit":
                self.edit(message_id)
            case "sibling" if isinstance(about, int):
                self._chats.select_sibling(message_id, about)
            case "more":
                self._message_menu(message_id)
            case "open_file" if isinstance(about, int):
                self._show_file(message_id, about)
            case "remedy":
                self.remedy(message_id, str(about))
            case _:
                pass

    def remedy(self, message_id: int, action: str) -> None:
        """The button of a notice."""
        if action == "retry":
            self._chats.retry(message_id)
        elif action == "unqueue":
            self._chats.unqueue(message_id)
        elif action == "continue":
            self._chats.send(self.tr("Please continue."))
        elif action == "context_full":
            self._parts.context_choices(message_id)
        else:
            self._parts.engine.act(action)

    def open_link(self, address: str) -> None:
        """In the system browser, and only what a browser is for."""
        if is_allowed_link(address):
            QDesktopServices.openUrl(QUrl(address))

    def copy_message(self, message_id: int, *, plain: bool = False) -> None:
        """The marked text of the message, or all of it as Markdown."""
        item = self._page.transcript.item(message_id)
        if item is None:
            return
        marked = self._page.transcript.selected_text(message_id)
        text = marked or (self._page.transcript.plain_text(message_id) if plain else item.text)
        QGuiApplication.clipboard().setText(text)
        self._toast.say(self.tr("Copied."))

    def edit(self, message_id: int) -> None:
        """The question goes back into the composer."""
        item = self._page.transcript.item(message_id)
        if item is not None and item.role == "user" and not self._chats.is_answering:
            self._page.composer.begin_edit(message_id, item.text)

    def _message_menu(self, message_id: int) -> None:
        item = self._page.transcript.item(message_id)
        if item is None:
            return
        menu = QMenu(self._host)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self.tr("Copy as Markdown")).triggered.connect(
            lambda: self.copy_message(message_id)
        )
        menu.addAction(self.tr("Copy as plain text")).triggered.connect(
            lambda: self.copy_message(message_id, plain=True)
        )
        menu.addAction(self.tr("Branch a new chat from here")).triggered.connect(
            lambda: self._branch_off(message_id)
        )
        if item.details:
            menu.addSeparator()
            menu.addAction(self.tr("Details…")).triggered.connect(lambda: self.show_details(item))
        menu.popup(QCursor.pos())

    def show_details(self, item: MessageItem) -> None:
        """How an answer came about."""
        popover = DetailsPopover(item.details, self._host)
        popover.show_at(QCursor.pos())

    def _branch_off(self, message_id: int) -> None:
        chat_id = self._chats.chat_id
        if chat_id is not None:
            self._tasks.start("branch-off", self._duplicate(chat_id, message_id))

    async def _duplicate(self, chat_id: int, message_id: int) -> None:
        chat = await self._services.storage.chats.duplicate(chat_id, upto_message=message_id)
        self._parts.sidebar.refresh()
        self._chats.open_chat(chat.id)

    def _show_file(self, message_id: int, index: int) -> None:
        item = self._page.transcript.item(message_id)
        if item is None:
            return
        files = [part for part in item.parts if isinstance(part, AttachmentPart)]
        if 0 <= index < len(files):
            popover = TextPopover(files[index].name, files[index].text, self._host)
            popover.show_at(QCursor.pos() - QPoint(0, 20))

    # -- from menus and keys ----------------------------------------------------------------

    def attach(self) -> None:
        """Files for the next message."""
        dialog = QFileDialog(self._host, self.tr("Attach text files"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.filesSelected.connect(
            lambda names: self._page.composer.add_files([Path(name) for name in names])
        )
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    def export(self, chat_id: int | None) -> None:
        """One chat, as a file."""
        if chat_id is not None:
            chat = self._chats.chat
            title = chat.title if chat is not None and chat.id == chat_id else ""
            self._files.export(chat_id, title)

    def _on_trash(self) -> None:
        if self._chats.chat_id is not None:
            self._parts.sidebar.trash(self._chats.chat_id)

    def _on_rename(self) -> None:
        if self._chats.chat_id is not None:
            self._parts.sidebar.rename(self._chats.chat_id)

    def _on_copy(self) -> None:
        marked = self._page.transcript.selected_text()
        widget = QApplication.focusWidget()
        if marked and not isinstance(widget, QLineEdit):
            QGuiApplication.clipboard().setText(marked)
        elif isinstance(widget, QLineEdit | QTextEdit | QPlainTextEdit):
            widget.copy()

    def _on_paste(self) -> None:
        widget = QApplication.focusWidget()
        if isinstance(widget, QLineEdit | QTextEdit | QPlainTextEdit):
            widget.paste()

    def _on_select_all(self) -> None:
        widget = QApplication.focusWidget()
        if isinstance(widget, QLineEdit | QTextEdit | QPlainTextEdit):
            widget.selectAll()

    def _on_copy_chat(self) -> None:
        words = [f"**{i.author}:**\n\n{i.text}" for i in self._page.transcript.messages()]
        QGuiApplication.clipboard().setText("\n\n".join(words) + "\n")
        self._toast.say(self.tr("The chat is on the clipboard as Markdown."))

    def _last(self, role: str) -> MessageItem | None:
        items = self._page.transcript.messages()
        return next((i for i in reversed(items) if i.role == role and i.state != "queued"), None)

    def _on_copy_answer(self) -> None:
        if (item := self._last("assistant")) is not None:
            self.copy_message(item.id)

    def _on_copy_code(self) -> None:
        item = self._last("assistant")
        if item is None:
            return
        transcript = self._page.transcript
        heads = [
            cell
            for cell in transcript.cells_of(item.id)
            if isinstance(cell, CodeCell) and cell.first_line == 0
        ]
        if heads:
            QGuiApplication.clipboard().setText(transcript.whole_code(item.id, heads[-1]))
            self._toast.say(self.tr("The code is on the clipboard."))

    def _on_regenerate_last(self) -> None:
        if (item := self._last("assistant")) is not None:
            self._chats.regenerate(item.id)

    def _on_edit_last(self) -> None:
        if (item := self._last("user")) is not None:
            self.edit(item.id)


def shown_address(address: str) -> str:
    """Where a link goes, with the host as browsers will look it up."""
    url = QUrl(address)
    return url.toString(QUrl.ComponentFormattingOption.FullyEncoded)[:300]
