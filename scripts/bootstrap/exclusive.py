"""One set-up at a time for each folder: the second one waits."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from scripts.bootstrap.commands import shared_handles
from scripts.bootstrap.console import Step


@contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Holds the lock file; it frees itself when this process ends, however that happens."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if not _try_lock(file):
            with Step("Waiting for another set-up of this folder to end"):
                while not _try_lock(file):
                    time.sleep(0.3)
        shared_handles.append(file.fileno())
        try:
            yield
        finally:
            shared_handles.remove(file.fileno())


if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> bool:
        file.seek(0)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> bool:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
