"""A chat engine with a watchdog: one that falls silent is started again, and that is said."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace

from app.core.errors import EngineDied, GarretError
from app.core.events import PromptProgress, Timings, TurnEnded, TurnEvent
from app.core.ports import ChatEngine, TurnRequest

SILENCE_S = 90.0


class PromptRead(GarretError):
    """The prompt has been read, and that was all that was wanted."""


class WatchedEngine:
    """Hands everything through; a silence of `silence_s` while it answers counts as a death.

    Args:
        restart: starts the engine again.
        say: told in one sentence what the watchdog did.
    """

    def __init__(
        self,
        inner: ChatEngine,
        restart: Callable[[], Awaitable[None]],
        say: Callable[[str], None],
        silence_s: float = SILENCE_S,
    ) -> None:
        self._inner = inner
        self._restart = restart
        self._say = say
        self._silence_s = silence_s

    async def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        async with contextlib.aclosing(self._inner.stream(request)) as events:
            while True:
                try:
                    async with asyncio.timeout(self._silence_s):
                        event = await anext(events)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    sentence = f"The engine was silent for {self._silence_s:.0f} s."
                    self._say(f"{sentence} It is being started again.")
                    await self._restart()
                    raise EngineDied(sentence, "It has been started again.") from None
                yield event

    async def models(self) -> list[str]:
        return await self._inner.models()

    async def count_tokens(self, request: TurnRequest) -> int | None:
        return await self._inner.count_tokens(request)

    async def context_tokens(self, model: str) -> int | None:
        return await self._inner.context_tokens(model)


class ReadingEngine:
    """Reads the first prompt it is given and then raises PromptRead.

    Whoever works with it builds exactly the prompt of a real run, so that the real one finds it
    read already. `probe_tokens` are written and thrown away; with a few the speed is known.
    """

    def __init__(self, inner: ChatEngine, probe_tokens: int = 1) -> None:
        self._inner = inner
        self._probe_tokens = probe_tokens
        self.has_read = False
        self.timings: Timings | None = None

    async def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        short = replace(request, max_tokens=self._probe_tokens)
        async with contextlib.aclosing(self._inner.stream(short)) as events:
            async for event in events:
                if isinstance(event, PromptProgress):
                    yield event
                elif isinstance(event, TurnEnded):
                    self.timings = event.timings
        self.has_read = True
        raise PromptRead("The prompt is read.")

    async def models(self) -> list[str]:
        return await self._inner.models()

    async def count_tokens(self, request: TurnRequest) -> int | None:
        return await self._inner.count_tokens(request)

    async def context_tokens(self, model: str) -> int | None:
        return await self._inner.context_tokens(model)
