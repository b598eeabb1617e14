"""After damage: the newest good backup, plus every row of the damaged file still readable."""

from __future__ import annotations

import errno
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import StorageError, StorageFull
from app.storage.backup import Backups, is_sound, sync_folder
from app.storage.database import connect, marker_of
from app.storage.migrations import migrate
from app.storage.rows import parts_from_text
from app.storage.searchable import index_message

_MAX_ID_GAP = 100_000  # beyond the last id known, in case the table that knows it is damaged
_CHAT_COLUMNS = (
    "id, uid, title, title_is_custom, model, system_prompt, sampling, draft, pinned, archived,"
    " trashed_at, active_leaf, created_at, updated_at"
)
_MESSAGE_COLUMNS = "id, chat_id, parent_id, role, state, parts, details, created_at"


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a repair did. `backup_made_at` is None when no good backup was found.

    `kept_at` is the damaged file, kept for experts; `chats` and `messages` count what was
    rescued from it beyond the backup.
    """

    kept_at: Path
    backup_made_at: float | None
    chats: int
    messages: int

    @property
    def sentence(self) -> str:
        """What to tell the user."""
        if self.messages:
            rescued = f"{self.messages} newer messages were rescued from it"
        else:
            rescued = "nothing newer could be read from it"
        if self.backup_made_at is None:
            return f"The file with your chats was damaged and there is no backup; {rescued}."
        return f"The file with your chats was damaged. The newest backup is back; {rescued}."


def recover(path: Path, backups: Backups, now: float) -> Recovery:
    """Puts a sound database at `path` and keeps the damaged one aside. In the calling thread.

    A crash on the way leaves the damaged file and its marker in place: the next start begins
    the repair anew.

    Raises: StorageError when the folder cannot be written or is full.
    """
    kept = path.with_name(f"{path.stem}-damaged-{int(now)}{path.suffix}")
    repaired = path.with_name(path.name + ".repaired")
    backup = next((backup for backup in backups.list() if is_sound(backup.path)), None)
    try:
        marker_of(path).touch()
        for old, copy in zip(_files(path), _files(kept), strict=True):
            if old.exists():
                shutil.copy(old, copy)
        for leftover in _files(repaired):
            leftover.unlink(missing_ok=True)
        if backup is not None:
            shutil.copy(backup.path, repaired)
        with closing(connect(repaired)) as target:
            migrate(target)
            chats, messages = _rescue(kept, target)
            target.execute("PRAGMA journal_mode = DELETE")
        for companion in _files(path)[1:]:
            companion.unlink(missing_ok=True)
        repaired.replace(path)
        sync_folder(path.parent)
        marker_of(path).unlink(missing_ok=True)
    except OSError as error:
        kind = StorageFull if error.errno == errno.ENOSPC else StorageError
        raise kind(
            f"The damaged file with your chats could not be repaired ({error.strerror}).",
            "Free some space and start Garret again; nothing was deleted.",
            path=str(path),
        ) from error
    return Recovery(kept, backup.made_at if backup is not None else None, chats, messages)


def _files(path: Path) -> tuple[Path, Path, Path]:
    """The database and what SQLite keeps beside it."""
    return path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")


def _rescue(damaged: Path, target: sqlite3.Connection) -> tuple[int, int]:
    """Copies readable chats and messages that the target lacks or has in an older form."""
    if not damaged.exists():
        return 0, 0
    try:
        with closing(sqlite3.connect(damaged)) as source:
            source.row_factory = sqlite3.Row
            source.execute("PRAGMA query_only = ON")
            chats = list(_readable(source, "chats", _CHAT_COLUMNS))
            messages = list(_readable(source, "messages", _MESSAGE_COLUMNS))
    except sqlite3.Error:
        return 0, 0
    target.execute("PRAGMA foreign_keys = OFF")
    target.execute("BEGIN IMMEDIATE")
    new_chats = sum(_put(target, "chats", row) for row in chats)
    new_messages = 0
    for row in messages:
        try:
            parts = parts_from_text(row["parts"])
            json.loads(row["details"])
        except (ValueError, TypeError, AttributeError):
            continue
        if _put(target, "messages", row):
            new_messages += 1
            index_message(target, row["id"], parts)
    _mend_links(target)
    target.execute("COMMIT")
    target.execute("PRAGMA foreign_keys = ON")
    return new_chats, new_messages


def _readable(source: sqlite3.Connection, table: str, columns: str) -> Iterator[sqlite3.Row]:
    """Every row that can be read: forward to the damage, over it in growing steps, then
    backward to its other side."""
    forward = f"SELECT {columns} FROM {table} WHERE id >= ? ORDER BY id"  # noqa: S608
    backward = f"SELECT {columns} FROM {table} WHERE id >= ? AND id < ? ORDER BY id DESC"  # noqa: S608
    end = _last_id(source, table) + 1
    start, step = 1, 1
    gap: int | None = None  # the first id not yet seen when the damage began
    while start < end:
        reader = _Reader(source)
        for row in reader.rows(forward, (start,)):
            if gap is not None:
                yield from _Reader(source).rows(backward, (gap, start))
                gap, step = None, 1
            yield row
            start = row["id"] + 1
        if not reader.has_failed:
            break
        gap = start if gap is None else gap
        start += step
        step *= 2
    if gap is not None:
        yield from _Reader(source).rows(backward, (gap, max(end, start)))


class _Reader:
    """Rows of a query until it ends or fails."""

    def __init__(self, source: sqlite3.Connection) -> None:
        self._source = source
        self.has_failed = False

    def rows(self, sql: str, values: tuple[int, ...]) -> Iterator[sqlite3.Row]:
        cursor: Iterator[sqlite3.Row] = iter(())
        try:
            cursor = self._source.execute(sql, values)
        except sqlite3.Error:
            self.has_failed = True
        while True:
            try:
                row = next(cursor, None)
            except sqlite3.Error:
                self.has_failed = True
                return
            if row is None:
                return
            yield row


def _last_id(source: sqlite3.Connection, table: str) -> int:
    for sql in (
        "SELECT seq FROM sqlite_sequence WHERE name = ?",
        f"SELECT max(id) FROM {table} WHERE ? != ''",  # noqa: S608
    ):
        try:
            row = source.execute(sql, (table,)).fetchone()
        except sqlite3.Error:
            continue
        if row is not None and row[0]:
            return int(row[0])
    return _MAX_ID_GAP


def _put(target: sqlite3.Connection, table: str, row: sqlite3.Row) -> bool:
    """Inserts or updates one row; False when it was there as it is, or breaks a rule."""
    names = row.keys()
    columns = ", ".join(names)
    marks = ", ".join("?" for _ in names)
    changes = ", ".join(f"{name} = excluded.{name}" for name in names if name != "id")
    differs = " OR ".join(f"{table}.{name} IS NOT excluded.{name}" for name in names)
    try:
        cursor = target.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({marks})"  # noqa: S608
            f" ON CONFLICT (id) DO UPDATE SET {changes} WHERE {differs}",
            tuple(row),
        )
    except sqlite3.IntegrityError:
        return False
    return cursor.rowcount > 0


def _mend_links(target: sqlite3.Connection) -> None:
    """Messages whose chat is lost get one; those whose parent is lost become first messages."""
    target.execute(
        "INSERT INTO chats (id, uid, title, created_at, updated_at)"
        " SELECT chat_id, 'rescued-' || chat_id, 'Rescued chat', min(created_at), max(created_at)"
        " FROM messages WHERE chat_id NOT IN (SELECT id FROM chats) GROUP BY chat_id"
    )
    target.execute(
        "UPDATE messages SET parent_id = NULL WHERE parent_id NOT IN (SELECT id FROM messages)"
    )
    target.execute(
        "UPDATE chats SET active_leaf = (SELECT max(id) FROM messages WHERE chat_id = chats.id)"
        " WHERE active_leaf IS NULL OR active_leaf NOT IN (SELECT id FROM messages)"
    )
