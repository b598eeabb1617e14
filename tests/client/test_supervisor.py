from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from app.client.supervisor import MAX_FALLS, EngineSupervisor, SupervisedChatEngine
from app.core.control import EngineBoot, LoadSpec
from app.core.engine_view import EngineView
from app.core.errors import BadModelFile, EngineDied, EngineNotInstalled, NoModelLoaded, OutOfMemory
from app.core.events import TextDelta, TurnEnded, TurnEvent
from app.core.messages import Message
from app.core.ports import TurnRequest

COMMAND = [sys.executable, str(Path(__file__).with_name("fake_engine.py"))]


def run(
    body: Callable[[EngineSupervisor, list[EngineView]], object], log: Path, *flags: str
) -> None:
    async def scenario() -> None:
        views: list[EngineView] = []
        supervisor = EngineSupervisor(
            EngineBoot(token=""), log, on_change=views.append, command=[*COMMAND, *flags]
        )
        try:
            await body(supervisor, views)  # type: ignore[misc]
        finally:
            await supervisor.stop()

    asyncio.run(scenario())


def spec(name: str) -> LoadSpec:
    return LoadSpec(model_path=f"/models/{name}.gguf", model_id=name)


def question(text: str) -> TurnRequest:
    return TurnRequest(model="good", messages=[Message.of("user", text)])


async def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110 - a condition on a plain value
            await asyncio.sleep(0.01)


async def answer(engine: SupervisedChatEngine, text: str) -> list[TurnEvent]:
    async with contextlib.aclosing(engine.stream(question(text))) as stream:
        return [event async for event in stream]


def test_load_goes_through_starting_loading_ready(tmp_path: Path) -> None:
    async def body(supervisor: EngineSupervisor, views: list[EngineView]) -> None:
        await supervisor.start()
        model = await supervisor.load(spec("good"))
        assert model.n_ctx == 4096
        phases = list(dict.fromkeys(view.phase for view in views))
        assert phases == ["starting", "idle", "loading", "ready"]

    run(body, tmp_path / "engine.log")


def test_answer_streams_through_the_supervised_engine(tmp_path: Path) -> None:
    async def body(supervisor: EngineSupervisor, views: list[EngineView]) -> None:
        await supervisor.start()
        await supervisor.load(spec("good"))
        engine = SupervisedChatEngine(supervisor)
        events = await answer(engine, "hi")
        assert [e.text for e in events if isinstance(e, TextDelta)] == ["one ", "two"]
        assert isinstance(events[-1], TurnEnded)
        assert events[-1].usage.completion_tokens == 2

    run(body, tmp_path / "engine.log")


def test_killed_engine_is_reported_restarted_and_answers_again(tmp_path: Path) -> None:
    async def body(supervisor: EngineSupervisor, views: list[EngineView]) -> None:
        await supervisor.start()
        await supervisor.load(spec("good"))
        engine = SupervisedChatEngine(supervisor)
        with pytest.raises(EngineDied, match="memory ran out"):
            await answer(engine, "die")
        events = await answer(engine, "again")
        assert isinstance(events[-1], TurnEnded)
        assert "restarting" in [view.phase for view in views]
        assert supervisor.view.error is None

    run(body, tmp_path / "engine.log")


def test_stopping_while_a_death_is_being_dealt_with_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def body(supervisor: EngineSupervisor, views: list[EngineView]) -> None:
        settling = asyncio.Event()

        async def never(_control: object, _spec: LoadSpec) -> None:
            os.kill(supervisor.view.pid or 0, signal.SIGKILL)
            settling.set()
            await asyncio.Event().wait()

        await supervisor.start()
        with monkeypatch.context() as patch:
            patch.setattr(supervisor, "_follow_load", never)
            loading = asyncio.ensure_future(supervisor.load(spec("good")))
            await settling.wait()
            assert supervisor._process is not None
            await supervisor._process.wait()
            await asyncio.sleep(0.05)  # the keeper now waits for the load to say what it knows
            stopping = asyncio.ensure_future(supervisor.stop())
            await asyncio.wait({stopping}, timeout=8.0)
            assert stopping.done()
            await asyncio.wait({loading})
        assert supervisor.view.phase == "stopped"
        await supervisor.start()
        assert (await supervisor.load(spec("good"))).n_ctx == 4096

    run(body, tmp_path / "engine.log")


def test_engine_that_dies_on_load_is_not_loaded_for_ever(tmp_path: Path) -> None:
    async def body(supervisor: EngineSupervisor, views: list[EngineView]) -> None:
        await supervisor.start()
        with pytest.raises(EngineDied):
            await supervisor.load(spec("dies-on-load"))
        await until(lambda: supervisor.view.phase == "idle" and supervisor.view.error is not None)
        assert isinstance(supervisor.view.error, OutOfMemory)
        assert "dies-on-load" in supervisor.view.error.sentence
        await supervisor.load(spec("good"))
        assert supervisor.view.phase == "ready"

    run(body, tmp_path / "engine.log")


def test_a_model_that_kills_every_start_is_not_loaded_by_a_restart(tmp_path: Path) -> None:
    async def body(supervisor: EngineSupervisor, views: list[EngineView]) -> None:
        await supervisor.start()
        with pytest.raises(EngineDied):
            await supervisor.load(spec("dies-on-load"))
        await until(lambda: supervisor.view.phase == "idle" and supervisor.view.error is not None)
        for _ in range(2):
            views.clear()
            await supervisor.restart()
            assert "loading" not in [view.phase for view in views]
            error = supervisor.view.error
            assert error is not None
            assert "dies-on-load was not loaded again" in error.sentence
            assert error.remedy
        await supervisor.load(spec("good"))
        await supervisor.restart()
        assert (supervisor.view.phase, supervisor.suspect) == ("ready", "")

    run(body, tmp_path / "engine.log")


