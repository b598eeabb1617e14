"""The owner of every asyncio task the window starts: named, replaceable, cancellable.

One of the three places that may catch `Exception`: what a task raises ends here, is logged, and
is handed once to `on_error`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

_log = logging.getLogger(__name__)


class TaskOwner:
    """Keeps the handle of each task under a name; starting the same name replaces the old one."""

    def __init__(self, on_error: Callable[[str, Exception], None] | None = None) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._on_error = on_error

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[None]:
        """Runs `work`; a task of the same name that still runs is cancelled first."""
        self.cancel(name)
        task = asyncio.get_event_loop().create_task(self._guard(name, work), name=name)
        self._tasks[name] = task
        task.add_done_callback(lambda done: self._forget(name, done, work))
        return task

    def running(self, name: str) -> bool:
        task = self._tasks.get(name)
        return task is not None and not task.done()

    def cancel(self, name: str) -> None:
        """Asks the task of that name to end; nothing happens when there is none."""
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()

    def cancel_prefix(self, prefix: str) -> None:
        """What a page calls when it closes: every name of its own begins with its prefix."""
        for name in [name for name in self._tasks if name.startswith(prefix)]:
            self.cancel(name)

    async def close(self) -> None:
        """Cancels everything and waits until it is over."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _guard(self, name: str, work: Coroutine[Any, Any, Any]) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001  the task owner is one of the three edges
            _log.exception("task %s failed", name)
            if self._on_error is not None:
                self._on_error(name, error)

    def _forget(self, name: str, done: asyncio.Task[None], work: Coroutine[Any, Any, Any]) -> None:
        work.close()  # a task cancelled before its first step never awaited it
        if self._tasks.get(name) is done:
            del self._tasks[name]
