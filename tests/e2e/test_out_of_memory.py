"""The real engine in too little memory: a sentence, a smaller plan, a machine that remembers."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import psutil
import pytest

from app.client.supervisor import EngineSupervisor
from app.core.control import EngineBoot
from app.core.errors import OutOfMemory
from app.core.settings import Settings
from app.library.choice import LoadKnowledge
from app.library.model_settings import ModelSettingsFile
from app.library.outcomes import Outcomes
from app.library.store import Store
from app.session.local_engine import LocalEngine

MIB = 1 << 20
ROOM = 640 * MIB  # with 262,144 tokens it takes about 560 beside threads and their heaps
pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux limits another process's address space"
)


@contextlib.asynccontextmanager
async def running(home: Path, model: Path, n_ctx: int) -> AsyncGenerator[LocalEngine, None]:
    """A running engine with one installed model."""
    store = Store(home / "models")
    if not store.installed():
        store.add_file(model, copy=False)
    settings = Settings()
    settings.set("models.load_at_start", False)
    settings.set("engine.context_tokens", n_ctx)
    known = LoadKnowledge(ModelSettingsFile(home / "models.json"), Outcomes(home / "outcomes.json"))
    supervisor = EngineSupervisor(EngineBoot(token=""), home / "engine.log")
    engine = LocalEngine(supervisor, store, settings, known, lambda: store.root)
    try:
        await engine.open()
        yield engine
    finally:
        await engine.close()


async def settled(engine: LocalEngine) -> None:
    """Until the engine is up again after whatever happened to it."""
    for _ in range(1_500):
        if engine.view.phase in ("idle", "ready", "failed"):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"still {engine.view.phase}: {engine.view.error}")


def limit(engine: LocalEngine, room_bytes: int) -> None:
    """The engine may take `room_bytes` more than it has from now on.

    What counts is addresses, and each thread's heap reserves many that it never uses: so the limit
    is taken anew for each attempt, and only the soft one, which anybody may raise again.
    """
    assert engine.view.pid is not None
    process = psutil.Process(engine.view.pid)
    most = process.memory_info().vms + room_bytes
    process.rlimit(psutil.RLIMIT_AS, (most, psutil.RLIM_INFINITY))


def test_a_context_that_does_not_fit_leads_to_one_that_does(
    tmp_path: Path, hybrid_model_path: Path
) -> None:
    async def scenario() -> None:
        async with running(tmp_path, hybrid_model_path, 262_144) as engine:
            model_id = engine.choices()[0].model_id
            limit(engine, ROOM)
            await engine.load_model(model_id)
            await settled(engine)
            error = engine.view.error
            assert isinstance(error, OutOfMemory), error
            assert "not enough memory" in str(error)
            clicks = 0
            while isinstance(engine.view.error, OutOfMemory) and clicks < 6:
                limit(engine, ROOM)  # of a new process, where llama.cpp could only abort
                assert engine.smaller_words()
                await engine.load_smaller()
                await settled(engine)
                clicks += 1
            assert engine.view.phase == "ready", engine.view.error
            assert engine.view.model is not None
            fitting = engine.view.model.n_ctx
            assert 4_096 <= fitting < 262_144
        async with running(tmp_path, hybrid_model_path, 262_144) as engine:
            await engine.load_model(model_id)
            assert engine.view.model is not None
            assert engine.view.model.n_ctx == fitting, "what worked is remembered"

    asyncio.run(scenario())


def test_a_process_without_any_memory_is_said_to_be_that(
    tmp_path: Path, hybrid_model_path: Path
) -> None:
    async def scenario() -> None:
        async with running(tmp_path, hybrid_model_path, 4_096) as engine:
            limit(engine, MIB)
            await engine.load_model(engine.choices()[0].model_id)
            await settled(engine)
            error = engine.view.error
            assert isinstance(error, OutOfMemory), error
            assert error.remedy
            assert engine.view.phase == "idle", "a fresh engine waits"
            assert engine.smaller_words()

    asyncio.run(scenario())
