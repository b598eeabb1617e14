"""Thirty steps of an agent run against the real engine: every token is read once.

The model has random weights, so what it writes is thrown away and a plan takes its place: the
harder case, because the engine cannot continue from its own tokens and must go back to the end of
the prompt, on an architecture whose memory cannot be cut at any place.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import signal
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from app.agent.agent import Agent
from app.agent.events import (
    AgentEvent,
    RunEnded,
    StepEnded,
    Tier,
    TokenCount,
    WaitingForEngine,
)
from app.agent.hands import open_hands
from app.agent.run import AgentOptions
from app.agent.types import Mode
from app.client.supervisor import EngineSupervisor, SupervisedChatEngine
from app.core.control import EngineBoot, LoadSpec
from app.core.events import TextDelta, ToolCallDelta, ToolCallReady, TurnEnded, TurnEvent
from app.core.messages import ToolCallPart
from app.core.paths import find_paths
from app.core.ports import TurnRequest

STEPS = 30


class PlannedEngine(SupervisedChatEngine):
    """The real engine reads and counts; what it would say is replaced by the plan."""

    def __init__(
        self, supervisor: EngineSupervisor, *, steps: int = STEPS, kill_at: int | None = None
    ) -> None:
        super().__init__(supervisor)
        self._pid = lambda: supervisor.view.pid
        self._steps = steps
        self._kill_at = kill_at
        self.step = 0
        self.prompts: list[int] = []

    async def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        self.step += 1
        if self.step == self._kill_at:
            self._kill_at, self.step = None, self.step - 1  # this step will be asked again
            os.kill(self._pid() or 0, signal.SIGKILL)
        short = TurnRequest(
            request.model, request.messages, request.tools, max_tokens=4, sampling={"seed": 1}
        )
        async with contextlib.aclosing(super().stream(short)) as events:
            async for event in events:
                if isinstance(event, TextDelta | ToolCallDelta | ToolCallReady):
                    continue
                if isinstance(event, TurnEnded):
                    self.prompts.append(event.usage.prompt_tokens)
                    for planned in self._planned():
                        yield planned
                    reason = "stop" if self.step > self._steps else "tool_calls"
                    yield TurnEnded(reason, event.usage, event.timings)
                else:
                    yield event

    def _planned(self) -> list[TurnEvent]:
        if self.step > self._steps:
            return [TextDelta("All is done.")]
        arguments = {"file_path": "words.txt", "offset": self.step, "limit": 1}
        call = ToolCallPart(f"call_{self.step}", "read_file", json.dumps(arguments))
        return [TextDelta(f"I read part {self.step}."), ToolCallReady(0, call)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    lines = [f"line {number}: the quick brown fox jumps over it" for number in range(99)]
    (folder / "words.txt").write_text("\n".join(lines), "utf-8")
    return folder


@pytest.mark.slow
def test_thirty_steps_read_every_token_once(
    tmp_path: Path,
    folder: Path,
    hybrid_model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("GARRET_HOME", str(tmp_path / "garret"))

    async def scenario() -> tuple[RunEnded, list[TokenCount], list[int]]:
        supervisor = EngineSupervisor(EngineBoot(token=""), tmp_path / "engine.log")
        hands = open_hands(folder, Mode.AUTO, find_paths())
        try:
            await supervisor.start()
            await supervisor.load(
                LoadSpec(str(hybrid_model_path), "synthetic", n_ctx=32_768, n_parallel=1)
            )
            engine = PlannedEngine(supervisor)
            options = AgentOptions("synthetic", tier=Tier.NATIVE, sampling={})
            agent = Agent(engine, hands, options, context_tokens=32_768)
            seen = [event async for event in agent.send("Read all of words.txt.")]
        finally:
            await supervisor.stop()
            await hands.close()
        assert isinstance(seen[-1], RunEnded)
        steps = [event.tokens for event in seen if isinstance(event, StepEnded)]
        return seen[-1], steps, engine.prompts

    ended, steps, prompts = asyncio.run(asyncio.wait_for(scenario(), 900))
    assert (ended.status, ended.turns) == ("done", STEPS + 1), ended.message
    new = [prompts[0], *(b - a for a, b in itertools.pairwise(prompts))]
    with capsys.disabled():
        print(  # noqa: T201  # the measured figure is part of the check's record
            f"\nwarm turns: {ended.tokens.evaluated} tokens read for {sum(new)} new ones, "
            f"{ended.tokens.reused} reused, over {ended.turns} steps"
        )
    assert ended.tokens.evaluated <= 1.05 * sum(new)
    for count, fresh in list(zip(steps, new, strict=True))[1:]:
        assert count.evaluated <= fresh + 16


@pytest.mark.slow
def test_a_run_survives_the_death_of_the_engine(
    tmp_path: Path,
    folder: Path,
    hybrid_model_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GARRET_HOME", str(tmp_path / "garret"))

    async def scenario() -> list[AgentEvent]:
        supervisor = EngineSupervisor(EngineBoot(token=""), tmp_path / "engine.log")
        hands = open_hands(folder, Mode.AUTO, find_paths())
        try:
            await supervisor.start()
            await supervisor.load(
                LoadSpec(str(hybrid_model_path), "synthetic", n_ctx=16_384, n_parallel=1)
            )
            engine = PlannedEngine(supervisor, steps=2, kill_at=2)
            agent = Agent(
                engine, hands, AgentOptions("synthetic", tier=Tier.NATIVE), context_tokens=16_384
            )
            return [event async for event in agent.send("Read words.txt.")]
        finally:
            await supervisor.stop()
            await hands.close()

    seen = asyncio.run(asyncio.wait_for(scenario(), 900))
    assert any(isinstance(event, WaitingForEngine) for event in seen)
    ended = seen[-1]
    assert isinstance(ended, RunEnded)
    assert (ended.status, ended.turns) == ("done", 3), ended.message
