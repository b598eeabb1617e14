from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from app.core.control import EngineStatus, LoadSpec
from app.core.engine_view import EngineView, ModelChoice
from app.core.errors import EngineDied
from app.core.events import TextDelta, TurnEvent
from app.core.ports import TurnRequest
from app.session.engine_seat import EngineSeat


class SlowEngine:
    """Control and chat in one; it is not running before `open` has ended."""

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.go_on = asyncio.Event()
        self.view = EngineView()

    def choices(self) -> Sequence[ModelChoice]:
        return ()

    async def refresh(self) -> Sequence[ModelChoice]:
        return ()

    async def open(self) -> None:
        await self.go_on.wait()
        self.view = EngineView(phase="ready")

    async def load_model(self, model_id: str) -> None: ...

    async def load_smaller(self) -> None: ...

    def smaller_words(self) -> str:
        return ""

    @property
    def spec(self) -> LoadSpec | None:
        return None

    async def unload(self) -> None: ...

    async def status(self) -> EngineStatus | None:
        return None

    async def cancel_load(self) -> None: ...

    async def start_engine(self) -> None: ...

    async def close(self) -> None: ...

    async def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        if self.view.phase != "ready":
            raise EngineDied("The engine is not running.", "Start it again.")
        yield TextDelta(self.answer)

    async def models(self) -> list[str]:
        return [self.answer]

    async def count_tokens(self, request: TurnRequest) -> int | None:
        return None

    async def context_tokens(self, model: str) -> int | None:
        return None


async def _ask(seat: EngineSeat) -> str:
    request = TurnRequest("any", ())
    return "".join([e.text async for e in seat.stream(request) if isinstance(e, TextDelta)])


def test_a_question_asked_before_anything_runs_waits_for_the_engine() -> None:
    async def scene() -> str:
        seat, engine = EngineSeat(), SlowEngine("hello")
        asked = asyncio.create_task(_ask(seat))
        await asyncio.sleep(0)
        opening = asyncio.create_task(seat.take(engine, engine))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not asked.done()
        engine.go_on.set()
        await opening
        return await asked

    assert asyncio.run(scene()) == "hello"


def test_a_question_asked_while_engines_change_goes_to_the_new_one() -> None:
    async def scene() -> str:
        seat, old, new = EngineSeat(), SlowEngine("old"), SlowEngine("new")
        old.go_on.set()
        await seat.take(old, old)
        changing = asyncio.create_task(seat.take(new, new))
        await asyncio.sleep(0)
        asked = asyncio.create_task(_ask(seat))
        await asyncio.sleep(0)
        new.go_on.set()
        await changing
        return await asked

    assert asyncio.run(scene()) == "new"


def test_an_engine_that_does_not_open_is_asked_all_the_same_and_says_why() -> None:
    class Broken(SlowEngine):
        async def open(self) -> None:
            return  # failures are in the view

    async def scene() -> None:
        seat, engine = EngineSeat(), Broken("never")
        await seat.take(engine, engine)
        with pytest.raises(EngineDied):
            await _ask(seat)

    asyncio.run(scene())
