"""Everything stored, behind one object that opens and closes it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.storage.chats import ChatStore
from app.storage.database import Database
from app.storage.labels import Labels
from app.storage.outbox import Outbox
from app.storage.prompts import PromptLibrary
from app.storage.queue import MessageQueue
from app.storage.rows import parts_from_text
from app.storage.runs import RunStore
from app.storage.search import Search
from app.storage.searchable import index_message
from app.storage.tree import MessageTree


@dataclass(frozen=True, slots=True)
class Storage:
    """The stores of one database file."""

    database: Database
    chats: ChatStore
    messages: MessageTree
    outbox: Outbox
    search: Search
    labels: Labels
    prompts: PromptLibrary
    queue: MessageQueue
    runs: RunStore

    async def close(self) -> None:
        """Finishes queued writes and closes the file.

        Raises: StorageError when something could not be written to the end.
        """
        try:
            await self.outbox.close()
        finally:
            await asyncio.to_thread(self.database.close)


async def open_storage(path: Path, *, clock: Callable[[], float] = time.time) -> Storage:
    """Opens the chats, migrating them first, off the caller's loop.

    Answers that were streaming when the last process died are marked as stopped.

    Raises: StorageError and its kinds.
    """
    database = Database(path)
    try:
        await asyncio.to_thread(database.open)
        await database.write(_finish_interrupted)
    except BaseException:
        await asyncio.to_thread(database.close)
        raise
    messages = MessageTree(database, clock)
    return Storage(
        database=database,
        chats=ChatStore(database, clock),
        messages=messages,
        outbox=Outbox(messages),
        search=Search(database),
        labels=Labels(database),
        prompts=PromptLibrary(database, clock),
        queue=MessageQueue(database, clock),
        runs=RunStore(database, clock),
    )


def _finish_interrupted(connection: sqlite3.Connection) -> None:
    rows = connection.execute(
        "UPDATE messages SET state = 'stopped',"
        " details = json_set(details, '$.interrupted', json('true')) WHERE state = 'streaming'"
        " RETURNING id, parts"
    ).fetchall()
    for row in rows:
        index_message(connection, row["id"], parts_from_text(row["parts"]))
