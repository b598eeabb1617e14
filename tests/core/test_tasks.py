"""Ending a task: everybody's cancellation arrives, and no failure is lost."""

from __future__ import annotations

import asyncio

import pytest

from app.core.tasks import end_tasks


def test_tasks_are_over_when_it_returns() -> None:
    async def scenario() -> None:
        tasks = [asyncio.create_task(asyncio.sleep(60)) for _ in range(3)]
        await end_tasks(*tasks)
        assert all(task.cancelled() for task in tasks)
        await end_tasks()

    asyncio.run(scenario())


@pytest.mark.parametrize("before", [True, False])
def test_a_cancellation_of_the_caller_is_not_swallowed(before: bool) -> None:
    async def scenario() -> None:
        went_on = []

        async def stubborn() -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                await asyncio.sleep(0)
                raise

        async def caller(task: asyncio.Task[None]) -> None:
            await end_tasks(task)
            went_on.append(True)
            await asyncio.sleep(60)

        inner = asyncio.create_task(stubborn())
        outer = asyncio.create_task(caller(inner))
        for _ in range(2 if before else 5):
            await asyncio.sleep(0)
        outer.cancel()
        async with asyncio.timeout(5):
            with pytest.raises(asyncio.CancelledError):
                await outer
        await asyncio.wait({inner})

    asyncio.run(scenario())


def test_an_expected_failure_is_silent_and_another_one_is_raised() -> None:
    async def failing() -> None:
        raise ValueError("bad")

    async def scenario() -> None:
        first, second = (asyncio.create_task(failing()) for _ in range(2))
        await asyncio.sleep(0)
        await end_tasks(first, expected=(ValueError,))
        with pytest.raises(ValueError, match="bad"):
            await end_tasks(second)

    asyncio.run(scenario())
