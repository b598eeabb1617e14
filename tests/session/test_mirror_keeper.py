"""The mirror follows the chosen folder."""

from __future__ import annotations

import asyncio
from pathlib import Path

from app.core.messages import Message
from app.session.mirror_keeper import keep_mirror
from app.storage.storage import open_storage


def test_chats_appear_in_the_folder_once_it_is_chosen(tmp_path: Path) -> None:
    folder = tmp_path / "mirror"

    async def scenario() -> None:
        storage = await open_storage(tmp_path / "chats.sqlite3")
        chosen = [""]
        chat = await storage.chats.create(title="Fjords")
        await storage.messages.add(chat.id, None, Message.of("user", "Hi"))
        task = asyncio.create_task(keep_mirror(storage, lambda: chosen[0], every_s=0.01))
        await asyncio.sleep(0.1)
        assert not await asyncio.to_thread(folder.exists)
        chosen[0] = str(folder)
        target = folder / "Fjords.md"
        for _ in range(500):
            if await asyncio.to_thread(target.exists):
                break
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task])
        await storage.close()

    asyncio.run(scenario())
    assert "Hi" in (folder / "Fjords.md").read_text()
