"""One line on stderr that shows how far something is; silent where nobody watches."""

from __future__ import annotations

import sys
import time
from types import TracebackType


class TerminalLine:
    """Rewrites one line at most ten times a second; use as a context manager."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._shown_at = 0.0
        self._on = sys.stderr.isatty()
        self._began = time.monotonic()

    def __enter__(self) -> TerminalLine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._on:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def bytes(self, done: int, total: int) -> None:
        """Shows bytes done of a total, with the average speed."""
        rate = done / max(0.01, time.monotonic() - self._began)
        self.text(f"{self._label}: {done / 1e9:.2f} of {total / 1e9:.2f} GB, {rate / 1e6:.0f} MB/s")

    def text(self, line: str) -> None:
        now = time.monotonic()
        if self._on and now - self._shown_at >= 0.1:
            self._shown_at = now
            sys.stderr.write(f"\r\x1b[K{line[:110]}")
            sys.stderr.flush()
