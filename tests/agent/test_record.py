"""A run is on the disk as it happens and comes back after a crash."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from app.agent.record import (
    INTERRUPTED,
    FileRunRecords,
    conversation,
    message_entry,
    tidied_entry,
)
from app.core.errors import StorageError
from app.core.messages import Message, TextPart, ToolCallPart, ToolResultPart
from app.core.ports import RunHead

HEAD = RunHead("run1", "/w", "m", "ask", "task", 1.0)
CALLING = Message("assistant", (TextPart("Look."), ToolCallPart("c1", "read_file", "{}")))
RESULT = Message("tool", (ToolResultPart("c1", "read_file", "x", False),))


def test_what_was_appended_is_read_back_in_order(tmp_path: Path) -> None:
    async def walk() -> None:
        records = FileRunRecords(tmp_path)
        await records.begin(HEAD)
        for message in (Message.of("user", "h\u2028é"), CALLING, RESULT):
            await records.append("run1", message_entry(message))
        again = FileRunRecords(tmp_path)
        assert await again.head("run1") == HEAD
        assert conversation(await again.entries("run1")) == [
            Message.of("user", "h\u2028é"),
            CALLING,
            RESULT,
        ]
        assert await again.unfinished("/w") == [HEAD]
        assert await again.unfinished("/other") == []
        await again.end("run1", "done")
        assert await again.unfinished("/w") == []

    asyncio.run(walk())


def test_a_line_cut_short_by_a_crash_costs_only_itself(tmp_path: Path) -> None:
    async def walk() -> None:
        records = FileRunRecords(tmp_path)
        await records.begin(HEAD)
        await records.append("run1", message_entry(Message.of("user", "hello")))
        await records.append("run1", message_entry(CALLING))
        file = tmp_path / "run1.jsonl"
        file.write_bytes(file.read_bytes()[:-20])
        assert conversation(await records.entries("run1")) == [Message.of("user", "hello")]

    asyncio.run(walk())


def test_a_call_without_a_result_gets_one_that_says_so() -> None:
    messages = conversation([message_entry(Message.of("user", "x")), message_entry(CALLING)])
    (part,) = messages[-1].parts
    assert isinstance(part, ToolResultPart)
    assert (part.call_id, part.text) == ("c1", INTERRUPTED)


def test_tidying_replaces_what_came_before() -> None:
    entries = [message_entry(CALLING), tidied_entry([Message.of("user", "summary")])]
    assert conversation(entries) == [Message.of("user", "summary")]


def test_an_id_is_never_a_path(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        asyncio.run(FileRunRecords(tmp_path).append("../x", {}))
