"""Ties the first-run service to the empty chat page and to the strip over the composer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.engine_view import EngineView
from app.core.errors import GarretError
from app.library.download.downloader import Downloader, DownloadProgress
from app.library.elsewhere import Found
from app.session.first_run import FirstRun, Offer, TakenOver, problem_words
from app.ui.chat_page import ChatPage
from app.ui.engine_notice import EngineNotice
from app.ui.first_run.panel import PanelView
from app.ui.first_run.values import GOOD, coming_notice, panel_view
from app.ui.tasks import TaskOwner

_NEWS_MS = 12_000


class FirstRunController(QObject):
    """One per window. `say` shows a calm line, perhaps with a button."""

    models_wanted = Signal()
    other_computer_wanted = Signal()
    models_changed = Signal()
    finished = Signal(str)  # a download is over; the words for a notification

    def __init__(
        self,
        page: ChatPage,
        first_run: FirstRun,
        downloader: Downloader,
        tasks: TaskOwner,
        say: Callable[..., None],
        is_calm: Callable[[], bool],
    ) -> None:
        super().__init__(page)
        self._page = page
        self._panel = page.welcome.panel
        self._first_run = first_run
        self._downloader = downloader
        self._tasks = tasks
        self._say = say
        self._is_calm = is_calm
        self._offer: Offer | None = None
        self._progress: DownloadProgress | None = None
        self._problem = ""
        self._news = EngineNotice()
        self._news_timer = QTimer(self)
        self._news_timer.setSingleShot(True)
        self._news_timer.setInterval(_NEWS_MS)
        self._news_timer.timeout.connect(self._on_news_over)
        self._panel.verb_chosen.connect(self._on_verb)
        self._panel.models_wanted.connect(self.models_wanted)
        self._panel.other_computer_wanted.connect(self.other_computer_wanted)
        page.coming.action.connect(self._on_strip)
        page.contents_changed.connect(self._draw)

    def start(self) -> None:
        """Looks what could be offered, and goes on with what was on its way."""
        self._tasks.start("first-run-look", self._look())
        self._follow()

    def refresh(self) -> None:
        """Something was installed or removed elsewhere."""
        self._tasks.start("first-run-look", self._look())

    def set_engine_view(self, view: EngineView) -> None:
        """A real model that answers needs no offer."""
        if view.phase == "ready" and self._offer is not None and self._progress is None:
            self.refresh()

    # -- slots ------------------------------------------------------------------------------

    def _on_verb(self, verb: str, key: str) -> None:
        match verb:
            case "get":
                self._tasks.start("first-run-get", self._get())
            case "use" if self._offer is not None and key != GOOD:
                found = self._offer.found[int(key)]
                self._tasks.start("first-run-use", self._use_found(found))
            case "pause" if self._progress is not None:
                self._downloader.pause(self._progress.job_id)
            case "cancel" if self._progress is not None:
                self._downloader.cancel(self._progress.job_id)
            case "resume":
                self._tasks.start("first-run-resume", self._resume())

    def _on_news_over(self) -> None:
        self._news = EngineNotice()
        self._draw()

    def _on_strip(self, action: str) -> None:
        self._on_verb(action.removesuffix("_download"), GOOD)

    # -- work -------------------------------------------------------------------------------

    async def _look(self) -> None:
        self._offer = await self._first_run.offer()
        self._draw()

    async def _get(self) -> None:
        offer = self._offer
        if offer is None or offer.row is None:
            return
        self._problem = ""
        try:
            await self._first_run.get(offer.row)
        except GarretError as error:
            self._problem = problem_words(error)
            self._draw()
            return
        self.models_changed.emit()
        self._follow()

    async def _resume(self) -> None:
        if self._progress is not None:
            await asyncio.to_thread(self._downloader.start, self._progress.job_id)
            self._follow()

    async def _use_found(self, found: Found) -> None:
        self._say(self.tr("Checking {}…").format(found.title))
        try:
            self._tell(await self._first_run.use_found(found))
        except GarretError as error:
            self._say(str(error), is_problem=True)
        self.models_changed.emit()
        await self._look()

    def _follow(self) -> None:
        if self._first_run.awaited:
            self._tasks.start("first-run-follow", self._watch())

    async def _watch(self) -> None:
        async with aclosing(self._first_run.follow(self._is_calm)) as steps:
            async for step in steps:
                if isinstance(step, TakenOver):
                    self._progress = None
                    self._tell(step)
                    self.models_changed.emit()
                    await self._look()
                    return
                self._progress = None if step.phase == "cancelled" else step
                self._draw()
                if step.phase == "installed":
                    self.finished.emit(self.tr("{} is here.").format(step.title))
        self._draw()

    def _tell(self, taken: TakenOver) -> None:
        if taken.problem:
            words = self.tr("{title} is here, but it cannot be used: {problem}")
            self._say(words.format(title=taken.title, problem=taken.problem), is_problem=True)
        elif taken.is_left_alone:
            self._say(
                self.tr("{} is ready.").format(taken.title),
                action=self.tr("Use it"),
                then=lambda: self._tasks.start("first-run-use", self._use(taken)),
            )
        else:
            # a line of its own place: it covers nothing, and nobody has to do anything about it
            self._news = EngineNotice(self.tr("{} answers from now on.").format(taken.title))
            self._news_timer.start()
            self._draw()

    async def _use(self, taken: TakenOver) -> None:
        self._tell(await self._first_run.use(taken.model_id, taken.title))

    def _draw(self) -> None:
        offer = self._offer
        view = PanelView()
        if offer is not None or self._progress is not None:
            view = panel_view(offer or Offer(), self._progress, self._problem)
        self._panel.show_view(view)
        in_panel = self._page.is_empty and bool(view.heading)
        notice = coming_notice(None if in_panel else self._progress)
        self._page.coming.set_notice(self._news if notice.is_empty else notice)
