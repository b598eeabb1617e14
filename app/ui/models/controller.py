"""Ties the library to the models page. Everything that blocks runs on a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog

from app.core.engine_view import EngineView
from app.core.errors import GarretError
from app.library.service import LibraryService
from app.library.service import ModelRow as LibraryRow
from app.session.engine_seat import EngineSeat
from app.ui.models.mapping import download_row, installed_row, memory_pictures, offered_row
from app.ui.models.page import ModelsPage
from app.ui.models.values import ModelRow, Section
from app.ui.tasks import TaskOwner

_LABELS = ("Recommended", "Faster", "Better")


class ModelsController(QObject):
    """One page, one library."""

    def __init__(
        self,
        page: ModelsPage,
        library: LibraryService,
        seat: EngineSeat,
        tasks: TaskOwner,
        say: Callable[[str], None],
    ) -> None:
        super().__init__(page)
        self._page = page
        self._library = library
        self._seat = seat
        self._tasks = tasks
        self._say = say
        self._offered: dict[str, LibraryRow] = {}
        self._sections: dict[str, Section] = {}
        self._in_use = ""
        page.verb_chosen.connect(self._on_verb)
        page.search_changed.connect(self._on_search)
        page.import_wanted.connect(self._on_import)
        page.files_dropped.connect(self._import_files)

    def start(self) -> None:
        """Resumes what was on its way and shows everything."""
        self._tasks.start("models-start", self._start())

    def refresh(self) -> None:
        """Something was installed, or set on its way, from another page."""
        self._tasks.start("models-refresh", self._refresh())

    def set_engine_view(self, view: EngineView) -> None:
        """Another model is in use."""
        model = view.model.model_id if view.model is not None else ""
        if model != self._in_use:
            self._in_use = model
            self._tasks.start("models-refresh", self._refresh())

    # -- slots ------------------------------------------------------------------------------

    def _on_verb(self, verb: str, key: str) -> None:
        downloader = self._library.downloader
        match verb:
            case "get":
                self._tasks.start(f"models-get-{key}", self._get(key))
            case "use":
                row = self._offered.get(key)
                model_id = row.installed_id if row is not None and row.installed_id else key
                self._tasks.start("models-use", self._seat.load_model(model_id))
            case "pause":
                downloader.pause(key)
            case "cancel":
                downloader.cancel(key)
            case "resume":
                self._tasks.start(f"models-download-{key}", self._download(key))
            case "discard":
                self._tasks.start(f"models-discard-{key}", self._discard(key))
            case "remove":
                self._tasks.start(f"models-remove-{key}", self._remove(key))
            case "verify":
                self._tasks.start(f"models-verify-{key}", self._verify(key))

    def _on_search(self, text: str) -> None:
        if not text:
            self._tasks.cancel("models-search")
            self._sections.pop("found", None)
            self._draw()
            return
        self._tasks.start("models-search", self._search(text))

    def _on_import(self) -> None:
        dialog = QFileDialog(self._page, self.tr("Choose model files"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setNameFilter(self.tr("Models (*.gguf)"))
        dialog.filesSelected.connect(self._import_files)
        dialog.open()  # never exec(): it would stop the tasks of the loop

    def _import_files(self, paths: list[str]) -> None:
        self._tasks.start("models-import", self._import([Path(path) for path in paths]))

    # -- work -------------------------------------------------------------------------------

    async def _start(self) -> None:
        await self._refresh()
        for sentence in await asyncio.to_thread(self._library.start):
            self._say(sentence)
        for job in await asyncio.to_thread(self._library.downloader.jobs):
            if job.state in ("queued", "downloading"):
                self._tasks.start(f"models-download-{job.job_id}", self._download(job.job_id))

    async def _refresh(self) -> None:
        library = self._library
        hardware = await asyncio.to_thread(library.refresh_hardware)
        recommended = await asyncio.to_thread(library.recommended_rows)
        installed = await asyncio.to_thread(library.installed_rows)
        jobs = await asyncio.to_thread(library.download_rows)
        self._offered |= {row.key: row for row in recommended}
        coming = {(row.repo, row.file) for row in jobs}
        progress = [library.downloader.progress(row.job_id) for row in jobs]
        loaded = self._seat.view.model
        self._page.show_machine(
            hardware.sentence, memory_pictures(hardware, loaded.size_bytes if loaded else 0)
        )
        self._sections["downloads"] = Section(
            "downloads", self.tr("On their way"), tuple(download_row(one) for one in progress)
        )
        self._sections["recommended"] = Section(
            "recommended",
            self.tr("Recommended for this machine"),
            tuple(
                offered_row(
                    row,
                    _LABELS[place],
                    is_main=place == 0,
                    on_its_way=(row.repo, row.file) in coming,
                )
                for place, row in enumerate(recommended)
            ),
            empty=self.tr("This machine has too little memory for a good coding model."),
        )
        self._sections["installed"] = Section(
            "installed",
            self.tr("Installed"),
            tuple(installed_row(row, self._in_use) for row in installed),
            empty=self.tr("Nothing is installed yet."),
        )
        self._draw()
        for one in progress:  # those begun elsewhere are shown as they go, too
            name = f"models-download-{one.job_id}"
            if not one.is_final and not self._tasks.running(name):
                self._tasks.start(name, self._download(one.job_id))
        await self._seat.refresh()

    def _draw(self) -> None:
        order = ("found", "downloads", "recommended", "installed")
        shown = [self._sections[key] for key in order if key in self._sections]
        self._page.show_sections([one for one in shown if one.rows or one.key != "downloads"])

    async def _search(self, text: str) -> None:
        title = self.tr("Found on the hub")
        self._sections["found"] = Section("found", title, note=self.tr("Searching…"))
        self._draw()
        try:
            rows = await asyncio.to_thread(self._library.search, text)
        except GarretError as error:
            self._sections["found"] = Section("found", title, note=str(error))
            self._draw()
            return
        self._offered |= {row.key: row for row in rows}
        drawn: tuple[ModelRow, ...] = tuple(
            offered_row(row, "", is_main=False, on_its_way=False) for row in rows
        )
        self._sections["found"] = Section(
            "found", title, drawn, empty=self.tr("No GGUF model has these words.")
        )
        self._draw()

    async def _get(self, key: str) -> None:
        row = self._offered[key]
        try:
            job_id = await asyncio.to_thread(self._library.queue, row)
        except GarretError as error:
            self._say(str(error))
            return
        await self._refresh()
        self._tasks.start(f"models-download-{job_id}", self._download(job_id))

    async def _download(self, job_id: str) -> None:
        """Starts a job and shows how it goes; it goes on when nobody looks any more."""
        downloader = self._library.downloader
        await asyncio.to_thread(downloader.start, job_id)
        async with aclosing(downloader.watch(job_id)) as reports:
            async for progress in reports:
                self._page.show_row("downloads", download_row(progress))
                if progress.phase == "installed":
                    self._say(self.tr("{} is ready.").format(progress.title))
        await self._refresh()

    async def _discard(self, job_id: str) -> None:
        await asyncio.to_thread(self._library.downloader.discard, job_id)
        await self._refresh()

    async def _remove(self, model_id: str) -> None:
        try:
            await asyncio.to_thread(self._library.store.remove, model_id)
        except GarretError as error:
            self._say(str(error))
        await self._refresh()

    async def _verify(self, model_id: str) -> None:
        self._say(self.tr("Checking {}…").format(model_id))
        try:
            await asyncio.to_thread(self._library.store.verify, model_id)
        except GarretError as error:
            self._say(str(error))
            return
        self._say(self.tr("{} is whole.").format(model_id))

    async def _import(self, paths: list[Path]) -> None:
        for path in paths:
            try:
                await asyncio.to_thread(self._library.import_path, path)
            except GarretError as error:
                self._say(str(error))
        await self._refresh()
