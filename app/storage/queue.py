"""Messages that wait until the model has time; they survive a restart."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

from app.core.messages import Message
from app.storage.database import Database
from app.storage.rows import parts_from_text, parts_to_text
from app.storage.values import QueuedMessage


class MessageQueue:
    """First in, first out, per chat."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._db = database
        self._clock = clock

    async def add(self, chat_id: int, message: Message) -> QueuedMessage:
        """Queues a user's message."""

        def job(connection: sqlite3.Connection) -> QueuedMessage:
            now = self._clock()
            row = connection.execute(
                "INSERT INTO queued_messages (chat_id, parts, created_at) VALUES (?, ?, ?)"
                " RETURNING id",
                (chat_id, parts_to_text(message.parts), now),
            ).fetchone()
            return QueuedMessage(row["id"], chat_id, message, now)

        return await self._db.write(job)

    async def list(self, chat_id: int) -> list[QueuedMessage]:
        """What waits, in the order it will be sent."""

        def job(connection: sqlite3.Connection) -> list[QueuedMessage]:
            rows = connection.execute(
                "SELECT * FROM queued_messages WHERE chat_id = ? ORDER BY id", (chat_id,)
            )
            return [
                QueuedMessage(
                    row["id"],
                    row["chat_id"],
                    Message("user", parts_from_text(row["parts"])),
                    row["created_at"],
                )
                for row in rows
            ]

        return await self._db.read(job)

    async def remove(self, queued_id: int) -> None:
        """Takes one back; nothing happens when it was sent already."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM queued_messages WHERE id = ?", (queued_id,))

        await self._db.write(job)
