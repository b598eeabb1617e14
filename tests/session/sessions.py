"""Runs a scenario with a session on a new chat."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from app.core.ports import ChatEngine
from app.session.chat import ChatSession, SessionEvents
from app.session.events import AnswerEnded
from app.storage.storage import Storage, open_storage


def with_session(
    folder: Path,
    engine: ChatEngine,
    scenario: Callable[[ChatSession, Storage], Awaitable[None]],
    checkpoint_s: float = 0.02,
) -> None:
    """Opens the storage in `folder`, runs the scenario, closes the storage."""

    async def main() -> None:
        storage = await open_storage(folder / "chats.sqlite3")
        chat = await storage.chats.create(model="fake")
        session = ChatSession(engine, storage, chat.id, checkpoint_s=checkpoint_s)
        try:
            await scenario(session, storage)
        finally:
            await storage.close()

    asyncio.run(main())


async def ended(events: SessionEvents) -> AnswerEnded:
    """Reads to the end."""
    last = [event async for event in events][-1]
    assert isinstance(last, AnswerEnded)
    return last
