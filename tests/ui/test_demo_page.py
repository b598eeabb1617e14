"""The demo page: cards by keyboard, a run on stage, what just happened, reset."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QScrollArea
from pytestqt.qtbot import QtBot

from app.agent.events import RunEnded, StepEnded, StepStarted, Text, TokenCount
from app.core.control import ModelInfo
from app.core.engine_view import EngineView
from app.session.demo_events import DemoEnded, DemoEvent, DemoReport, EngineRestarted
from app.session.demos import DemoCard, load_demos
from app.session.own_connections import ConnectionProof
from app.ui.demo.controller import DemoController
from app.ui.demo.page import DemoPage
from app.ui.demo.values import card_face, end_line, facts
from app.ui.icons import Icons
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from tests.ui.conftest import in_qt_loop, until

CARDS = load_demos()
CHAT = CARDS[0]
REPORT = DemoReport(
    CHAT.card_id, "coder", "done", "Fine.", 4.0, 0.1, TokenCount(2, 90, 80), 2.0,
    ("Write a.py",), ("a.py",), True, 1, True, ConnectionProof(5, 2, ()),
)  # fmt: skip


def text_of(report: DemoReport) -> str:
    return "\n".join(line for fact in facts(CHAT, report) for line in (fact.heading, *fact.lines))


def test_the_report_is_plain_and_proves_that_nothing_left() -> None:
    words = text_of(REPORT)
    assert "92 tokens" in words
    assert "90 of them it had read before" in words
    assert "80 tokens, 40 tokens/s." in words
    assert "Files: a.py." in words
    assert "Garret checked the result: it works." in words
    assert "started again once" in words
    assert "looked 5 times at all connections of its 2 processes: none led" in words
    assert end_line(REPORT) == "Done in 4 s · 40 tokens/s · checked: it works"


@pytest.mark.parametrize(
    ("proof", "words"),
    [
        (ConnectionProof(3, 1, ("203.0.113.7",)), "had a connection to 203.0.113.7"),
        (ConnectionProof(), "does not let Garret look"),
    ],
)
def test_what_was_not_seen_is_not_claimed(proof: ConnectionProof, words: str) -> None:
    text = text_of(replace(REPORT, proof=proof, is_fenced=None))
    assert words in text
    assert "Nothing. Garret looked" not in text


def test_a_card_says_how_long_or_what_it_needs() -> None:
    assert card_face(CHAT, 12.2, is_read=True).below == "about 12 s here · begins at once"
    face = card_face(CHAT, 12.2, is_read=True, obstacle="Needs a larger model.")
    assert face.below == "Needs a larger model."
    assert "Needs a larger model" in face.spoken


@dataclass
class FakeRunner:
    """A DemoRunner that tells a short story."""

    n_params: int = 1_500_000_000
    workspace = Path("/demo/folder")
    hold: bool = False

    def __post_init__(self) -> None:
        self.warmed: list[str] = []
        self.ran: list[str] = []
        self.resets = 0
        self.stops = 0
        self._go_on = asyncio.Event()

    @property
    def model(self) -> ModelInfo:
        return ModelInfo("coder", n_params=self.n_params)

    def expected_s(self, _card: DemoCard) -> float:
        return 7.0

    async def warm(self, card: DemoCard) -> bool:
        self.warmed.append(card.card_id)
        return True

    async def run(self, card: DemoCard) -> AsyncGenerator[DemoEvent, None]:
        self.ran.append(card.card_id)
        yield StepStarted(1)
        yield Text("Hello **there**.")
        yield EngineRestarted("The engine was silent for 90 s.")
        if self.hold:
            await self._go_on.wait()
        yield StepEnded(1, TokenCount(2, 90, 80), 2.0)
        status = "stopped" if self.stops else "done"
        yield RunEnded(status, "Fine.", 1, TokenCount(2, 90, 80))
        yield DemoEnded(REPORT)

    def stop(self) -> None:
        self.stops += 1
        self._go_on.set()

    async def reset(self) -> None:
        self.resets += 1


class Bench:
    def __init__(self, theme: Theme, icons: Icons, qtbot: QtBot, **options: Any) -> None:
        self.page = DemoPage(theme, icons)
        self.host = QScrollArea()  # the page is never a window of its own
        self.host.setWidgetResizable(True)
        self.host.setWidget(self.page)
        self.host.resize(1000, 700)
        qtbot.addWidget(self.host)
        self.runner = FakeRunner(**options)
        self.errors: list[Exception] = []
        self.tasks = TaskOwner(lambda _name, error: self.errors.append(error))
        self.opened: list[Path] = []
        runner: Any = self.runner
        self.control = DemoController(
            self.page,
            runner,
            CARDS,
            self.tasks,
            lambda model_id: model_id,
            lambda: False,
            self.opened.append,
        )

    async def show(self) -> None:
        self.control.set_engine_view(EngineView("ready", self.runner.model))
        self.host.show()
        await asyncio.sleep(0)

    @property
    def story(self) -> str:
        return "\n".join(str(slot.cell) for slot in self.page.transcript._column.slots)

    async def close(self) -> None:
        await self.tasks.close()
        assert self.errors == []


@in_qt_loop
async def test_all_cards_are_read_beforehand_while_the_page_is_open(
    theme: Theme, icons: Icons, qtbot: QtBot
) -> None:
    bench = Bench(theme, icons, qtbot)
    await bench.show()
    await until(lambda: len(bench.runner.warmed) == len(CARDS))
    assert all("begins at once" in card.face.below for card in bench.page.cards.cards)
    await bench.close()


@in_qt_loop
async def test_arrows_choose_and_enter_runs_a_card(
    theme: Theme, icons: Icons, qtbot: QtBot
) -> None:
    bench = Bench(theme, icons, qtbot)
    await bench.show()
    cards = bench.page.cards.cards
    QTest.keyClick(cards[1], Qt.Key.Key_Return)
    await until(lambda: bench.page.what.isChecked())
    assert bench.runner.ran == [cards[1].face.card_id]
    assert "Done in 4 s" in bench.page.status.text()
    assert "none led to another computer" in bench.page.facts.text
    assert "It is being started again" in bench.story
    bench.page.open.click()
    assert bench.opened == [Path("/demo/folder")]
    bench.page.escape()
    assert not bench.page.is_on_stage
    await bench.close()


@in_qt_loop
async def test_a_model_that_is_too_small_is_told_what_is_needed_and_may_be_tried(
    theme: Theme, icons: Icons, qtbot: QtBot
) -> None:
    bench = Bench(theme, icons, qtbot, n_params=135_000_000)
    await bench.show()
    agent = next(card for card in CARDS if card.kind == "agent")
    bench.control.open_card(agent.card_id)
    assert bench.runner.ran == []
    assert not bench.page.models.isHidden()
    assert bench.page.run.text() == "Try it anyway"
    bench.page.run.click()
    await until(lambda: bench.runner.ran)
    assert agent.card_id not in bench.runner.warmed
    await bench.close()


@in_qt_loop
async def test_escape_stops_a_run_and_reset_begins_afresh(
    theme: Theme, icons: Icons, qtbot: QtBot
) -> None:
    bench = Bench(theme, icons, qtbot, hold=True)
    await bench.show()
    bench.control.open_card(CHAT.card_id)
    await until(lambda: bench.runner.ran and bench.control.is_running)
    assert not bench.page.stop.isHidden()
    bench.page.escape()
    await until(lambda: not bench.control.is_running)
    assert bench.runner.stops == 1
    assert bench.page.is_on_stage
    bench.control.reset()
    await until(lambda: "Nothing of the last run is left" in bench.page.status.text())
    assert bench.runner.resets == 1
    assert bench.page.facts.text == ""
    await bench.close()
