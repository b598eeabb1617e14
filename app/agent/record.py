"""How a run is written down while it happens, and how a conversation is rebuilt from that.

Entry kinds: `request` (what the user asked), `message` (one more message of the conversation),
`tidied` (the conversation was replaced by a summary; holds all messages that remain), `step`
(token counts), `tier`.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.core.errors import StorageError
from app.core.messages import Message, ToolResultPart, part_from_json, part_to_json
from app.core.ports import RunHead

INTERRUPTED = (
    "Garret was closed before this call reported back. It may have run in part or not at all: "
    "look before you go on."
)


def message_entry(message: Message) -> dict[str, Any]:
    """The entry for one more message."""
    return {"kind": "message", "message": _message_to_json(message)}


def tidied_entry(messages: Sequence[Message]) -> dict[str, Any]:
    """The entry for a conversation that starts anew from these messages."""
    return {"kind": "tidied", "messages": [_message_to_json(message) for message in messages]}


def conversation(entries: Iterable[Mapping[str, Any]]) -> list[Message]:
    """The conversation as it stood; calls that never reported back get a result that says so.

    Raises:
        ValueError: an entry is not one of ours.
    """
    messages: list[Message] = []
    for entry in entries:
        if entry.get("kind") == "message":
            messages.append(_message_from_json(entry["message"]))
        elif entry.get("kind") == "tidied":
            messages = [_message_from_json(data) for data in entry["messages"]]
    return messages + [
        Message("tool", (ToolResultPart(call.call_id, call.name, INTERRUPTED, is_error=True),))
        for call in open_calls(messages)
    ]


def open_calls(messages: Sequence[Message]) -> list[Any]:
    """Calls of the last answer that have no result yet."""
    answered: set[str] = set()
    for message in reversed(messages):
        if message.role == "tool":
            answered.update(p.call_id for p in message.parts if isinstance(p, ToolResultPart))
        elif message.role == "assistant":
            return [call for call in message.tool_calls if call.call_id not in answered]
    return []


def _message_to_json(message: Message) -> dict[str, Any]:
    return {"role": message.role, "parts": [part_to_json(part) for part in message.parts]}


def _message_from_json(data: Mapping[str, Any]) -> Message:
    return Message(data["role"], tuple(part_from_json(part) for part in data["parts"]))


class FileRunRecords:
    """Runs as JSON lines, one file each (`RunRecords`); the same for window and command line.

    A line cut short by a crash is dropped on reading; everything before it is whole.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def begin(self, head: RunHead) -> None:
        """Creates the run's file."""
        await self._write(head.run_id, {"kind": "head", **asdict(head)})

    async def append(self, run_id: str, entry: Mapping[str, Any]) -> None:
        """Adds a line and waits until it is on the disk."""
        await self._write(run_id, entry)

    async def end(self, run_id: str, status: str) -> None:
        """Adds the closing line."""
        await self._write(run_id, {"kind": "end", "status": status})

    async def head(self, run_id: str) -> RunHead | None:
        """From the first line of the file."""
        lines = await asyncio.to_thread(_read_lines, self._path(run_id))
        return _head(lines)

    async def entries(self, run_id: str) -> list[dict[str, Any]]:
        """Every line between the first and the closing one."""
        lines = await asyncio.to_thread(_read_lines, self._path(run_id))
        return [line for line in lines if line.get("kind") not in ("head", "end")]

    async def unfinished(self, workspace: str) -> list[RunHead]:
        """Files of this folder without a closing line, newest first."""
        return await asyncio.to_thread(self._unfinished, workspace)

    def _unfinished(self, workspace: str) -> list[RunHead]:
        found = []
        for path in self._folder.glob("*.jsonl"):
            head = _head(_read_lines(path, only_first=True))
            if head is None or head.workspace != workspace:
                continue
            if _read_lines(path)[-1].get("kind") != "end":
                found.append(head)
        return sorted(found, key=lambda head: head.started_at, reverse=True)

    def _path(self, run_id: str) -> Path:
        if not run_id.replace("-", "").isalnum():
            raise StorageError("This is not the id of a run.", run_id=run_id)
        return self._folder / f"{run_id}.jsonl"

    async def _write(self, run_id: str, entry: Mapping[str, Any]) -> None:
        line = json.dumps(entry, ensure_ascii=True) + "\n"
        try:
            await asyncio.to_thread(_append, self._path(run_id), line)
        except OSError as error:
            raise StorageError(
                "The run could not be written down.",
                "Check that the disk is not full.",
                reason=str(error),
            ) from error


def _append(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
    descriptor = os.open(path, flags, 0o600)
    try:
        os.write(descriptor, line.encode("ascii"))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_lines(path: Path, *, only_first: bool = False) -> list[dict[str, Any]]:
    try:
        with path.open(encoding="ascii", errors="replace") as file:
            text = file.readline() if only_first else file.read()
    except OSError:
        return []
    lines = []
    for line in text.splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            break
        if isinstance(value, dict):
            lines.append(value)
    return lines


def _head(lines: Sequence[Mapping[str, Any]]) -> RunHead | None:
    if not lines or lines[0].get("kind") != "head":
        return None
    try:
        return RunHead(**{name: lines[0][name] for name in RunHead.__dataclass_fields__})
    except KeyError:
        return None
