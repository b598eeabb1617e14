"""One request between the decode thread and the asyncio loop."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import AsyncIterator

from app.core.errors import GarretError
from app.engine.types import Finished, GenerationEvent, GenerationRequest

_order = itertools.count()


class GenerationHandle:
    """What `submit` returns: iterate once. Events cross threads in packets."""

    def __init__(self, request: GenerationRequest, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self.order = next(_order)
        self.submitted_at = time.perf_counter()
        self.cancelled = False
        self._loop = loop
        self._events: deque[GenerationEvent | GarretError] = deque()
        self._wake = asyncio.Event()
        self._over = False

    def cancel(self) -> None:
        self.cancelled = True

    def post(self, events: list[GenerationEvent | GarretError]) -> None:
        """From any thread: hands events to the loop in one call."""
        try:
            self._loop.call_soon_threadsafe(self._receive, events)
        except RuntimeError:  # the loop is closed: nobody listens any more
            self.cancelled = True

    def _receive(self, events: list[GenerationEvent | GarretError]) -> None:
        self._events.extend(events)
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[GenerationEvent]:
        try:
            while not self._over:
                while self._events:
                    event = self._events.popleft()
                    if isinstance(event, GarretError):
                        raise event
                    self._over = isinstance(event, Finished)
                    yield event
                if not self._over:
                    self._wake.clear()
                    if not self._events:
                        await self._wake.wait()
        finally:
            if not self._over:
                self.cancel()
