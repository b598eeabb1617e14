"""An agent's run is rebuilt from its own file."""

from __future__ import annotations

import asyncio
from pathlib import Path

from app.agent.record import FileRunRecords, conversation, message_entry, tidied_entry
from app.core.messages import Message, ToolCallPart, ToolResultPart
from app.core.ports import RunHead, RunRecords

CALL = ToolCallPart("c1", "edit", '{"path": "ä.py"}')


async def record(records: RunRecords) -> tuple[list[Message], list[str], str | None]:
    """A run that was tidied once and died in the middle of a call."""
    await records.begin(RunHead("run-1", "/repo", "m", "ask", "fix \ud83d it", 5.0))
    await records.append("run-1", message_entry(Message.of("user", "fix it")))
    await records.append("run-1", tidied_entry([Message.of("user", "summary")]))
    await records.append("run-1", message_entry(Message("assistant", (CALL,))))
    await records.begin(RunHead("run-2", "/repo", "m", "ask", "other", 6.0))
    await records.end("run-2", "done")
    head = await records.head("run-1")
    unfinished = [head.run_id for head in await records.unfinished("/repo")]
    return conversation(await records.entries("run-1")), unfinished, head.task if head else None


def test_a_run_survives_its_process(tmp_path: Path) -> None:
    async def scenario() -> None:
        messages, unfinished, task = await record(FileRunRecords(tmp_path))
        assert messages[:2] == [Message.of("user", "summary"), Message("assistant", (CALL,))]
        (result,) = messages[2].parts
        assert isinstance(result, ToolResultPart)
        assert result.is_error
        assert unfinished == ["run-1"]
        assert (task or "").startswith("fix")

    asyncio.run(scenario())