def test_a_model_that_dies_of_every_question_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.client.supervisor._BACK_OFF_S", (0.0,))

    async def body(supervisor: EngineSupervisor, views: list[EngineView]) -> None:
        await supervisor.start()
        await supervisor.load(spec("good"))
        engine = SupervisedChatEngine(supervisor)
        asked = 0
        while supervisor.view.phase != "idle" and asked < 20:  # a client that never gives up
            asked += 1
            with pytest.raises(EngineDied):
                await answer(engine, "die")
            await until(lambda: supervisor.view.phase in ("ready", "idle"))
        assert asked == MAX_FALLS
        error = supervisor.view.error
        assert error is not None
        assert error.sentence == "The engine stopped 3 times soon after good was loaded."
        assert error.remedy
        with pytest.raises(EngineDied, match="3 times"):
            await answer(engine, "hi")
        await supervisor.restart()
        assert supervisor.view.phase == "idle"
        await supervisor.load(spec("good"))  # what the user asks for is done
        assert isinstance((await answer(engine, "hi"))[-1], TurnEnded)

    run(body, tmp_path / "engine.log")


def test_a_death_long_after_the_last_is_no_fall(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.client.supervisor._BACK_OFF_S", (0.0,))
    monkeypatch.setattr("app.client.supervisor.STEADY_S", -1.0)

    async def body(supervisor: EngineSupervisor, views: list[EngineView]) -> None:
        await supervisor.start()
        await supervisor.load(spec("good"))
        engine = SupervisedChatEngine(supervisor)
        for _ in range(MAX_FALLS):
            with pytest.raises(EngineDied):
                await answer(engine, "die")
        assert isinstance((await answer(engine, "hi"))[-1], TurnEnded)

    run(body, tmp_path / "engine.log")


def test_bad_file_leaves_the_engine_alive_with_one_sentence(tmp_path: Path) -> None:
    async def body(supervisor: EngineSupervisor, views: list[EngineView]) -> None:
        await supervisor.start()
        pid = supervisor.view.pid
        with pytest.raises(BadModelFile):
            await supervisor.load(spec("bad"))
        assert supervisor.view.phase == "idle"
        assert supervisor.view.pid == pid
        with pytest.raises(BadModelFile):
            await supervisor.until_ready()

    run(body, tmp_path / "engine.log")


def test_nothing_loaded_is_said_plainly(tmp_path: Path) -> None:
    async def body(supervisor: EngineSupervisor, views: list[EngineView]) -> None:
        await supervisor.start()
        with pytest.raises(NoModelLoaded):
            await supervisor.until_ready()

    run(body, tmp_path / "engine.log")


def test_cancelled_load_returns_to_idle(tmp_path: Path) -> None:
    async def body(supervisor: EngineSupervisor, views: list[EngineView]) -> None:
        await supervisor.start()
        load = asyncio.create_task(supervisor.load(spec("slow")))
        await until(lambda: supervisor.view.load_fraction >= 0.5)
        await supervisor.cancel_load()
        assert supervisor.view.phase == "idle"
        with pytest.raises(asyncio.CancelledError):
            await load

    run(body, tmp_path / "engine.log")


def test_missing_engine_is_named_with_its_remedy(tmp_path: Path) -> None:
    async def body(supervisor: EngineSupervisor, views: list[EngineView]) -> None:
        with pytest.raises(EngineNotInstalled):
            await supervisor.start()
        assert supervisor.view.phase == "failed"

    run(body, tmp_path / "engine.log", "--import-error")


def test_engine_that_always_dies_ends_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.client.supervisor._BACK_OFF_S", (0.0,))

    async def body(supervisor: EngineSupervisor, views: list[EngineView]) -> None:
        await supervisor.start()
        killed: set[int] = set()
        while supervisor.view.phase != "failed":
            pid = supervisor.view.pid
            if pid is not None and pid not in killed:
                killed.add(pid)
                os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.01)
        assert len(killed) == 5
        assert isinstance(supervisor.view.error, EngineDied)
        assert "started again by itself" not in supervisor.view.error.remedy

    run(body, tmp_path / "engine.log")


def test_token_is_not_in_argv_and_secrets_not_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "canary-hf")
    monkeypatch.setenv("OPENAI_API_KEY", "canary-openai")

    async def body(supervisor: EngineSupervisor, views: list[EngineView]) -> None:
        await supervisor.start()
        assert supervisor.view.pid is not None
        child = psutil.Process(supervisor.view.pid)
        assert child.cmdline() == COMMAND
        assert not {"canary-hf", "canary-openai"} & set(child.environ().values())

    run(body, tmp_path / "engine.log")


PARENT = """
import asyncio, sys
from pathlib import Path
from app.client.supervisor import EngineSupervisor
from app.core.control import EngineBoot

async def main():
    supervisor = EngineSupervisor(EngineBoot(token=""), Path(sys.argv[1]), command=sys.argv[2:])
    await supervisor.start()
    print(supervisor.view.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_no_engine_survives_a_killed_parent(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "engine.log"), *COMMAND],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert psutil.pid_exists(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 3.0
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.02)
    alive = psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    assert not alive
