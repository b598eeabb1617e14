"""Out of memory at load: the next smaller plan, and a machine that remembers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from app.core.control import DeviceInfo, EngineStatus, LoadSpec, MemoryUse, ModelInfo
from app.core.engine_view import EngineView
from app.core.errors import EngineUnreachable, OutOfMemory
from app.core.settings import Settings
from app.library.choice import LoadKnowledge
from app.library.model_settings import ModelSettingsFile
from app.library.outcomes import Outcomes
from app.library.store import Store
from app.session.local_engine import LocalEngine, held_bytes
from tests.library.ggufs import write_tiny


class SmallEngine:
    """A supervisor whose engine can hold so many tokens and no more."""

    def __init__(self, room_tokens: int) -> None:
        self.room_tokens = room_tokens
        self.view = EngineView("idle")
        self.asked: list[LoadSpec] = []

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def status(self) -> EngineStatus:
        raise EngineUnreachable("The engine is not running.")

    async def load(self, spec: LoadSpec) -> ModelInfo:
        self.asked.append(spec)
        if spec.n_ctx * spec.n_parallel > self.room_tokens:
            error = OutOfMemory("There was not enough memory.")
            self.view = EngineView("idle", error=error)
            raise error
        model = ModelInfo(spec.model_id, n_ctx=spec.n_ctx)
        self.view = EngineView("ready", model=model)
        return model


def make(tmp_path: Path, room_tokens: int) -> tuple[LocalEngine, SmallEngine]:
    store = Store(tmp_path / "models")
    if not store.installed():
        store.add_file(write_tiny(tmp_path / "tiny.gguf", **{"llama.context_length": 32_768}))
    supervisor: Any = SmallEngine(room_tokens)
    known = LoadKnowledge(
        ModelSettingsFile(tmp_path / "models.json"), Outcomes(tmp_path / "outcomes.json")
    )
    return LocalEngine(supervisor, store, Settings(), known, lambda: store.root), supervisor


def test_smaller_plans_lead_to_one_that_loads_and_is_remembered(tmp_path: Path) -> None:
    async def scene() -> None:
        engine, supervisor = make(tmp_path, room_tokens=8_192)
        await engine.load_model("tiny")
        clicks = 0
        while isinstance(engine.view.error, OutOfMemory):
            assert engine.smaller_words()
            await engine.load_smaller()
            clicks += 1
            assert clicks < 9
        assert engine.view.phase == "ready"
        worked = supervisor.asked[-1]
        later, again = make(tmp_path, room_tokens=8_192)
        await later.load_model("tiny")
        assert len(again.asked) == 1
        assert again.asked[0] == worked

    asyncio.run(scene())


def test_where_nothing_is_left_to_save_it_is_said(tmp_path: Path) -> None:
    async def scene() -> None:
        engine, supervisor = make(tmp_path, room_tokens=0)
        await engine.load_model("tiny")
        while engine.smaller_words():
            await engine.load_smaller()
        with pytest.raises(OutOfMemory, match="no smaller way"):
            await engine.load_smaller()
        sizes = [spec.n_ctx for spec in supervisor.asked]
        assert sizes == sorted(sizes, reverse=True)

    asyncio.run(scene())


def test_a_model_that_goes_counts_as_free_where_it_lies() -> None:
    on_card = (MemoryUse("CUDA0", 100, 10), MemoryUse("CPU", 40))
    status = EngineStatus(memory={"m": on_card}, devices=(DeviceInfo("CUDA0"),))
    assert held_bytes(status) == 110
    assert held_bytes(EngineStatus(memory={"m": (MemoryUse("CPU", 40, 2),)})) == 42
    assert held_bytes(None) == 0
