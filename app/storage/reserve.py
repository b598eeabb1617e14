"""A little room kept for the day the disk is full: SQLite cannot even open a file without some."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from app.core.errors import StorageFull

RESERVE_BYTES = 1 << 20
_FOR_OPENING_BYTES = 256 << 10
_PLENTY_BYTES = 64 << 20


class Reserve:
    """A file beside the database that is given up when there is no other room left."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(database.name + ".reserve")

    def keep(self) -> None:
        """Makes the file while there is plenty of room. Blocks; failing is no harm."""
        try:
            if shutil.disk_usage(self._path.parent).free < _PLENTY_BYTES:
                return
            if self._path.exists() and self._path.stat().st_size >= RESERVE_BYTES:
                return
            with self._path.open("wb") as file:
                file.write(os.urandom(RESERVE_BYTES))  # noise: some file systems compress
                os.fsync(file.fileno())
        except OSError:
            self._path.unlink(missing_ok=True)

    def give_up(self, problem: StorageFull) -> None:
        """Frees the room.

        Raises: the problem itself when there is nothing to free.
        """
        try:
            self._path.unlink()
        except OSError:
            raise problem from None

    def give_most(self, problem: StorageFull) -> None:
        """Frees what the next start can do without.

        Raises: the problem itself when there is nothing to free.
        """
        try:
            if self._path.stat().st_size <= _FOR_OPENING_BYTES:
                raise problem
            os.truncate(self._path, _FOR_OPENING_BYTES)
        except OSError:
            raise problem from None
