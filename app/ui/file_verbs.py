"""Chats and code to files and back: export, import, save as."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog, QWidget

from app.storage.storage import Storage
from app.ui.sidebar_controller import SidebarController
from app.ui.tasks import TaskOwner
from app.ui.toast import Toast

if TYPE_CHECKING:  # imported for real with the first export or import: they bring formats along
    from app.storage.export import ExportFormat
    from app.storage.imported import ImportReport

_FORMATS: dict[str, ExportFormat] = {".md": "markdown", ".html": "html", ".json": "json"}
_FILTERS = ("Markdown (*.md)", "Web page (*.html)", "Garret, with every branch (*.json)")


def export_target(path: Path, chosen_filter: str) -> tuple[Path, ExportFormat]:
    """Where to and as what: the name's own ending counts, else the chosen kind's is added."""
    if path.suffix.lower() in _FORMATS:
        return path, _FORMATS[path.suffix.lower()]
    ending = chosen_filter.partition("(*")[2].rstrip(")") or ".md"
    return path.with_name(path.name + ending), _FORMATS.get(ending, "markdown")


def safe_name(title: str) -> str:
    """A file name every system takes."""
    kept = "".join(char if char.isalnum() or char in " -_" else "_" for char in title)
    return " ".join(kept.split())[:60] or "chat"


def import_words(report: ImportReport) -> str:
    """What came of an import, in one line."""
    words = "1 chat added." if report.added == 1 else f"{report.added} chats added."
    if report.known:
        words += f" {report.known} were here already."
    if report.unreadable:
        words += f" {report.unreadable} could not be read."
    return words


class FileVerbs(QObject):
    """Dialogs never block; the work runs in named tasks, whose errors the window tells."""

    def __init__(
        self,
        host: QWidget,
        storage: Storage,
        sidebar: SidebarController,
        toast: Toast,
        tasks: TaskOwner,
    ) -> None:
        super().__init__(host)
        self._host = host
        self._storage = storage
        self._sidebar = sidebar
        self._toast = toast
        self._tasks = tasks

    def export(self, chat_id: int | None, title: str = "") -> None:
        """One chat, or all of them."""
        dialog = self._save_dialog(safe_name(title) if chat_id is not None else "chats")
        dialog.setNameFilters(list(_FILTERS))
        if chat_id is None:
            dialog.selectNameFilter(_FILTERS[2])
        dialog.fileSelected.connect(
            lambda name: self._tasks.start(
                "export", self._export(Path(name), dialog.selectedNameFilter(), chat_id)
            )
        )
        dialog.open()

    async def _export(self, path: Path, chosen_filter: str, chat_id: int | None) -> None:
        target, form = export_target(path, chosen_filter)
        ids = None if chat_id is None else [chat_id]
        module = await asyncio.to_thread(importlib.import_module, "app.storage.export")
        count = await module.Exporter(self._storage).to_file(target, form, ids)
        words = self.tr("Saved as {name}.") if count == 1 else self.tr("{count} chats saved.")
        self._toast.say(words.format(name=target.name, count=count))

    def import_file(self, *, folder: bool = False) -> None:
        """Chats of Garret, ChatGPT, LM Studio or Jan."""
        dialog = QFileDialog(self._host, self.tr("Import chats"))
        mode = QFileDialog.FileMode
        dialog.setFileMode(mode.Directory if folder else mode.ExistingFile)
        dialog.fileSelected.connect(
            lambda name: self._tasks.start("import", self.take_in(Path(name)))
        )
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()

    async def take_in(self, path: Path) -> None:
        """Adds the chats of a file or a folder that are not here yet."""
        module = await asyncio.to_thread(importlib.import_module, "app.storage.import_files")
        report: ImportReport = await module.import_chats(self._storage, path)
        self._toast.say(import_words(report))
        self._sidebar.refresh()

    def save_text(self, text: str, name: str) -> None:
        """Asks where, then writes."""
        dialog = self._save_dialog(name)
        dialog.fileSelected.connect(lambda path: self._write(Path(path), text))
        dialog.open()

    def _save_dialog(self, name: str) -> QFileDialog:
        dialog = QFileDialog(self._host, self.tr("Save as"))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.selectFile(name)
        dialog.finished.connect(dialog.deleteLater)
        return dialog

    def _write(self, path: Path, text: str) -> None:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            words = self.tr("The file could not be written: {why}.")
            self._toast.say(words.format(why=error.strerror), is_problem=True)
