"""Every connection Garret made to another computer: when, where, what for, how many bytes.

Kept on this machine only, for the Privacy page. Addresses are noted as hosts, never with a path,
a query or a key.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

KEPT = 500
_SAME_S = 60.0


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection, or several to one host for one purpose within a minute.

    `at` is seconds since the epoch; `received_bytes` are bodies, without headers.
    """

    at: float
    host: str
    purpose: str
    received_bytes: int = 0
    count: int = 1
    failed: bool = False


class NetworkLog:
    """The newest connections, oldest first. Any thread may note one.

    Args:
        path: a file of JSON lines; None keeps the log in memory only.
    """

    def __init__(
        self, path: Path | None = None, clock: Callable[[], float] = time.time, kept: int = KEPT
    ) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: deque[Connection] = deque(_read(path, kept), maxlen=kept)
        self._lines = len(self._entries)

    def note(
        self, host: str, purpose: str, received_bytes: int = 0, *, failed: bool = False
    ) -> None:
        """One connection that has ended."""
        with self._lock:
            now = self._clock()
            fresh = Connection(now, host[:200], purpose[:200], max(0, received_bytes), 1, failed)
            last = self._entries[-1] if self._entries else None
            if last is not None and _belongs(last, fresh):
                fresh = Connection(
                    last.at,
                    last.host,
                    last.purpose,
                    last.received_bytes + fresh.received_bytes,
                    last.count + 1,
                    failed,
                )
                self._entries[-1] = fresh
            else:
                self._entries.append(fresh)
            self._write(fresh)

    def entries(self) -> tuple[Connection, ...]:
        """All that are kept, oldest first."""
        with self._lock:
            return tuple(self._entries)

    def since(self, at: float) -> tuple[Connection, ...]:
        """Those begun at or after a time in seconds since the epoch."""
        return tuple(one for one in self.entries() if one.at >= at)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._entries.clear()
            self._lines = 0
            if self._path is not None:
                with contextlib.suppress(OSError):
                    self._path.unlink(missing_ok=True)

    def _write(self, entry: Connection) -> None:
        """Appends; a later line with the same time, host and purpose replaces an earlier one."""
        if self._path is None:
            return
        with contextlib.suppress(OSError):  # a log that cannot be written must not stop a download
            if self._lines >= 4 * (self._entries.maxlen or KEPT):
                self._compact()
                return
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(handle, "a", encoding="utf-8") as file:
                file.write(_line(entry))
            self._lines += 1

    def _compact(self) -> None:
        assert self._path is not None
        fresh = self._path.with_suffix(".new")
        fresh.write_text("".join(_line(one) for one in self._entries), encoding="utf-8")
        os.replace(fresh, self._path)
        self._lines = len(self._entries)


def _belongs(last: Connection, fresh: Connection) -> bool:
    same = (last.host, last.purpose) == (fresh.host, fresh.purpose)
    return same and not last.failed and not fresh.failed and fresh.at - last.at < _SAME_S


def _line(entry: Connection) -> str:
    return json.dumps(asdict(entry), ensure_ascii=False) + "\n"


def _read(path: Path | None, kept: int) -> list[Connection]:
    if path is None:
        return []
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found: dict[tuple[float, str, str], Connection] = {}
    for line in lines:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            entry = _entry(json.loads(line))
            found[(entry.at, entry.host, entry.purpose)] = entry
    return list(found.values())[-kept:]


def _entry(data: Any) -> Connection:
    return Connection(
        float(data["at"]),
        str(data["host"]),
        str(data["purpose"]),
        int(data["received_bytes"]),
        int(data["count"]),
        bool(data["failed"]),
    )
