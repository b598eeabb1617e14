"""The real engine process, killed at bad moments."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import psutil
import pytest

from app.client.supervisor import EngineSupervisor, SupervisedChatEngine
from app.core.control import EngineBoot, LoadSpec
from app.core.errors import EngineDied, ModelError
from app.core.events import TextDelta, TurnEnded, TurnEvent
from app.core.messages import Message
from app.core.ports import TurnRequest
from tests.e2e.conftest import ROOT, environment, serving


@contextlib.asynccontextmanager
async def engine(tmp_path: Path) -> AsyncGenerator[EngineSupervisor, None]:
    supervisor = EngineSupervisor(EngineBoot(token=""), tmp_path / "engine.log")
    try:
        await supervisor.start()
        yield supervisor
    finally:
        await supervisor.stop()


def spec(path: Path) -> LoadSpec:
    return LoadSpec(model_path=str(path), model_id=path.stem, n_ctx=2048)


def question(text: str, max_tokens: int) -> TurnRequest:
    return TurnRequest(
        model="", messages=[Message.of("user", text)], max_tokens=max_tokens, extra={"seed": 1}
    )


async def answer(chat: SupervisedChatEngine, text: str, max_tokens: int = 8) -> list[TurnEvent]:
    async with contextlib.aclosing(chat.stream(question(text, max_tokens))) as stream:
        return [event async for event in stream]


async def kill_in_mid_answer(supervisor: EngineSupervisor, chat: SupervisedChatEngine) -> None:
    async with contextlib.aclosing(chat.stream(question("Tell a long story.", 400))) as stream:
        async for event in stream:
            if isinstance(event, TextDelta) and supervisor.view.pid is not None:
                os.kill(supervisor.view.pid, signal.SIGKILL)


def test_after_a_kill_in_mid_answer_the_next_question_is_answered(
    tmp_path: Path, starter_model_path: Path
) -> None:
    async def scenario() -> None:
        async with engine(tmp_path) as supervisor:
            await supervisor.load(spec(starter_model_path))
            chat = SupervisedChatEngine(supervisor)
            with pytest.raises(EngineDied, match=r"\.$"):
                await kill_in_mid_answer(supervisor, chat)
            events = await answer(chat, "Hello?")
            assert any(isinstance(event, TextDelta) for event in events)
            assert isinstance(events[-1], TurnEnded)
            assert events[-1].usage.completion_tokens > 0

    asyncio.run(scenario())


def test_closing_the_stream_frees_the_engine_at_once(
    tmp_path: Path, starter_model_path: Path
) -> None:
    async def scenario() -> None:
        async with engine(tmp_path) as supervisor:
            await supervisor.load(spec(starter_model_path))
            chat = SupervisedChatEngine(supervisor)
            async with contextlib.aclosing(
                chat.stream(question("Tell a long story.", 1500))
            ) as stream:
                async for event in stream:
                    if isinstance(event, TextDelta):
                        break
            for _ in range(100):
                if (await supervisor.status()).active_requests == 0:
                    break
                await asyncio.sleep(0.02)
            assert (await supervisor.status()).active_requests == 0

    asyncio.run(scenario())


def test_bad_file_leaves_the_engine_ready_for_a_good_one(
    tmp_path: Path, starter_model_path: Path
) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(starter_model_path.read_bytes()[:50_000_000])

    async def scenario() -> None:
        async with engine(tmp_path) as supervisor:
            with pytest.raises(ModelError):
                await supervisor.load(spec(bad))
            await supervisor.load(spec(starter_model_path))
            assert supervisor.view.phase == "ready"
            memory = (await supervisor.status()).memory
            assert sum(use.total_bytes for uses in memory.values() for use in uses) > 50_000_000

    asyncio.run(scenario())


def engines_of(home: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline", "environ", "status"]):
        with contextlib.suppress(psutil.Error):
            if (
                "app.engine" in (process.info["cmdline"] or [])
                and (process.info["environ"] or {}).get("GARRET_HOME") == str(home / "garret")
                and process.info["status"] != psutil.STATUS_ZOMBIE
            ):
                found.append(process)
    return found


def test_no_engine_outlives_a_killed_parent(home: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-m", "app", "serve", "--port", "0"],
        env=environment(home),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    assert "http://" in parent.stdout.readline()
    assert engines_of(home)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 3.0
    while engines_of(home) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert engines_of(home) == []


def test_stopping_the_endpoint_stops_its_engine(home: Path) -> None:
    with serving(home):
        assert engines_of(home)
    assert engines_of(home) == []
