"""A demo card's run: fresh folder, prompt read beforehand, watchdog, report, reset."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from app.agent.events import RunEnded, Text, TokenCount
from app.core.control import ModelInfo
from app.core.engine_view import EngineView
from app.core.errors import EngineDied, NoModelLoaded
from app.core.events import PromptProgress, TextDelta, Timings, TurnEnded, Usage
from app.core.paths import find_paths
from app.core.ports import TurnRequest
from app.session.demo_events import DemoEnded, DemoReport
from app.session.demo_run import DemoRunner
from app.session.demos import DemoCard, load_demos
from app.session.own_connections import connections_of
from app.session.watched_engine import WatchedEngine
from tests.fakes import FakeEngine, FakeSeat

CHAT = next(card for card in load_demos() if card.card_id == "explain-code")
AGENT = next(card for card in load_demos() if card.card_id == "make-a-web-page")
PAGE = "index.html\n```html\n<!doctype html>\n<h1>Crumb</h1>\n```\n"


class DemoSeat(FakeSeat):
    """A seat whose chat side is a FakeEngine."""

    def __init__(self, engine: FakeEngine, n_params: int = 1_500_000_000) -> None:
        super().__init__()
        self.engine = engine
        self.view = EngineView("ready", ModelInfo("coder", n_params=n_params, n_ctx=8192))

    def stream(self, request: TurnRequest) -> Any:
        return self.engine.stream(request)

    async def context_tokens(self, _model: str) -> int | None:
        return 8192

    async def models(self) -> list[str]:
        return ["coder"]

    async def count_tokens(self, request: TurnRequest) -> int | None:
        return await self.engine.count_tokens(request)


def said(text: str) -> list[Any]:
    ended = TurnEnded("stop", Usage(120, 40, 118), Timings(118, 2, 10.0, 40, 1_000.0))
    return [PromptProgress(120, 118, 120, 0.1), TextDelta(text), ended]


def runner_of(seat: DemoSeat, tmp_path: Path) -> DemoRunner:
    paths = find_paths({"GARRET_HOME": str(tmp_path / "home")})
    paths.make()
    return DemoRunner(seat, paths)  # type: ignore[arg-type]


async def run(runner: DemoRunner, card: DemoCard) -> tuple[list[object], DemoReport]:
    async with aclosing(runner.run(card)) as events:
        seen: list[object] = [event async for event in events]
    last = seen[-1]
    assert isinstance(last, DemoEnded)
    return seen, last.report


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def entries(folder: Path) -> int:
    """Files and folders below."""
    return len(list(folder.rglob("*")))


def test_a_chat_card_runs_to_its_end_and_says_what_it_took(tmp_path: Path) -> None:
    seat = DemoSeat(FakeEngine(said("It finds the longest word.")))
    seen, report = asyncio.run(run(runner_of(seat, tmp_path), CHAT))
    assert any(isinstance(event, Text) for event in seen)
    assert (report.status, report.message) == ("done", "It finds the longest word.")
    assert report.tokens == TokenCount(2, 118, 40)
    assert report.first_word_s is not None
    assert report.verified is None
    assert report.proof.looks >= 1


def test_reading_beforehand_asks_exactly_what_the_run_asks(tmp_path: Path, scratch: Path) -> None:
    for card in (CHAT, AGENT):
        seat = DemoSeat(FakeEngine(said(PAGE)))
        runner = runner_of(seat, tmp_path)

        async def story(runner: DemoRunner = runner, card: DemoCard = card) -> None:
            assert await runner.warm(card)
            await run(runner, card)
            await runner.close()

        asyncio.run(story())
        warmed, real, *_more = seat.engine.requests
        assert (warmed.messages, warmed.tools) == (real.messages, real.tools)
        assert (warmed.max_tokens or 99) <= 12


def test_once_read_the_expected_time_is_known(tmp_path: Path) -> None:
    runner = runner_of(DemoSeat(FakeEngine(said("x"))), tmp_path)
    assert runner.expected_s(CHAT) is None
    asyncio.run(runner.warm(CHAT))
    expected = runner.expected_s(CHAT)
    assert expected is not None
    assert expected >= CHAT.written_tokens / 40


def test_an_agent_card_works_in_a_fresh_folder_and_the_reset_removes_it(
    tmp_path: Path, scratch: Path
) -> None:
    async def story() -> None:
        runner = runner_of(DemoSeat(FakeEngine(said(PAGE))), tmp_path)
        _seen, report = await run(runner, AGENT)
        assert (report.status, report.files_written) == ("done", ("index.html",))
        assert runner.workspace is not None
        assert "Crumb" in (runner.workspace / "index.html").read_text()
        first = runner.workspace
        await run(runner, AGENT)
        assert runner.workspace != first
        assert runner.workspace.name == first.name  # its name is in the prompt
        await runner.reset()
        assert not first.exists()
        assert entries(scratch) == 1
        await runner.close()
        assert entries(scratch) == 0

    asyncio.run(story())


def test_without_a_model_nothing_begins(tmp_path: Path) -> None:
    seat = DemoSeat(FakeEngine())
    seat.view = EngineView("idle")
    runner = runner_of(seat, tmp_path)
    assert asyncio.run(runner.warm(CHAT)) is False
    with pytest.raises(NoModelLoaded):
        asyncio.run(run(runner, CHAT))


def test_an_engine_that_dies_is_asked_again_and_the_report_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.agent.asking.FIRST_WAIT_S", 0.01)
    died = EngineDied("The engine stopped.", "It is started again.")
    engine = FakeEngine([TextDelta("It"), died], said("It finds words."))
    _seen, report = asyncio.run(run(runner_of(DemoSeat(engine), tmp_path), CHAT))
    assert (report.status, report.message, report.restarts) == ("done", "It finds words.", 1)


def test_the_watchdog_starts_a_silent_engine_again(tmp_path: Path) -> None:
    seat = DemoSeat(FakeEngine([TextDelta("a"), 60.0]))
    told: list[str] = []
    engine = WatchedEngine(seat, seat.start_engine, told.append, silence_s=0.05)

    async def story() -> None:
        async with aclosing(engine.stream(TurnRequest("coder", ()))) as events:
            async for _event in events:
                pass

    with pytest.raises(EngineDied, match="silent"):
        asyncio.run(story())
    assert seat.restarts == 1
    assert "started again" in told[0]


def test_a_stopped_chat_card_ends_as_stopped(tmp_path: Path) -> None:
    async def story() -> DemoReport:
        runner = runner_of(DemoSeat(FakeEngine([TextDelta("a"), 60.0])), tmp_path)
        async with aclosing(runner.run(CHAT)) as events:
            async for event in events:
                if isinstance(event, Text):
                    runner.stop()
                if isinstance(event, RunEnded):
                    assert event.status == "stopped"
                if isinstance(event, DemoEnded):
                    return event.report
        raise AssertionError("no report")

    assert asyncio.run(story()).status == "stopped"


def test_connections_within_the_machine_do_not_count() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        found = connections_of([os.getpid()])
        client.close()
    assert found is not None
    assert os.getpid() in found[0]
    assert not any(address.startswith("127.") for address in found[1])
