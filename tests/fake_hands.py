"""Hands that only pretend: a folder in memory, for tests of the loop."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from app.agent.types import (
    Asker,
    Change,
    Mode,
    OutputSink,
    PermissionRequest,
    SandboxStatus,
    Tool,
    ToolKind,
    ToolOutcome,
    UndoReport,
    no_output,
)
from app.core.errors import WorkspaceError
from app.core.messages import ToolCallPart
from app.core.ports import ToolSpec


def _spec(name: str, *required: str) -> ToolSpec:
    properties = {key: {"type": "string"} for key in required}
    return ToolSpec(
        name,
        f"{name}.",
        {"type": "object", "properties": properties, "required": list(required)},
    )


FAKE_SPECS = (
    _spec("read_file", "file_path"),
    _spec("write_file", "file_path", "content"),
    _spec("run_shell_command", "command"),
    _spec("todo_write", "todos"),
)
_KINDS: dict[str, ToolKind] = {
    "read_file": "read",
    "write_file": "edit",
    "run_shell_command": "execute",
    "todo_write": "think",
}


class FakeJail:
    """The folder: names to bytes. `root` is a real, empty one."""

    def __init__(self, root: Path, files: dict[str, bytes]) -> None:
        self._root = root
        self.files = files

    @property
    def root(self) -> Path:
        return self._root

    def locate(self, text: str) -> str:
        return text

    def read_bytes(self, path: str, limit_bytes: int | None = None) -> bytes:
        if path not in self.files:
            raise WorkspaceError(f"There is no file {path}.")
        return self.files[path][:limit_bytes]


class FakeUndo:
    """Keeps the changes of each turn."""

    def __init__(self) -> None:
        self.made: dict[tuple[str, int], list[Change]] = {}
        self.now: tuple[str, int] = ("", 0)

    def begin_turn(self, run_id: str, turn: int) -> None:
        self.now = (run_id, turn)

    def changes(self, run_id: str, turn: int | None = None) -> tuple[Change, ...]:
        found = [
            change
            for (run, number), changes in self.made.items()
            for change in changes
            if run == run_id and turn in (None, number)
        ]
        return tuple({change.path: change for change in found}.values())

    def before_and_after(self, run_id: str, path: str) -> tuple[bytes | None, bytes | None]:
        return None, None

    def undo_call(self, run_id: str, call_id: str) -> UndoReport:
        return UndoReport()

    def undo_turn(self, run_id: str, turn: int) -> UndoReport:
        return UndoReport()

    def undo_run(self, run_id: str) -> UndoReport:
        return UndoReport()

    def undo_file(self, run_id: str, path: str) -> UndoReport:
        return UndoReport()

    def keep_version(self, run_id: str, path: str, data: bytes, expected: str) -> Change:
        return Change(path, "modified", expected, None)

    def redo(self, run_id: str) -> UndoReport:
        return UndoReport()


class FakeHands:
    """Reads and writes in memory; `command` decides what a command answers.

    In Ask mode every write and command asks. `slow_s` is how long a command takes.
    """

    def __init__(
        self,
        root: Path,
        files: dict[str, str] | None = None,
        *,
        mode: Mode = Mode.AUTO,
        command: Callable[[str], ToolOutcome] | None = None,
        slow_s: float = 0.0,
    ) -> None:
        self.mode = mode
        self.jail = FakeJail(root, {k: v.encode() for k, v in (files or {}).items()})
        self.log: list[ToolCallPart] = []
        self._undo = FakeUndo()
        self._command = command or (lambda text: ToolOutcome("ok", exit_code=0))
        self._slow_s = slow_s
        self._more: list[Tool] = []

    @property
    def workspace(self) -> FakeJail:
        return self.jail

    @property
    def sandbox(self) -> SandboxStatus:
        return SandboxStatus("none", False, "No sandbox in tests.")

    @property
    def undo(self) -> FakeUndo:
        return self._undo

    def specs(self) -> tuple[ToolSpec, ...]:
        return (*FAKE_SPECS, *(tool.spec for tool in self._more))

    def kind_of(self, name: str) -> ToolKind | None:
        return _KINDS.get(name)

    def summary(self, call: ToolCallPart) -> str:
        return f"{call.name} {call.arguments[:40]}"

    def add_tools(self, tools: Sequence[Tool]) -> None:
        self._more.extend(tools)

    def drop_added_tools(self) -> None:
        self._more.clear()

    def saw(self, path: str) -> None:
        del path  # everything may be written here

    async def close(self) -> None:
        return

    def begin_turn(self, run_id: str, turn: int) -> None:
        self._undo.begin_turn(run_id, turn)

    async def execute(
        self,
        call: ToolCallPart,
        *,
        asker: Asker,
        cancel: asyncio.Event,
        why: str = "",
        output: OutputSink = no_output,
        budget_chars: int = 10_000,
    ) -> ToolOutcome:
        self.log.append(call)
        arguments: dict[str, Any] = json.loads(call.arguments)
        kind = _KINDS[call.name]
        if kind in ("edit", "execute") and self.mode is Mode.ASK:
            request = PermissionRequest(call.call_id, call.name, kind, call.name, "digest")
            answer = await asker.ask(request, "test")
            if answer.kind == "deny":
                return ToolOutcome("Denied.", is_error=True, denied=True)
        if call.name == "read_file":
            return self._read(arguments)
        if call.name == "write_file":
            return self._write(arguments)
        if call.name == "todo_write":
            return ToolOutcome("Noted.")
        output("running\n")
        try:
            await asyncio.wait_for(cancel.wait(), self._slow_s or 0.001)
        except TimeoutError:
            return self._command(arguments["command"])
        return ToolOutcome("Stopped.", is_error=True, stopped=True)

    def _read(self, arguments: dict[str, Any]) -> ToolOutcome:
        content = self.jail.files.get(arguments.get("file_path", ""))
        if content is None:
            return ToolOutcome("No such file.", is_error=True)
        return ToolOutcome(content.decode())

    def _write(self, arguments: dict[str, Any]) -> ToolOutcome:
        path, content = arguments["file_path"], arguments["content"].encode()
        before = self.jail.files.get(path)
        self.jail.files[path] = content
        change = Change(
            path,
            "created" if before is None else "modified",
            None if before is None else hashlib.sha256(before).hexdigest(),
            hashlib.sha256(content).hexdigest(),
        )
        self._undo.made.setdefault(self._undo.now, []).append(change)
        return ToolOutcome(f"Wrote {path}.", changes=(change,))
