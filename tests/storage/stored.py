"""Runs a scenario on a fresh or an existing database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from app.core.messages import Message
from app.storage.storage import Storage, open_storage

FILE = "chats.sqlite3"


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def with_storage(
    folder: Path, scenario: Callable[[Storage], Awaitable[None]], clock: Clock | None = None
) -> None:
    """Opens the database in `folder`, runs the scenario, closes it again."""

    async def main() -> None:
        storage = await open_storage(folder / FILE, **({"clock": clock} if clock else {}))
        try:
            await scenario(storage)
        finally:
            await storage.close()

    asyncio.run(main())


async def add_chat(storage: Storage, *texts: str, title: str = "") -> int:
    """A chat in which user and assistant say these texts in turn; returns its id."""
    chat = await storage.chats.create(title=title)
    parent: int | None = None
    for number, text in enumerate(texts):
        role = "assistant" if number % 2 else "user"
        parent = (await storage.messages.add(chat.id, parent, Message.of(role, text))).id
    return chat.id
