"""The place where the engine of the moment sits: empty at first, then ours or another one.

The window is built around the seat, so it can be on screen before the engine's client is even
imported, and the user can change engines without a restart.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Protocol

from app.core.control import EngineStatus, LoadSpec
from app.core.engine_view import EngineView, ModelChoice
from app.core.events import TurnEvent
from app.core.ports import ChatEngine, TurnRequest


class Control(Protocol):
    """What can sit here: LocalEngine or RemoteEngine."""

    @property
    def view(self) -> EngineView: ...

    def choices(self) -> Sequence[ModelChoice]: ...

    async def refresh(self) -> Sequence[ModelChoice]: ...

    async def open(self) -> None: ...

    async def load_model(self, model_id: str) -> None: ...

    async def load_smaller(self) -> None: ...

    def smaller_words(self) -> str: ...

    @property
    def spec(self) -> LoadSpec | None: ...

    async def unload(self) -> None: ...

    async def status(self) -> EngineStatus | None: ...

    async def cancel_load(self) -> None: ...

    async def start_engine(self) -> None: ...

    async def close(self) -> None: ...


class EngineSeat:
    """ChatEngine and engine control at once; waits while nobody sits here."""

    def __init__(self, on_change: Callable[[EngineView], None] = lambda _view: None) -> None:
        self.on_change = on_change
        self._control: Control | None = None
        self._chat: ChatEngine | None = None
        self._taken = asyncio.Event()
        self._opened = asyncio.Event()

    @property
    def view(self) -> EngineView:
        return self._control.view if self._control is not None else EngineView(phase="starting")

    def show(self, view: EngineView) -> None:
        """What the sitting engine reports its views to."""
        self.on_change(view)

    async def take(self, control: Control, chat: ChatEngine) -> None:
        """Lets another engine sit here and opens it; the old one is closed first."""
        self._taken.clear()
        self._opened.clear()
        old, self._control, self._chat = self._control, None, None
        if old is not None:
            await old.close()
        self._control, self._chat = control, chat
        self.show(control.view)
        self._taken.set()
        try:
            await control.open()
        finally:
            self._opened.set()

    async def close(self) -> None:
        if self._control is not None:
            await self._control.close()

    # -- control ----------------------------------------------------------------------------

    def choices(self) -> Sequence[ModelChoice]:
        return self._control.choices() if self._control is not None else ()

    async def refresh(self) -> Sequence[ModelChoice]:
        return await (await self._sitting()).refresh()

    async def load_model(self, model_id: str) -> None:
        await (await self._sitting()).load_model(model_id)

    async def load_smaller(self) -> None:
        await (await self._sitting()).load_smaller()

    def smaller_words(self) -> str:
        """What the next smaller plan gives up; '' where there is none."""
        return self._control.smaller_words() if self._control is not None else ""

    @property
    def spec(self) -> LoadSpec | None:
        """What the last load was ordered with; None for another engine's models."""
        return self._control.spec if self._control is not None else None

    async def unload(self) -> None:
        """Gives the loaded model's memory back."""
        await (await self._sitting()).unload()

    async def status(self) -> EngineStatus | None:
        """Our engine's own account: devices and memory; None for another's, or before a start."""
        return await self._control.status() if self._control is not None else None

    async def cancel_load(self) -> None:
        await (await self._sitting()).cancel_load()

    async def start_engine(self) -> None:
        await (await self._sitting()).start_engine()

    # -- chat -------------------------------------------------------------------------------

    async def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        chat = await self._chatting()
        async with contextlib.aclosing(chat.stream(request)) as events:
            async for event in events:
                yield event

    async def models(self) -> list[str]:
        return await (await self._chatting()).models()

    async def count_tokens(self, request: TurnRequest) -> int | None:
        return await (await self._chatting()).count_tokens(request)

    async def context_tokens(self, model: str) -> int | None:
        return await (await self._chatting()).context_tokens(model)

    async def _sitting(self) -> Control:
        await self._taken.wait()
        assert self._control is not None
        return self._control

    async def _chatting(self) -> ChatEngine:
        # Until it is opened an engine says it is not running: a question asked at once waits.
        await self._opened.wait()
        assert self._chat is not None
        return self._chat
