"""What storage does on a disk that is really full."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.core.errors import StorageFull
from app.core.messages import Message, TextPart
from app.storage.outbox import Rewrite
from app.storage.reserve import Reserve
from app.storage.storage import Storage
from app.storage.values import AnswerDetails
from tests.small_disk import fill, small_disk
from tests.storage.stored import FILE, add_chat, with_storage

__all__ = ["small_disk"]


def test_chats_stay_readable_and_nothing_is_lost_once_there_is_room(small_disk: Path) -> None:
    async def scenario(storage: Storage) -> None:
        chat_id = await add_chat(storage, "hello", "short")
        answer = (await storage.messages.branch(chat_id))[-1]
        ballast = await asyncio.to_thread(fill, small_disk)
        long = TextPart("z" * 500_000)
        rewrite = Rewrite(answer.id, (long,), "complete", AnswerDetails())
        assert isinstance(await storage.outbox.save(rewrite), StorageFull)
        with pytest.raises(StorageFull):
            await storage.messages.add(chat_id, None, Message("user", (long,)))
        assert [m.text for m in await storage.messages.branch(chat_id)] == ["hello", "short"]
        assert [h.chat_id for h in await storage.search.find("short") if h.message_id] == [chat_id]

        await asyncio.to_thread(ballast.unlink)
        await storage.outbox.flush()
        assert (await storage.messages.get(answer.id)).parts == (long,)

    with_storage(small_disk, scenario)


def test_the_app_opens_its_chats_on_a_full_disk(small_disk: Path) -> None:
    async def before(storage: Storage) -> None:
        await add_chat(storage, "hello", "there")

    with_storage(small_disk, before)
    reserve = small_disk / f"{FILE}.reserve"
    reserve.write_bytes(bytes(1 << 20))  # as maintenance leaves it where there is plenty of room
    fill(small_disk)

    async def after(storage: Storage) -> None:
        (chat,) = await storage.chats.list()
        assert [m.text for m in await storage.messages.branch(chat.id)] == ["hello", "there"]

    with_storage(small_disk, after)


def test_maintenance_keeps_the_reserve(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        await storage.maintain()

    with_storage(tmp_path, scenario)
    assert (tmp_path / f"{FILE}.reserve").stat().st_size == 1 << 20
    Reserve(tmp_path / FILE).give_up(StorageFull("full"))
    with pytest.raises(StorageFull):
        Reserve(tmp_path / FILE).give_up(StorageFull("full"))


def test_what_waits_at_the_end_is_written_into_the_reserve(small_disk: Path) -> None:
    long = TextPart("z" * 300_000)

    async def fill_and_leave(storage: Storage) -> None:
        chat_id = await add_chat(storage, "hello", "short")
        answer = (await storage.messages.branch(chat_id))[-1]
        (small_disk / f"{FILE}.reserve").write_bytes(bytes(1 << 20))
        await asyncio.to_thread(fill, small_disk)
        rewrite = Rewrite(answer.id, (long,), "complete", AnswerDetails())
        assert isinstance(await storage.outbox.save(rewrite), StorageFull)

    async def look(storage: Storage) -> None:
        (chat,) = await storage.chats.list()
        assert (await storage.messages.branch(chat.id))[-1].parts == (long,)

    with_storage(small_disk, fill_and_leave)
    with_storage(small_disk, look)
