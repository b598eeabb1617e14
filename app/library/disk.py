"""Durable-file operations: atomic JSON, hashing with progress, free space, one-owner locks."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from app.core.errors import LibraryError, NotEnoughDisk

CHUNK_BYTES = 1 << 20
_MAX_JSON_BYTES = 16 << 20

Progress = Callable[[int, int], None]
"""Called with (bytes done, bytes in all), on the caller's thread."""


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Replaces `path` in one step: readers see the old text or the new, after a crash too.

    Not `durable`: a power cut soon afterwards may undo it. Flushing a small file can mean waiting
    for gigabytes that were written before it.
    """
    temp = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with temp.open("w", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False, indent=1)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temp, path)
    except BaseException:
        temp.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def read_json(path: Path) -> Any:
    """The value in a JSON file; None where there is none, or none that can be read."""
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            return None
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def sync_folder(folder: Path) -> None:
    """Makes a rename in `folder` survive a power cut, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:  # some network file systems refuse; the rename itself is still atomic
        pass
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Waits until a file's contents are on the disk."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@cache
def boot_id() -> str:
    """Names this start of the machine: what was written before another one may be incomplete."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return f"{psutil.boot_time():.0f}"


def hash_file(path: Path, progress: Progress | None = None) -> str:
    """The SHA-256 of a file, in lower-case hex."""
    digest = hashlib.sha256()
    for _ in _chunks(path, digest.update, progress):
        pass
    return digest.hexdigest()


def copy_file(source: Path, target: Path, progress: Progress | None = None) -> str:
    """Copies to a new file; returns the SHA-256 of what was written."""
    digest = hashlib.sha256()
    with target.open("xb") as out:
        for chunk in _chunks(source, digest.update, progress):
            out.write(chunk)
        out.flush()
    return digest.hexdigest()


def _chunks(
    path: Path, update: Callable[[memoryview], None], progress: Progress | None
) -> Iterator[memoryview]:
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    done = 0
    with path.open("rb", buffering=0) as file:
        total = os.fstat(file.fileno()).st_size
        while count := file.readinto(buffer):
            update(view[:count])
            done += count
            yield view[:count]
            if progress is not None:
                progress(done, total)


def free_bytes(folder: Path) -> int:
    """Free space for this user where `folder` is or will be."""
    return shutil.disk_usage(existing_parent(folder)).free


def existing_parent(path: Path) -> Path:
    """`path` itself or the nearest folder above it that exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def spare_bytes(size_bytes: int) -> int:
    """What stays free beside a file of this size: 2 %, at most 1 GiB."""
    return min(1 << 30, size_bytes // 50)


def check_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Raises NotEnoughDisk where `needed_bytes` and a little room to breathe are not free."""
    free = free_bytes(folder)
    needed = needed_bytes + spare_bytes(needed_bytes)
    if free < needed:
        raise NotEnoughDisk(
            f"{what} needs {needed / 1e9:.1f} GB of disk space, and {free / 1e9:.1f} GB are free.",
            "Free some space, remove a model, or move the models folder to another disk.",
            needed_bytes=needed,
            free_bytes=free,
        )


class OwnerLock:
    """A lock file held by one process at a time, given up by itself when that process is gone.

    flock is not used: on some network file systems it succeeds without locking anything. The file
    holds the owner's process id and start time; a lock whose owner no longer lives is taken over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._held = False

    def try_acquire(self) -> bool:
        """True if the lock is ours now."""
        for _ in range(3):
            try:
                handle = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            except FileExistsError:
                if not self._remove_if_stale():
                    return False
                continue
            with open(handle, "w", encoding="utf-8") as file:
                json.dump({"pid": os.getpid(), "started": psutil.Process().create_time()}, file)
            self._held = True
            return True
        return False

    def release(self) -> None:
        if self._held:
            self._held = False
            self._path.unlink(missing_ok=True)

    def _remove_if_stale(self) -> bool:
        owner = read_json(self._path)
        try:
            age_s = time.time() - self._path.stat().st_mtime
        except FileNotFoundError:
            return True
        if isinstance(owner, dict):
            if _lives(owner.get("pid"), owner.get("started")):
                return False
        elif age_s < 5.0:
            return False  # its owner is just writing it
        stale = self._path.with_name(f".{self._path.name}.{uuid.uuid4().hex[:8]}.stale")
        try:
            os.rename(self._path, stale)
        except FileNotFoundError:
            return True
        if read_json(stale) != owner:  # somebody took it over in between: give it back
            if not self._path.exists():
                os.rename(stale, self._path)
            return False
        stale.unlink(missing_ok=True)
        return True


@contextmanager
def held(path: Path, wait_s: float = 20.0) -> Iterator[None]:
    """Holds the lock at `path` for a short change. Raises LibraryError when another keeps it."""
    lock = OwnerLock(path)
    deadline = time.monotonic() + wait_s
    while not lock.try_acquire():
        if time.monotonic() > deadline:
            raise LibraryError(
                "Another Garret is changing the models folder.", "Try again in a moment."
            )
        time.sleep(0.02)
    try:
        yield
    finally:
        lock.release()


def _lives(pid: object, started: object) -> bool:
    if type(pid) is not int or not isinstance(started, int | float):
        return False
    try:
        return abs(psutil.Process(pid).create_time() - started) < 2.0
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
