"""One SQLite file: one writer thread, a few readers, typed errors; awaitable from any loop."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from app.core.errors import StorageDamaged, StorageError, StorageFull
from app.storage.migrations import migrate

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

BUSY_TIMEOUT_MS = 5_000
READERS = 2
WAL_KEPT_BYTES = 16 << 20
_LOW_DISK_BYTES = 4 << 20


def connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """A connection with the settings every one of ours has; transactions are explicit.

    synchronous=FULL: a committed message also survives a power cut; commits are rare enough.
    """
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, timeout=BUSY_TIMEOUT_MS / 1000
    )
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA temp_store = MEMORY")
    if read_only:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -16384")
    else:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_KEPT_BYTES}")
    return connection


def translate(error: sqlite3.Error, path: Path) -> StorageError | None:
    """The environment problem behind an SQLite error; None when it is a bug of ours."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or (code == sqlite3.SQLITE_IOERR and _disk_is_full(path)):
        return StorageFull(
            "The disk is full, so the latest changes are not saved yet.",
            "Free some space; Garret saves them as soon as there is room.",
            path=str(path),
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return StorageDamaged(
            "The file with your chats is damaged.",
            "Restart Garret: it repairs the file from the newest good backup.",
            path=str(path),
        )
    if code in (
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
    ):
        return StorageError(
            f"The chats could not be read or written ({error}).",
            f"Check that {path.parent} exists and may be written, and that no other program"
            " holds the file.",
            path=str(path),
        )
    return None


def marker_of(path: Path) -> Path:
    """A file beside the database that says: damaged, repair at the next start."""
    return path.with_name(path.name + ".damaged")


def _disk_is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _LOW_DISK_BYTES
    except OSError:
        return False


def make_private(path: Path) -> None:
    """Only the user may read it; SQLite gives the files beside it the same rights."""
    if os.name != "nt":
        path.chmod(0o600)


class Database:
    """Runs jobs on the file: writes one at a time in one transaction each, reads beside them.

    A write that has been asked for happens even when the task awaiting it is cancelled.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer: sqlite3.Connection | None = None
        self._write_pool = ThreadPoolExecutor(1, thread_name_prefix="storage-writer")
        self._read_pool = ThreadPoolExecutor(READERS, thread_name_prefix="storage-reader")
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._lock = threading.Lock()

    def open(self) -> None:
        """Opens and migrates the file, in the calling thread.

        Raises: StorageError, and its kinds StorageFull and StorageDamaged.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection: sqlite3.Connection | None = None
        try:
            connection = connect(self.path)
            make_private(self.path)
            migrate(connection)
        except sqlite3.Error as error:
            if connection is not None:
                connection.close()
            raise self._problem(error) from error
        self._writer = connection

    async def write(self, job: Job[T]) -> T:
        """Runs `job` in one immediate transaction: all of it is on disk afterwards, or nothing."""
        return await asyncio.shield(asyncio.wrap_future(self.submit(job)))

    async def read(self, job: Job[T]) -> T:
        """Runs `job` on a connection that cannot write; sees every write awaited before."""
        return await asyncio.wrap_future(self._read_pool.submit(self._run_read, job))

    def submit(self, job: Job[T]) -> Future[T]:
        """Queues a write without waiting for it; for callers that have no loop."""
        return self._write_pool.submit(self._run_write, job)

    async def run_outside_transaction(self, job: Job[T]) -> T:
        """Runs `job` on the writer thread without a transaction: VACUUM, checkpoint, backup."""
        return await asyncio.shield(
            asyncio.wrap_future(self._write_pool.submit(self._run_plain, job))
        )

    def close(self) -> None:
        """Finishes queued writes, folds the WAL into the file and closes; may be called twice."""
        self._write_pool.shutdown(wait=True)
        self._read_pool.shutdown(wait=True)
        with self._lock:
            for reader in self._readers:
                reader.close()
            self._readers.clear()
            writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _connection(self) -> sqlite3.Connection:
        if self._writer is None:
            raise RuntimeError("the database is not open")
        return self._writer

    def _problem(self, error: sqlite3.Error) -> Exception:
        problem = translate(error, self.path)
        if isinstance(problem, StorageDamaged):
            marker_of(self.path).touch()
        return problem or error

    def _run_write(self, job: Job[T]) -> T:
        connection = self._connection()
        try:
            connection.execute("BEGIN IMMEDIATE")
            result = job(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._problem(error) from error
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        return result

    def _run_plain(self, job: Job[T]) -> T:
        try:
            return job(self._connection())
        except sqlite3.Error as error:
            raise self._problem(error) from error

    def _run_read(self, job: Job[T]) -> T:
        try:
            connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
            if connection is None:
                connection = connect(self.path, read_only=True)
                self._local.connection = connection
                with self._lock:
                    self._readers.append(connection)
            connection.execute("BEGIN")
            try:
                return job(connection)
            finally:
                connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise self._problem(error) from error
