"""Real hands on a real folder, for tests of tools, permissions and undo."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app.agent.hands import ToolBox, open_hands
from app.agent.sandbox import Sandbox
from app.agent.types import Answer, AnswerKind, Mode, PermissionRequest, ToolOutcome
from app.core.messages import ToolCallPart
from app.core.paths import find_paths

_PROVEN: list[Sandbox] = []


def proven_sandbox() -> Sandbox:
    """The sandbox of this machine, probed once a session."""
    if not _PROVEN:
        sandbox = Sandbox()
        sandbox.probe()
        _PROVEN.append(sandbox)
    return _PROVEN[0]


def no_sandbox() -> Sandbox:
    """A system without any."""
    sandbox = Sandbox(disabled=True)
    sandbox.probe()
    return sandbox


class Person:
    """Answers every card the same way and remembers what was asked."""

    def __init__(self, answer: AnswerKind = "deny") -> None:
        self.answer: AnswerKind = answer
        self.cards: list[PermissionRequest] = []
        self.reasons: list[str] = []

    async def ask(self, request: PermissionRequest, reason: str) -> Answer:
        self.cards.append(request)
        self.reasons.append(reason)
        return Answer(self.answer)


class Rig:
    """A folder, hands on it, and a way to call a tool in one line."""

    def __init__(
        self,
        tmp_path: Path,
        mode: Mode = Mode.AUTO,
        sandbox: Sandbox | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.root = tmp_path / "work"
        self.root.mkdir(exist_ok=True)
        self.paths = find_paths({"GARRET_HOME": str(tmp_path / "garret")})
        self.person = Person()
        self.hands: ToolBox = open_hands(
            self.root, mode, self.paths, sandbox=sandbox or proven_sandbox(), environ=environ
        )
        self.hands.begin_turn("run", 1)
        self._calls = 0

    def write(self, path: str, content: str | bytes) -> Path:
        """Puts a file into the folder, as the user would."""
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return place

    def read(self, path: str) -> str:
        return (self.root / path).read_text()

    async def call(
        self, name: str, cancel: asyncio.Event | None = None, **arguments: Any
    ) -> ToolOutcome:
        """One call of the model."""
        return await self.call_text(name, json.dumps(arguments), cancel)

    async def call_text(
        self, name: str, arguments: str, cancel: asyncio.Event | None = None
    ) -> ToolOutcome:
        self._calls += 1
        return await self.hands.execute(
            ToolCallPart(f"call-{self._calls}", name, arguments),
            asker=self.person,
            cancel=cancel or asyncio.Event(),
            why="Because the user asked.",
        )

    @property
    def last_call_id(self) -> str:
        return f"call-{self._calls}"

    async def close(self) -> None:
        await self.hands.close()
