"""Ending tasks without losing anybody's cancellation."""

from __future__ import annotations

import asyncio
from typing import Any


async def end_tasks(
    *tasks: asyncio.Future[Any], expected: tuple[type[Exception], ...] = ()
) -> None:
    """Cancels tasks and waits until all are over.

    Suppressing CancelledError around an await of the task would also swallow a cancellation of the
    caller that comes meanwhile, and the caller would go on as if nobody had stopped it.

    Raises: what a task failed with, unless it is `expected`.
    """
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        failed = None if task.cancelled() else task.exception()
        if failed is not None and not isinstance(failed, expected):
            raise failed
