"""The numbers a download lives by, and the tap that keeps it under a speed limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds. Tests shorten them; nothing else changes them.

    A transfer gives up only when `tries` attempts in a row brought less than
    `progress_bytes` each *and* `patience_s` have passed since the last one that did better.
    """

    connect_s: float = 10.0
    stall_s: float = 20.0
    backoff_first_s: float = 1.0
    backoff_max_s: float = 60.0
    tries: int = 8
    patience_s: float = 300.0
    rate_limit_cap_s: float = 600.0
    slow_bytes_s: float = 512.0
    progress_bytes: int = 256 << 10
    max_redirects: int = 5
    max_connections: int = 4
    adapt_s: float = 2.0
    space_check_bytes: int = 256 << 20


class SpeedLimit:
    """Bytes per second shared by all transfers; 0 means no limit."""

    def __init__(self, bytes_s: int = 0) -> None:
        self._lock = threading.Lock()
        self._bytes_s = bytes_s
        self._free_at = 0.0

    @property
    def bytes_s(self) -> int:
        return self._bytes_s

    def set(self, bytes_s: int) -> None:
        with self._lock:
            self._bytes_s = max(0, bytes_s)
            self._free_at = 0.0

    def take(self, n_bytes: int, sleep: Callable[[float], object]) -> None:
        """Waits until `n_bytes` more may pass; `sleep` may return early when stopping."""
        with self._lock:
            if not self._bytes_s:
                return
            now = time.monotonic()
            self._free_at = max(self._free_at, now - 0.25) + n_bytes / self._bytes_s
            wait_s = self._free_at - now
        if wait_s > 0:
            sleep(wait_s)
