"""Ties the library to the models page. Everything that blocks runs on a thread."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from PySide6.QtCore import QObject, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtNetwork import QNetworkInformation
from PySide6.QtWidgets import QFileDialog, QMenu

from app.core.control import EngineStatus
from app.core.engine_view import EngineView
from app.core.errors import GarretError
from app.core.settings import Settings
from app.library.choice import LoadKnowledge
from app.library.service import LibraryService
from app.library.service import ModelRow as LibraryRow
from app.session.engine_seat import EngineSeat
from app.ui.models.access_dialog import AccessDialog
from app.ui.models.desk import Desk, Say
from app.ui.models.file_verbs import FileVerbs
from app.ui.models.load_verbs import LoadVerbs
from app.ui.models.mapping import (
    download_row,
    hardware_words,
    installed_row,
    memory_pictures,
    offered_row,
)
from app.ui.models.page import ModelsPage
from app.ui.models.values import ModelRow, Section, Verb, size_text
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme

_LABELS = ("Recommended", "Faster", "Better")
_SPEEDS_MBIT_S = (0, 5, 10, 25, 50, 100, 250)
_ASK_ABOVE_BYTES = 50_000_000
_ORDER = ("found", "moving", "downloads", "recommended", "elsewhere", "installed")
_ONLY_WITH_ROWS = ("moving", "downloads", "elsewhere")


class ModelsController(QObject):
    """One page, one library."""

    def __init__(
        self,
        page: ModelsPage,
        library: LibraryService,
        seat: EngineSeat,
        tasks: TaskOwner,
        say: Say,
        settings: Settings,
        known: LoadKnowledge,
        theme: Theme,
    ) -> None:
        super().__init__(page)
        self._page = page
        self._library = library
        self._seat = seat
        self._tasks = tasks
        self._say = say
        self._settings = settings
        self._theme = theme
        self._sections: dict[str, Section] = {}
        self._machine_id = ""
        self._in_use = ""
        self._asks = ""  # the download whose part may be about to be deleted
        self._status: EngineStatus | None = None
        desk = Desk(
            page, library, seat, settings, known, tasks, say, self._refresh, self._show_section
        )
        self._desk = desk
        self.files = FileVerbs(desk, self)
        self.loads = LoadVerbs(desk, theme, self)
        page.verb_chosen.connect(self._on_verb)
        page.choice_made.connect(self._on_choice)
        page.search_changed.connect(self._on_search)
        page.import_wanted.connect(self._on_import)
        page.files_dropped.connect(self.files.import_files)
        self._listen_to_network()

    def start(self) -> None:
        """Resumes what was on its way and shows everything."""
        self._tasks.start("models-start", self._start())

    def refresh(self) -> None:
        """Something was installed, or set on its way, from another page."""
        self._tasks.start("models-refresh", self._refresh())

    def set_engine_view(self, view: EngineView) -> None:
        """Another model is in use, or could not be."""
        self.loads.note_loading(view.loading_id)
        if view.phase == "loading":
            return
        model = view.model.model_id if view.model is not None else ""
        state = f"{model} {view.error}"
        if state != self._in_use:
            self._in_use = state
            self._tasks.start("models-refresh", self._refresh())

    def instructions(self) -> str:
        """What new chats with the model in use begin with; '' for nothing of its own."""
        model = self._seat.view.model
        if model is None:
            return ""
        return self._desk.known.settings.get(model.model_id).system_prompt

    # -- slots ------------------------------------------------------------------------------

    def _on_verb(self, verb: str, key: str) -> None:
        if self.files.act(verb, key) or self.loads.act(verb, key):
            return
        downloader = self._library.downloader
        match verb:
            case "get":
                self._tasks.start(f"models-get-{key}", self._get(key))
            case "access":
                self._ask_access(key)
            case "details":
                self._tasks.start(f"models-details-{key}", self._look_closer(key))
            case "pause":
                downloader.pause(key)
            case "cancel":
                downloader.cancel(key)
            case "resume":
                self._tasks.start(f"models-download-{key}", self._download(key))
            case "discard" if self._library.downloader.progress(key).bytes_done > _ASK_ABOVE_BYTES:
                self._ask_discard(key)
            case "discard" | "discard_really":
                self._tasks.start(f"models-discard-{key}", self._discard(key))
            case "keep_part":
                self._ask_discard("")
            case "earlier" | "later":
                self._tasks.start(
                    "models-order", self._reorder(key, -1 if verb == "earlier" else 1)
                )

    def _on_choice(self, section: str, value: str) -> None:
        if section == "recommended":
            self._machine_id = value
            self._tasks.start("models-refresh", self._refresh())
        elif section == "downloads":
            self._tasks.start("models-speed", self._set_speed(int(value)))

    def _on_search(self, text: str) -> None:
        if not text:
            self._tasks.cancel("models-search")
            self._sections.pop("found", None)
            self._draw()
            return
        self._tasks.start("models-search", self._search(text))

    def _on_import(self) -> None:
        menu = QMenu(self._page)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction(self.tr("Model files…")).triggered.connect(self._ask_files)
        menu.addAction(self.tr("From a folder or drive…")).triggered.connect(
            lambda: self.files.act("import_folder", "")
        )
        button = self._page.bring_in
        menu.popup(button.mapToGlobal(button.rect().bottomLeft()))

    def _ask_files(self) -> None:
        dialog = QFileDialog(self._page, self.tr("Choose model files"))
        dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
        dialog.setNameFilter(self.tr("Models (*.gguf)"))
        dialog.filesSelected.connect(self.files.import_files)
        dialog.open()  # never exec(): it would stop the tasks of the loop

    def _ask_access(self, key: str) -> None:
        row = self._desk.offered[key]
        stored = bool(self._settings.text("models.hub_token"))
        address = f"{self._library.hub.endpoint}/{row.repo}"
        dialog = AccessDialog(row.title, address, stored, self._theme, self._page)
        dialog.saved.connect(
            lambda token: self._tasks.start(f"models-get-{key}", self._get(key, token))
        )
        dialog.open()

    def _listen_to_network(self) -> None:
        """Downloads that wait try again when the network or the window comes back."""
        if QNetworkInformation.loadBackendByFeatures(QNetworkInformation.Feature.Reachability):
            QNetworkInformation.instance().reachabilityChanged.connect(self._on_network)
        app = QGuiApplication.instance()
        if isinstance(app, QGuiApplication):
            app.applicationStateChanged.connect(self._on_app_state)

    def _on_network(self, state: QNetworkInformation.Reachability) -> None:
        if state == QNetworkInformation.Reachability.Online:
            self._library.downloader.poke()

    def _on_app_state(self, state: Qt.ApplicationState) -> None:
        if state == Qt.ApplicationState.ApplicationActive:
            self._library.downloader.poke()

    # -- work -------------------------------------------------------------------------------

    async def _start(self) -> None:
        await self._refresh()
        await self.files.look_elsewhere()
        self._show_section(self.files.elsewhere())
        for sentence in await asyncio.to_thread(self._library.start):
            self._say(sentence)
        for job in await asyncio.to_thread(self._library.downloader.jobs):
            if job.state in ("queued", "downloading"):
                self._tasks.start(f"models-download-{job.job_id}", self._download(job.job_id))

    async def _refresh(self) -> None:
        library = self._library
        status = self._status = await self._seat.status()
        devices = status.devices if status is not None else ()
        hardware = await asyncio.to_thread(library.refresh_hardware, devices)
        recommended = await asyncio.to_thread(library.recommended_rows, self._machine_id)
        installed = await asyncio.to_thread(library.installed_rows)
        trash = await asyncio.to_thread(library.store.trash_bytes)
        loaded = self._seat.view.model
        uses = status.memory.get(loaded.model_id, ()) if status and loaded else ()
        self._page.show_machine(hardware_words(hardware), memory_pictures(hardware, uses, devices))
        jobs = await asyncio.to_thread(library.download_rows)
        self._desk.offered |= {row.key: row for row in recommended}
        self._desk.installed = {row.key: row for row in installed}
        self._sections |= {
            "recommended": self._recommended(recommended, jobs),
            "elsewhere": self.files.elsewhere(),
            "installed": self._installed(installed, loaded.model_id if loaded else "", trash),
        }
        self._show_downloads(jobs)
        self._draw()
        await self._seat.refresh()

    def _recommended(self, rows: list[LibraryRow], jobs: list[LibraryRow]) -> Section:
        coming = {(row.repo, row.file) for row in jobs}
        other = self._machine_id
        others = [(key, title[:1].upper() + title[1:]) for key, title in self._library.machines()]
        return Section(
            "recommended",
            self.tr("Recommended"),
            tuple(
                offered_row(
                    row,
                    _LABELS[place],
                    is_main=place == 0,
                    on_its_way=(row.repo, row.file) in coming,
                    is_elsewhere=bool(other),
                )
                for place, row in enumerate(rows)
            ),
            note=self.tr("This is what another computer could run.") if other else "",
            empty=self.tr("This machine has too little memory for a good coding model."),
            choice_name=self.tr("Show what suits another machine"),
            choices=(("", self.tr("This computer")), *others),
            chosen=other,
        )

    def _installed(self, rows: list[LibraryRow], in_use: str, trash_bytes: int) -> Section:
        footer = ""
        footer_verbs: tuple[Verb, ...] = ()
        if trash_bytes and self.files.is_emptying:
            footer = self.tr("Delete {} of removed models for good?").format(size_text(trash_bytes))
            footer_verbs = (
                Verb("empty_really", self.tr("Delete")),
                Verb("keep", self.tr("Keep")),
            )
        elif trash_bytes:
            footer = self.tr("{} in the trash.").format(size_text(trash_bytes))
            footer_verbs = (Verb("empty", self.tr("Empty the trash")),)
        tip = self.tr("Keep models on another disk")
        return Section(
            "installed",
            self.tr("Installed"),
            tuple(
                installed_row(row, in_use, self.loads.problem_of(row.installed_id)) for row in rows
            ),
            empty=self.tr("Nothing is installed yet."),
            verbs=(Verb("move", self.tr("Move…"), tip=tip),) if rows else (),
            footer=footer,
            footer_verbs=footer_verbs,
        )

    def _show_downloads(self, jobs: list[LibraryRow]) -> None:
        progress = [self._library.downloader.progress(row.job_id) for row in jobs]
        limit = self._settings.number("models.download_limit_mbit_s")
        speeds = sorted({*_SPEEDS_MBIT_S, limit})
        no_limit = self.tr("No speed limit")
        self._sections["downloads"] = Section(
            "downloads",
            self.tr("On their way"),
            tuple(
                download_row(
                    one,
                    is_first=place == 0,
                    is_last=place == len(progress) - 1,
                    asks=one.job_id == self._asks,
                )
                for place, one in enumerate(progress)
            ),
            choice_name=self.tr("Leave room on the line for others"),
            choices=tuple((str(s), f"At most {s} Mbit/s" if s else no_limit) for s in speeds),
            chosen=str(limit),
        )
        for one in progress:  # those begun elsewhere are shown as they go, too
            name = f"models-download-{one.job_id}"
            if not one.is_final and not self._tasks.running(name):
                self._tasks.start(name, self._download(one.job_id))

    def _show_section(self, section: Section) -> None:
        self._sections[section.key] = section
        self._draw()

    def _draw(self) -> None:
        shown = [self._sections[key] for key in _ORDER if key in self._sections]
        self._page.show_sections(
            [one for one in shown if one.rows or one.key not in _ONLY_WITH_ROWS]
        )

    async def _search(self, text: str) -> None:
        title = self.tr("Found on the hub")
        self._show_section(Section("found", title, note=self.tr("Searching…")))
        try:
            rows = await asyncio.to_thread(self._library.search, text)
        except GarretError as error:
            self._show_section(Section("found", title, note=str(error)))
            return
        self._desk.offered |= {row.key: row for row in rows}
        self._show_section(_found(title, rows, self.tr("No GGUF model has these words.")))

    async def _look_closer(self, key: str) -> None:
        try:
            row = await asyncio.to_thread(self._library.look_closer, self._desk.offered[key])
        except GarretError as error:
            self._say(str(error))
            return
        self._desk.offered[key] = row
        drawn = offered_row(row, "", is_main=False, on_its_way=False, closer=True)
        for section in ("found", "recommended"):
            self._page.show_row(section, drawn)

    async def _get(self, key: str, token: str = "") -> None:
        row = self._desk.offered[key]
        try:
            if token:
                await asyncio.to_thread(self._settings.set, "models.hub_token", token)
                self._library.hub.set_token(token)
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
                self._show_progress(download_row(progress))
                if progress.phase == "installed":
                    self._say(self.tr("{} is ready.").format(progress.title))
        await self._refresh()

    def _show_progress(self, row: ModelRow) -> None:
        """New values in a download's row; its place in the queue stays as drawn."""
        section = self._sections.get("downloads", Section("", ""))
        old = next((one for one in section.rows if one.key == row.key), None)
        self._page.show_row("downloads", row.with_more(old.more) if old is not None else row)

    async def _reorder(self, job_id: str, step: int) -> None:
        downloader = self._library.downloader
        order = [job.job_id for job in await asyncio.to_thread(downloader.jobs)]
        place = order.index(job_id) + step if job_id in order else -1
        if not 0 <= place < len(order):
            return
        order.remove(job_id)
        before = order[place] if place < len(order) else None
        await asyncio.to_thread(downloader.move, job_id, before)
        await self._refresh()

    async def _set_speed(self, mbit_s: int) -> None:
        self._library.downloader.speed.set(int(mbit_s * 1e6 / 8))
        await asyncio.to_thread(self._settings.set, "models.download_limit_mbit_s", mbit_s)

    def _ask_discard(self, job_id: str) -> None:
        """What took an hour to arrive does not go with one click; '' takes the question back."""
        self._asks = job_id
        self._tasks.start("models-refresh", self._refresh())

    async def _discard(self, job_id: str) -> None:
        self._asks = ""
        try:
            freed = await asyncio.to_thread(self._library.downloader.discard, job_id)
            if freed > _ASK_ABOVE_BYTES:
                self._say(self.tr("{} are free again.").format(size_text(freed)))
        except GarretError as error:
            self._say(str(error))
        await self._refresh()


def _found(title: str, rows: list[LibraryRow], empty: str) -> Section:
    drawn: tuple[ModelRow, ...] = tuple(
        offered_row(row, "", is_main=False, on_its_way=False) for row in rows
    )
    return Section("found", title, drawn, empty=empty)
