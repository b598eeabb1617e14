"""Requests that wait for a place, in a fair order and within a limit."""

from __future__ import annotations

import time

from app.core.errors import EngineBusy
from app.engine.generation import GenerationHandle

# After this long a request counts as one class more urgent, so nothing waits for ever.
_AGEING_S = 20.0


class RequestQueue:
    """Lower priority numbers first, oldest first within one. Guard it with the scheduler's lock."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: list[GenerationHandle] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, handle: GenerationHandle) -> None:
        """Raises: EngineBusy, with retry_after_s, beyond the limit."""
        if len(self._waiting) >= self._limit:
            raise EngineBusy(
                "The engine has more requests waiting than it can take.",
                "Try again in a moment.",
                retry_after_s=max(1, len(self._waiting) // 4),
            )
        self._waiting.append(handle)

    def put_back(self, handle: GenerationHandle) -> None:
        """Beyond any limit: it had been accepted."""
        self._waiting.append(handle)

    def in_order(self) -> list[GenerationHandle]:
        """Everything that waits, most urgent first."""
        now = time.perf_counter()

        def urgency(handle: GenerationHandle) -> tuple[float, int]:
            classes = (now - handle.submitted_at) // _AGEING_S
            return (max(0, handle.request.priority - classes), handle.order)

        return sorted(self._waiting, key=urgency)

    def remove(self, handle: GenerationHandle) -> None:
        self._waiting.remove(handle)

    def drain(self) -> list[GenerationHandle]:
        drained, self._waiting = self._waiting, []
        return drained
