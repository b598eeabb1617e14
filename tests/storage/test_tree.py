"""Messages as a tree."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.core.errors import StorageError
from app.core.messages import AttachmentPart, Message, TextPart, ThinkingPart, ToolCallPart
from app.storage.storage import open_storage
from app.storage.values import AnswerDetails


def test_branch_follows_the_active_leaf_and_knows_siblings(tmp_path: Path) -> None:
    async def scenario() -> None:
        storage = await open_storage(tmp_path / "chats.sqlite3")
        chat = await storage.chats.create()
        tree = storage.messages
        question = await tree.add(chat.id, None, Message.of("user", "What is a fjord?"))
        first = await tree.add(chat.id, question.id, Message.of("assistant", "A bay."))
        await tree.add(chat.id, first.id, Message.of("user", "Deep?"))
        second = await tree.add(chat.id, question.id, Message.of("assistant", "An inlet."))

        assert [m.text for m in await tree.branch(chat.id)] == ["What is a fjord?", "An inlet."]
        assert second.sibling_ids == (first.id, second.id)
        assert second.sibling_index == 1

        shown = await tree.show(first.id)
        assert [m.text for m in shown] == ["What is a fjord?", "A bay.", "Deep?"]
        assert await tree.show(question.id) == shown  # on the branch already: it stays
        ended = await tree.branch_from(question.id)
        assert [m.text for m in ended] == ["What is a fjord?"]
        assert len(await tree.all(chat.id)) == 4
        await storage.close()

    asyncio.run(scenario())


def test_parts_come_back_as_they_went_in(tmp_path: Path) -> None:
    parts = (
        ThinkingPart("hm", 1.5),
        TextPart("Größe: 5 µm\n\x00 🦊"),
        ToolCallPart("c1", "read_file", '{"path": "a.py"}'),
        AttachmentPart("a.py", "text/x-python", "print('hi')\n"),
    )

    async def scenario() -> None:
        storage = await open_storage(tmp_path / "chats.sqlite3")
        chat = await storage.chats.create()
        stored = await storage.messages.add(chat.id, None, Message("assistant", parts))
        await storage.close()
        again = await open_storage(tmp_path / "chats.sqlite3")
        assert (await again.messages.get(stored.id)).parts == parts
        await again.close()

    asyncio.run(scenario())


def test_a_chat_takes_its_title_from_its_first_words_only(tmp_path: Path) -> None:
    async def scenario() -> None:
        storage = await open_storage(tmp_path / "chats.sqlite3")
        chat = await storage.chats.create()
        first = await storage.messages.add(chat.id, None, Message.of("user", "# Sort a *list*\nx"))
        await storage.messages.add(chat.id, first.id, Message.of("user", "Something else"))
        assert (await storage.chats.get(chat.id)).title == "Sort a list"
        await storage.close()

    asyncio.run(scenario())


def test_an_answer_left_streaming_by_a_crash_is_stopped_at_the_next_start(tmp_path: Path) -> None:
    async def scenario() -> None:
        storage = await open_storage(tmp_path / "chats.sqlite3")
        chat = await storage.chats.create()
        _, answer = await storage.messages.ask(
            chat.id, None, Message.of("user", "Hi"), AnswerDetails(model="m")
        )
        await storage.messages.rewrite(
            answer.id, [TextPart("Half")], state="streaming", details=AnswerDetails(model="m")
        )
        storage.database.close()

        again = await open_storage(tmp_path / "chats.sqlite3")
        kept = await again.messages.get(answer.id)
        assert (kept.state, kept.text, kept.details.interrupted) == ("stopped", "Half", True)
        assert kept.details.model == "m"
        await again.close()

    asyncio.run(scenario())


def test_a_parent_from_another_chat_is_refused(tmp_path: Path) -> None:
    async def scenario() -> None:
        storage = await open_storage(tmp_path / "chats.sqlite3")
        here, there = await storage.chats.create(), await storage.chats.create()
        message = await storage.messages.add(there.id, None, Message.of("user", "Hi"))
        with pytest.raises(ValueError, match="same chat"):
            await storage.messages.add(here.id, message.id, Message.of("user", "Hi"))
        with pytest.raises(StorageError):
            await storage.messages.add(999, None, Message.of("user", "Hi"))
        assert await storage.messages.branch(here.id) == []
        await storage.close()

    asyncio.run(scenario())
