"""Backup copies made while the app works, and which of them to keep."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from app.core.errors import StorageDamaged, StorageFull
from app.storage.database import connect, translate
from app.storage.migrations import APPLICATION_ID

DAY_S = 86_400.0
BACKUP_EVERY_S = DAY_S
KEEP_NEWEST = 3
KEEP_DAYS, KEEP_WEEKS, KEEP_MONTHS = 7, 5, 6
MAX_TOTAL_BYTES = 2 << 30
_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class Backup:
    """One copy; `made_at` is seconds since the epoch."""

    path: Path
    made_at: float
    size_bytes: int


class Backups:
    """The copies of one database in one folder."""

    def __init__(
        self,
        source: Path,
        folder: Path,
        clock: Callable[[], float] = time.time,
        max_total_bytes: int = MAX_TOTAL_BYTES,
    ) -> None:
        self._source = source
        self.folder = folder
        self._clock = clock
        self._max_total_bytes = max_total_bytes

    def list(self) -> list[Backup]:
        """All copies, newest first."""
        found: list[Backup] = []
        for path in self.folder.glob("chats-*.sqlite3"):
            try:
                stamp = path.stem.removeprefix("chats-")
                made = datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
            except ValueError:
                continue  # somebody else's file
            size = path.stat().st_size
            found.append(Backup(path, made.timestamp(), size))
        return sorted(found, key=lambda backup: backup.made_at, reverse=True)

    @property
    def is_due(self) -> bool:
        """Whether the newest copy is older than a day, or there is none."""
        newest = next(iter(self.list()), None)
        return newest is None or self._clock() - newest.made_at >= BACKUP_EVERY_S

    async def make(self) -> Backup:
        """Copies the database as it is now, checks the copy, and drops copies no longer needed.

        Writers are not held up.

        Raises: StorageFull; StorageDamaged when the copy fails its check.
        """
        return await asyncio.to_thread(self.make_now)

    def make_now(self) -> Backup:
        """`make`, in the calling thread."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._demand_room()
        now = self._clock()
        stamp = datetime.fromtimestamp(now, UTC).strftime(_STAMP)
        final = self.folder / f"chats-{stamp}.sqlite3"
        part = final.with_suffix(".part")
        try:
            part.touch(mode=0o600)
            copy_database(self._source, part)
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(final)
            sync_folder(self.folder)
        finally:
            part.unlink(missing_ok=True)
        self.prune()
        return Backup(final, now, final.stat().st_size)

    def prune(self) -> None:
        """Deletes the copies `worth_keeping` does not name, then the oldest beyond the size."""
        backups = self.list()
        keep = worth_keeping([backup.made_at for backup in backups], self._clock())
        total = 0
        for number, backup in enumerate(backups):
            total += backup.size_bytes
            over = total > self._max_total_bytes and number >= 2
            if backup.made_at not in keep or over:
                backup.path.unlink(missing_ok=True)

    def _demand_room(self) -> None:
        needed = self._source.stat().st_size + (16 << 20)
        free = shutil.disk_usage(self.folder).free
        if free < needed:
            raise StorageFull(
                "There is no room for a backup of the chats.",
                "Free some space; Garret tries again tomorrow.",
                needed_bytes=needed,
                free_bytes=free,
            )


def worth_keeping(made_at: Sequence[float], now: float) -> set[float]:
    """Of these times: the newest three, and the newest of each of the last 7 days, 5 weeks and
    6 months (of 30 days)."""
    newest_first = sorted(made_at, reverse=True)
    keep = set(newest_first[:KEEP_NEWEST])
    for length_s, count in (
        (DAY_S, KEEP_DAYS),
        (7 * DAY_S, KEEP_WEEKS),
        (30 * DAY_S, KEEP_MONTHS),
    ):
        seen: set[int] = set()
        for when in newest_first:
            slot = int(when // length_s)  # calendar slots: a copy keeps its slot as time goes on
            if slot not in seen and now - when < length_s * count:
                seen.add(slot)
                keep.add(when)
    return keep


def copy_database(source: Path, target: Path) -> None:
    """An exact, checked copy through SQLite's online backup.

    All pages in one step: in WAL mode that holds up no writer, and it never starts over.
    """
    try:
        with (
            closing(connect(source, read_only=True)) as reading,
            closing(sqlite3.connect(target)) as writing,
        ):
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode = DELETE")  # one file, no -wal beside it
    except sqlite3.Error as error:
        raise translate(error, target) or error from error
    if not is_sound(target):
        raise StorageDamaged(
            "The copy of the chats did not pass its check.",
            "Restart Garret: it checks and repairs the file.",
            path=str(source),
        )


def is_sound(path: Path) -> bool:
    """Whether this is a database of ours in which SQLite finds nothing wrong."""
    if not path.exists():
        return False
    try:
        with closing(connect(path, read_only=True)) as connection:
            if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                return False
            first = connection.execute("PRAGMA quick_check(1)").fetchone()
            return first is not None and first[0] == "ok"
    except sqlite3.DatabaseError:
        return False


def sync_folder(folder: Path) -> None:
    """Makes a rename in the folder last through a power cut; Windows has no such call."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
