from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.client import process, spawn
from app.client.spawn import SpareEngine
from app.client.supervisor import EngineSupervisor
from app.core.control import EngineBoot

COMMAND = [sys.executable, str(Path(__file__).with_name("fake_engine.py"))]


@pytest.fixture
def spare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SpareEngine]:
    for module in (spawn, process):
        monkeypatch.setattr(module, "engine_command", lambda **_: COMMAND)
    found = SpareEngine.begin(tmp_path / "engine.log")
    assert found is not None
    yield found
    found.discard()


def started_pids(spare: SpareEngine | None, log: Path) -> list[int | None]:
    """The engine's pid after a start, and after a start anew."""

    async def scene() -> list[int | None]:
        supervisor = EngineSupervisor(EngineBoot(token=""), log, spare=spare)
        try:
            await supervisor.start()
            first = supervisor.view.pid
            await supervisor.restart()
            return [first, supervisor.view.pid]
        finally:
            await supervisor.stop()

    return asyncio.run(scene())


def pid_of(spare: SpareEngine) -> int:
    assert spare._popen is not None
    return spare._popen.pid


def test_the_first_start_takes_the_spare_engine_and_later_ones_do_not(
    spare: SpareEngine, tmp_path: Path
) -> None:
    early = pid_of(spare)
    first, second = started_pids(spare, tmp_path / "engine.log")
    assert first == early
    assert second not in (None, early)
    assert not psutil.pid_exists(early)


def test_a_spare_engine_that_has_died_is_replaced(spare: SpareEngine, tmp_path: Path) -> None:
    early = psutil.Process(pid_of(spare))
    early.kill()
    early.wait(10)
    first, _second = started_pids(spare, tmp_path / "engine.log")
    assert first not in (None, early.pid)


def test_one_that_nobody_took_is_ended(spare: SpareEngine) -> None:
    early = pid_of(spare)
    spare.discard()
    assert not psutil.pid_exists(early)
    assert spare.take() is None


def test_no_spare_engine_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawn, "engine_command", lambda **_: [str(tmp_path / "missing")])
    assert SpareEngine.begin(tmp_path / "engine.log") is None
