"""Writing speed while an answer streams. Pure."""

from __future__ import annotations

from collections import deque

CHARS_PER_TOKEN = 4.0  # about right for English and code; the exact figure comes with the end
_WINDOW_S = 3.0
_LEAST_S = 0.6


class Speedometer:
    """About how many tokens per second, over the last few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque()
        self._told_at = float("-inf")

    def add(self, chars: int, now: float) -> float | None:
        """Takes more text; a new figure twice a second, None in between. `now` in seconds."""
        self._seen.append((now, chars))
        while now - self._seen[0][0] > _WINDOW_S:
            self._seen.popleft()
        span = now - self._seen[0][0]
        if span < _LEAST_S or now - self._told_at < 0.5:
            return None
        self._told_at = now
        written = sum(count for _when, count in self._seen) - self._seen[0][1]
        return written / CHARS_PER_TOKEN / span
