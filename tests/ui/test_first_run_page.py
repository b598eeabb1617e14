"""The first run on the empty chat page: one click to a good model, and it takes over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytestqt.qtbot import QtBot

from app.core.errors import DownloadFailed
from app.library.download.downloader import DownloadProgress
from app.library.elsewhere import Found
from app.library.service import ModelRow
from app.session.first_run import Offer, Step, TakenOver
from app.ui.buttons import FlatButton
from app.ui.chat_page import ChatPage
from app.ui.first_run.controller import FirstRunController
from app.ui.first_run.values import coming_notice, offer_facts, panel_view
from app.ui.icons import Icons
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from tests.ui.conftest import in_qt_loop, until

ROW = ModelRow(
    "k", "Qwen3-Coder-Next", "Strong at code.", "Q4", 46_000_000_000, "fits", 36.0, repo="o/r"
)
OFFER = Offer(ROW, minutes=62)
FOUND = Found("Ollama", Path("/m/b"), "llama3", 4_700_000_000)
COMING = DownloadProgress("j", ROW.title, "downloading", 23_000_000_000, 46_000_000_000, 1e7, 60.0)


def test_the_offer_is_one_line_of_facts() -> None:
    assert offer_facts(OFFER) == ("46 GB", "about 1 h 2 min at 100 Mbit/s")
    view = panel_view(OFFER, None)
    assert [verb.title for verb in view.rows[0].verbs] == ["Get it"]


def test_a_small_machine_gets_kind_words_and_another_way() -> None:
    view = panel_view(Offer(too_small="This computer has 2 GB."), None)
    assert view.rows == ()
    assert view.note.startswith("This computer has 2 GB.")
    assert view.can_use_other_computer


def test_the_strip_says_size_speed_and_time_left() -> None:
    notice = coming_notice(COMING)
    assert notice.sentence == "Qwen3-Coder-Next · 23 GB of 46 GB · 10 MB/s · 60 s left"
    assert notice.fraction == 0.5
    assert coming_notice(replace(COMING, phase="paused")).action == "resume_download"
    failed = coming_notice(replace(COMING, phase="failed", error="No.", remedy="Try later."))
    assert (failed.is_problem, failed.remedy) == (True, "Try later.")
    assert coming_notice(replace(COMING, phase="installed")).is_empty
    assert coming_notice(None).is_empty


class FakeFirstRun:
    """The service with a story told step by step."""

    def __init__(self) -> None:
        self.offered: Offer | None = replace(OFFER, found=(FOUND,))
        self.awaited = ""
        self.refusal: DownloadFailed | None = None
        self.steps: asyncio.Queue[Step] = asyncio.Queue()
        self.used: list[str] = []

    async def offer(self) -> Offer | None:
        return self.offered

    async def get(self, _row: ModelRow) -> str:
        if self.refusal is not None:
            raise self.refusal
        self.awaited = "j"
        return "j"

    async def follow(self, _is_calm: Callable[[], bool]) -> AsyncGenerator[Step, None]:
        while True:
            step = await self.steps.get()
            if isinstance(step, TakenOver):
                self.awaited, self.offered = "", None
            yield step

    async def use_found(self, found: Found) -> TakenOver:
        self.used.append(found.title)
        self.offered = None
        return TakenOver("llama3", found.title)


class FakeDownloads:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def pause(self, job_id: str) -> None:
        self.asked.append(f"pause {job_id}")

    def cancel(self, job_id: str) -> None:
        self.asked.append(f"cancel {job_id}")

    def start(self, job_id: str) -> None:
        self.asked.append(f"start {job_id}")


class Bench:
    def __init__(self, theme: Theme, icons: Icons, qtbot: QtBot) -> None:
        self.page = ChatPage(theme, icons)
        qtbot.addWidget(self.page)
        self.flow = FakeFirstRun()
        self.downloads = FakeDownloads()
        self.said: list[str] = []
        self.told: list[str] = []
        self.errors: list[Exception] = []
        self.tasks = TaskOwner(lambda _name, error: self.errors.append(error))
        flow: Any = self.flow
        downloads: Any = self.downloads
        self.control = FirstRunController(
            self.page,
            flow,
            downloads,
            self.tasks,
            lambda words, **_more: self.said.append(words),
            lambda: True,
        )
        self.control.finished.connect(self.told.append)
        self.panel = self.page.welcome.panel

    async def start(self) -> None:
        self.control.start()
        await until(lambda: self.panel.rows)

    def click(self, text: str) -> None:
        buttons = self.panel.findChildren(FlatButton)
        next(b for b in buttons if b.text() == text and not b.isHidden()).click()

    async def close(self) -> None:
        self.control._news_timer.stop()
        await self.tasks.close()
        assert self.errors == []


@in_qt_loop
async def test_one_click_fetches_the_model_and_it_takes_over(
    theme: Theme, icons: Icons, qtbot: QtBot
) -> None:
    bench = Bench(theme, icons, qtbot)
    await bench.start()
    bench.click("Get it")
    await bench.flow.steps.put(COMING)
    await until(lambda: bench.panel.rows[0].row.fraction == 0.5)
    assert bench.page.coming.isHidden()  # the panel shows it already
    bench.page.show_transcript()
    assert "23 GB of 46 GB" in bench.page.coming.accessibleName()
    await bench.flow.steps.put(replace(COMING, phase="installed", bytes_done=46_000_000_000))
    await bench.flow.steps.put(TakenOver("qwen", ROW.title))
    news = "Qwen3-Coder-Next answers from now on."
    await until(lambda: bench.page.coming.accessibleName() == news)
    assert bench.said == []
    assert bench.told == ["Qwen3-Coder-Next is here."]
    await until(lambda: not bench.panel.view.heading)
    bench.control._on_news_over()
    assert bench.page.coming.accessibleName() == ""
    await bench.close()


@in_qt_loop
async def test_without_a_network_one_line_says_so_and_it_can_be_tried_again(
    theme: Theme, icons: Icons, qtbot: QtBot
) -> None:
    bench = Bench(theme, icons, qtbot)
    await bench.start()
    bench.flow.refusal = DownloadFailed("The hub cannot be reached.", "Check the network.")
    bench.click("Get it")
    await until(lambda: bench.panel.rows[0].row.error)
    assert bench.panel.rows[0].row.error == (
        "The hub cannot be reached. Check the network. Everything else works without it."
    )
    bench.flow.refusal = None
    bench.click("Try again")
    await bench.flow.steps.put(COMING)
    await until(lambda: bench.panel.rows[0].row.fraction)
    await bench.close()


@in_qt_loop
async def test_a_download_can_be_paused_and_resumed_from_panel_and_strip(
    theme: Theme, icons: Icons, qtbot: QtBot
) -> None:
    bench = Bench(theme, icons, qtbot)
    await bench.start()
    bench.click("Get it")
    await bench.flow.steps.put(COMING)
    await until(lambda: bench.panel.rows[0].row.fraction)
    bench.click("Pause")
    await bench.flow.steps.put(replace(COMING, phase="paused"))
    await until(lambda: "paused" in bench.panel.rows[0].row.progress)
    bench.page.show_transcript()
    bench.page.coming.button.click()
    await until(lambda: len(bench.downloads.asked) == 2)
    assert bench.downloads.asked == ["pause j", "start j"]
    await bench.close()


@in_qt_loop
async def test_another_programs_model_is_used_with_one_click(
    theme: Theme, icons: Icons, qtbot: QtBot
) -> None:
    bench = Bench(theme, icons, qtbot)
    await bench.start()
    bench.click("Use it")
    await until(lambda: not bench.panel.view.heading)
    assert bench.flow.used == ["llama3"]
    assert bench.page.coming.accessibleName() == "llama3 answers from now on."
    await bench.close()
