"""Everything stored, behind one object that opens and closes it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import StorageDamaged, StorageFull
from app.storage.backup import Backups, is_sound
from app.storage.chats import ChatStore
from app.storage.database import Database, marker_of
from app.storage.labels import Labels
from app.storage.outbox import Outbox
from app.storage.prompts import PromptLibrary
from app.storage.queue import MessageQueue
from app.storage.recovery import Recovery, recover
from app.storage.reserve import Reserve
from app.storage.rows import parts_from_text
from app.storage.search import Search
from app.storage.searchable import index_message
from app.storage.tree import MessageTree


@dataclass(frozen=True, slots=True)
class Storage:
    """The stores of one database file. `recovery` says what was repaired at the start."""

    database: Database
    chats: ChatStore
    messages: MessageTree
    outbox: Outbox
    search: Search
    labels: Labels
    prompts: PromptLibrary
    queue: MessageQueue
    backups: Backups
    recovery: Recovery | None = None

    async def maintain(self) -> None:
        """What can wait until the window is up: check the file, empty old trash, back up.

        Run it once after the start, and daily. Found damage is repaired at the next start.

        Raises: StorageDamaged, StorageFull (no room for a backup).
        """
        path = self.database.path
        if not await asyncio.to_thread(is_sound, path):
            await asyncio.to_thread(marker_of(path).touch)
            raise StorageDamaged(
                "The file with your chats is damaged.",
                "Restart Garret: it repairs the file from the newest good backup.",
                path=str(path),
            )
        await asyncio.to_thread(Reserve(path).keep)
        await self.chats.purge()
        if self.backups.is_due:
            await self.backups.make()

    async def close(self) -> None:
        """Finishes queued writes and closes the file; on a full disk in the room kept for that.

        Raises: StorageError when something could not be written to the end.
        """
        try:
            try:
                await self.outbox.close()
            except StorageFull as problem:
                await asyncio.to_thread(Reserve(self.database.path).give_most, problem)
                await self.outbox.flush()
        finally:
            await asyncio.to_thread(self.database.close)


async def open_storage(
    path: Path, backup_folder: Path | None = None, *, clock: Callable[[], float] = time.time
) -> Storage:
    """Opens the chats off the caller's loop: repairs a damaged file, migrates an old one.

    Backups lie in `backups` beside the file unless a folder is given. Answers that were
    streaming when the last process died are marked as stopped.

    Raises: StorageError and its kinds.
    """
    backups = Backups(path, backup_folder or path.parent / "backups", clock)
    database, recovery = await asyncio.to_thread(_open_or_repair, path, backups, clock)
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
        backups=backups,
        recovery=recovery,
    )


def _open_or_repair(
    path: Path, backups: Backups, clock: Callable[[], float]
) -> tuple[Database, Recovery | None]:
    if not marker_of(path).exists() and not _has_vanished(path, backups):
        try:
            return _opened(path), None
        except StorageDamaged:
            pass
        except StorageFull as problem:
            Reserve(path).give_up(problem)
            return _opened(path), None
    recovery = recover(path, backups, clock())
    return _opened(path), recovery


def _has_vanished(path: Path, backups: Backups) -> bool:
    """Whether there were chats (there are backups of them) and the file is gone or empty."""
    if path.with_name(path.name + "-wal").exists():
        return False
    return (not path.exists() or path.stat().st_size == 0) and bool(backups.list())


def _opened(path: Path) -> Database:
    database = Database(path)
    try:
        database.open()
        database.submit(_finish_interrupted).result()
    except BaseException:
        database.close()
        raise
    return database


def _finish_interrupted(connection: sqlite3.Connection) -> None:
    rows = connection.execute(
        "UPDATE messages SET state = 'stopped',"
        " details = json_set(details, '$.interrupted', json('true')) WHERE state = 'streaming'"
        " RETURNING id, parts"
    ).fetchall()
    for row in rows:
        index_message(connection, row["id"], parts_from_text(row["parts"]))
