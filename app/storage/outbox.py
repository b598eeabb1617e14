"""Answers that could not be written yet (disk full): kept in memory, tried until they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from app.core.errors import StorageError
from app.core.messages import Part
from app.storage.tree import MessageTree
from app.storage.values import AnswerDetails, MessageState, StoredMessage


@dataclass(frozen=True, slots=True)
class Rewrite:
    """The newest contents of one message."""

    message_id: int
    parts: Sequence[Part]
    state: MessageState
    details: AnswerDetails


class Outbox:
    """Holds the newest version of each unsaved message and retries every `retry_s`.

    `listeners` are called with the message's id once it is on disk.
    """

    def __init__(self, messages: MessageTree, retry_s: float = 2.0) -> None:
        self._messages = messages
        self._retry_s = retry_s
        self._pending: dict[int, Rewrite] = {}
        self._problem: StorageError | None = None
        self._task: asyncio.Task[None] | None = None
        self.listeners: list[Callable[[int], None]] = []

    @property
    def is_empty(self) -> bool:
        return not self._pending

    def newest(self, stored: StoredMessage) -> StoredMessage:
        """A message read from disk with what is still to be written of it."""
        rewrite = self._pending.get(stored.id)
        if rewrite is None:
            return stored
        message = replace(stored.message, parts=tuple(rewrite.parts))
        return replace(stored, message=message, state=rewrite.state, details=rewrite.details)

    def problem_of(self, message_id: int) -> StorageError | None:
        """Why a message is not on disk yet; None when it is."""
        return self._problem if message_id in self._pending else None

    async def save(self, rewrite: Rewrite) -> StorageError | None:
        """Writes it now, or keeps it and returns why it could not be written."""
        self._pending.pop(rewrite.message_id, None)
        try:
            await self._write(rewrite)
        except StorageError as problem:
            self._problem = problem
            self._pending[rewrite.message_id] = rewrite
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._retry(), name="storage-outbox")
            return problem
        return None

    async def flush(self) -> None:
        """Tries everything that waits, oldest first.

        Raises: StorageError while there is still no room.
        """
        for message_id, rewrite in list(self._pending.items()):
            await self._write(rewrite)
            if self._pending.get(message_id) is rewrite:
                del self._pending[message_id]
            for listener in list(self.listeners):
                listener(message_id)

    async def close(self) -> None:
        """A last try; what fails now is given up with the process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        await self.flush()

    async def _retry(self) -> None:
        while self._pending:
            await asyncio.sleep(self._retry_s)
            try:
                await self.flush()
            except StorageError:
                continue

    async def _write(self, rewrite: Rewrite) -> None:
        await self._messages.rewrite(
            rewrite.message_id, rewrite.parts, state=rewrite.state, details=rewrite.details
        )
