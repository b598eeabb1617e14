"""Lets an engine answer into storage: never more than a second behind, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from app.core.errors import EngineError, GarretError
from app.core.ports import ChatEngine, TurnRequest
from app.session.answer import AnswerBuilder
from app.session.events import AnswerEnded, AnswerProgress, NotSaved, SavedAgain, SessionEvent
from app.storage.outbox import Outbox, Rewrite
from app.storage.values import MessageState, StoredMessage

CHECKPOINT_S = 0.5  # plus the time of one write on a slow disk: less than the promised second


class AnswerRecorder:
    """Records one answer. It runs in its own task, so a slow reader never delays the disk."""

    def __init__(
        self,
        engine: ChatEngine,
        outbox: Outbox,
        placeholder: StoredMessage,
        checkpoint_s: float = CHECKPOINT_S,
    ) -> None:
        self._engine = engine
        self._outbox = outbox
        self._placeholder = placeholder
        self._checkpoint_s = checkpoint_s
        self._builder = AnswerBuilder(placeholder.details)
        self._queue: asyncio.Queue[SessionEvent | None] = asyncio.Queue()
        self._is_unsaved = False
        self._is_stopping = False
        self._task: asyncio.Task[None] | None = None

    async def events(self, request: TurnRequest) -> AsyncGenerator[SessionEvent, None]:
        """Everything that happens, last `AnswerEnded`. Closing this stops and stores."""
        self._task = asyncio.create_task(self._run(request), name=f"answer-{self._placeholder.id}")
        try:
            while (event := await self._queue.get()) is not None:
                yield event
            await self._task
        finally:
            await self.stop()

    async def fail(self, error: GarretError) -> AnswerEnded:
        """Ends an answer that never began."""
        self._is_stopping = True
        return AnswerEnded(await self._save("failed", error))

    async def stop(self) -> None:
        """Ends the answer where it is; returns when that is stored (or waits in the outbox)."""
        if self._task is None:
            if not self._is_stopping:
                self._is_stopping = True
                await self._save("stopped", None)
            return
        if self._task.done():
            return
        if not self._is_stopping:  # a second cancel would break off the storing
            self._is_stopping = True
            self._task.cancel()
        await asyncio.wait([self._task])

    async def _run(self, request: TurnRequest) -> None:
        saver = asyncio.create_task(self._save_while_growing())
        state: MessageState = "failed"
        error: GarretError | None = None
        try:
            await self._listen(request)
            state, error = self._verdict()
        except asyncio.CancelledError:
            state = "stopped"
        except GarretError as caught:
            error = caught
        finally:
            # A bug passes through here too: what was written is stored before it surfaces.
            saver.cancel()
            await asyncio.wait([saver])
            self._queue.put_nowait(AnswerEnded(await self._save(state, error)))
            self._queue.put_nowait(None)

    async def _listen(self, request: TurnRequest) -> None:
        async with aclosing(self._engine.stream(request)) as source:
            async for event in source:
                self._builder.add(event)
                self._queue.put_nowait(AnswerProgress(self._placeholder.id, event))

    def _verdict(self) -> tuple[MessageState, GarretError | None]:
        ended = self._builder.ended
        if ended is None:
            return "failed", EngineError("The answer broke off.", "Try again.")
        return ("stopped" if ended.finish_reason == "cancelled" else "complete"), None

    async def _save_while_growing(self) -> None:
        saved = 0
        while True:
            await asyncio.sleep(self._checkpoint_s)
            if saved != self._builder.version:
                saved = self._builder.version
                await self._save("streaming", None)

    async def _save(self, state: MessageState, error: GarretError | None) -> StoredMessage:
        parts, details = self._builder.parts, self._builder.details()
        if error is not None:
            details = replace(details, error=error.to_json())
        problem = await self._outbox.save(Rewrite(self._placeholder.id, parts, state, details))
        if problem is not None and not self._is_unsaved:
            self._queue.put_nowait(NotSaved(self._placeholder.id, problem))
        elif problem is None and self._is_unsaved:
            self._queue.put_nowait(SavedAgain(self._placeholder.id))
        self._is_unsaved = problem is not None
        message = replace(self._placeholder.message, parts=parts)
        return replace(self._placeholder, message=message, state=state, details=details)
