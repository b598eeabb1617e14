"""The seam between the agent's hands (tools, permissions, sandbox, undo) and its brain (the loop).

The brain needs one object, `Hands`: it lists the tool specs, and `execute` takes one call through
the whole walk (arguments → permission → path jail → undo pre-image → tool → clipped result).
Nothing in here raises for what a model can cause: a bad call is a `ToolOutcome` with `is_error`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Protocol

from app.core.messages import ToolCallPart
from app.core.ports import ToolSpec


class Mode(StrEnum):
    """How free the agent is in this folder."""

    LOOK = "look"  # reads only
    ASK = "ask"  # a card for every edit and every command
    AUTO = "auto"  # hands-free: edits free; commands free where the sandbox was proven


ToolKind = Literal["read", "search", "edit", "execute", "think", "fetch", "other"]
Verdict = Literal["allow", "ask", "deny"]
UndoPossible = Literal["yes", "partly", "no"]
ChangeKind = Literal["created", "modified", "deleted", "mode"]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the rules say about one request, and which rule said it.

    `rule` is "built-in", "user deny", "protected", "allow rule", "mode" or "answer".
    """

    verdict: Verdict
    reason: str
    rule: str = "mode"


@dataclass(frozen=True, slots=True)
class PermissionRequest:
    """One thing the agent wants to do: everything the card shows and all that is judged.

    An approval is bound to `digest` (argv, cwd, environment and the content of the scripts the
    command names; for an edit: path, new bytes and the bytes it replaces). What changed between
    the card and the run is refused.
    """

    call_id: str
    tool: str
    kind: ToolKind
    title: str  # one plain line: "Run pytest -q", "Edit app/x.py"
    digest: str
    paths: tuple[str, ...] = ()  # workspace-relative, "/" between components
    argv: tuple[str, ...] = ()  # the exact argv of a command
    command: str = ""  # the command text exactly as the model wrote it
    cwd: str = ""  # absolute
    env: tuple[tuple[str, str], ...] = ()  # the whole environment the command will get
    env_digest: str = ""
    diff: str = ""  # unified diff of an edit
    why: str = ""  # the model's own sentence
    undo: UndoPossible = "yes"
    undo_note: str = ""  # what undo will not cover, by name
    protected: str = ""  # why this is always asked; empty when it is not
    forbidden: str = ""  # why this is never done; empty when it may be
    warnings: tuple[str, ...] = ()  # more facts for the card
    always_rule: str = ""  # what "Always allow" would store; empty when it is not offered
    sandboxed: bool = False  # a command that would run inside the proven sandbox
    network: bool = False  # a command that gets the network if it is allowed
    reads: tuple[str, ...] = ()  # places outside that a command may read if it is allowed

    @property
    def display_command(self) -> str:
        """The command with control, bidi and zero-width characters spelled out."""
        return visible(self.command)


AnswerKind = Literal["allow_once", "allow_always", "deny"]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the person said to a card. `message` goes to the model with a denial."""

    kind: AnswerKind = "deny"
    message: str = ""


class Asker(Protocol):
    """Shows a card and waits for the person; headless runs answer deny."""

    async def ask(self, request: PermissionRequest, reason: str) -> Answer:
        """The answer. Cancelling the waiting task counts as deny."""
        ...


@dataclass(frozen=True, slots=True)
class Change:
    """One file a call left different. Hashes are SHA-256 hex of the content, None for absent."""

    path: str  # workspace-relative
    kind: ChangeKind
    before: str | None
    after: str | None
    added_lines: int = 0
    removed_lines: int = 0


DisplayKind = Literal["text", "diff", "output", "todos"]


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What a call came to. `text` is what the model sees, clipped already, never to change."""

    text: str
    is_error: bool = False
    display: str = ""  # for the person; empty: show `text`
    display_kind: DisplayKind = "text"
    changes: tuple[Change, ...] = ()
    decision: Decision | None = None
    denied: bool = False  # a rule or the person said no
    stopped: bool = False  # cancelled while it ran
    exit_code: int | None = None  # of a command that ran to its end
    ended_by: str = ""  # what ended a command that did not: "time", "memory", "output", "stop" …


@dataclass(frozen=True, slots=True)
class SandboxStatus:
    """What a real probe run showed; `proven` is the only thing that frees commands."""

    kind: Literal["landlock", "seatbelt", "none"]
    proven: bool
    sentence: str  # plain words for the badge
    abi: int = 0  # Landlock ABI, 0 elsewhere
    missing: tuple[str, ...] = ()  # what this system cannot enforce


OutputSink = Callable[[str], None]


def no_output(text: str) -> None:
    """The sink of a caller who does not watch."""


class Jail(Protocol):
    """The chosen folder; every path of every tool goes through it (`app.agent.workspace`)."""

    @property
    def root(self) -> Path:
        """Absolute, real path of the folder."""
        ...

    def locate(self, text: str) -> str:
        """The workspace-relative form of a path as the model wrote it ("" is the root).

        Raises: `app.core.errors.WorkspaceError` when it leaves the folder.
        """
        ...

    def read_bytes(self, path: str, limit_bytes: int | None = None) -> bytes:
        """A regular file's content, opened without following links out of the folder."""
        ...


@dataclass(slots=True)
class ToolContext:
    """What one call may use. Made by `Hands.execute`; MCP adapters get it too."""

    workspace: Jail
    call_id: str
    mode: Mode
    sandbox: SandboxStatus
    cancel: asyncio.Event
    output: OutputSink = no_output
    why: str = ""
    budget_chars: int = 10_000  # the most text the result may put into the prompt
    asker: Asker | None = None  # for questions while the tool runs ("Keep waiting?")


class Tool(Protocol):
    """One tool. The built-in ones live in `app.agent.tools`; an MCP tool is another."""

    @property
    def spec(self) -> ToolSpec:
        """Name, description and JSON Schema, in the order the model writes the parameters."""
        ...

    @property
    def kind(self) -> ToolKind:
        """What it is for; decides with the mode whether it is asked."""
        ...

    def summary(self, arguments: Mapping[str, Any]) -> str:
        """One plain line for the story of the run; must accept any arguments."""
        ...

    async def request(
        self, arguments: Mapping[str, Any], context: ToolContext
    ) -> PermissionRequest | None:
        """What needs permission, None when nothing does. Changes nothing.

        Raises: `ToolError` or `WorkspaceError` when the call cannot work at all.
        """
        ...

    async def run(
        self,
        arguments: Mapping[str, Any],
        context: ToolContext,
        approved: PermissionRequest | None,
    ) -> ToolOutcome:
        """Does it. `approved` is the request that was allowed; a call that no longer has the
        same digest refuses to run.

        Raises: `ToolError` or `WorkspaceError`, which `Hands` turns into an error outcome.
        """
        ...


class ToolError(Exception):
    """A call that cannot work; the text tells the model what to do instead."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """A file that undo or redo left alone because somebody changed it since."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class UndoReport:
    """What an undo or a redo did."""

    restored: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    not_covered: tuple[str, ...] = ()  # changes whose pre-image was over the caps


class UndoLog(Protocol):
    """What can be taken back in one workspace (`app.agent.undo`)."""

    def begin_turn(self, run_id: str, turn: int) -> None:
        """The calls that follow belong to this turn of this run."""
        ...

    def changes(self, run_id: str, turn: int | None = None) -> tuple[Change, ...]:
        """First state against last state of every file the agent left different."""
        ...

    def before_and_after(self, run_id: str, path: str) -> tuple[bytes | None, bytes | None]:
        """A file's content before the run and as the agent left it; None for absent."""
        ...

    def undo_call(self, run_id: str, call_id: str) -> UndoReport: ...

    def undo_turn(self, run_id: str, turn: int) -> UndoReport: ...

    def undo_run(self, run_id: str) -> UndoReport: ...

    def undo_file(self, run_id: str, path: str) -> UndoReport: ...

    def keep_version(self, run_id: str, path: str, data: bytes, expected: str) -> Change:
        """Writes what a person chose hunk by hunk, itself undoable. `expected` is the SHA-256 of
        the content the choice was made on.

        Raises: `app.core.errors.WorkspaceError` when the file holds something else by now.
        """
        ...

    def redo(self, run_id: str) -> UndoReport:
        """Takes the newest undo of this run back."""
        ...


class Hands(Protocol):
    """Everything the brain may do to a folder. `app.agent.hands.open_hands` makes one."""

    mode: Mode

    @property
    def workspace(self) -> Jail: ...

    @property
    def sandbox(self) -> SandboxStatus: ...

    @property
    def undo(self) -> UndoLog: ...

    def specs(self) -> tuple[ToolSpec, ...]:
        """The offered tools; order and bytes never change during a run."""
        ...

    def kind_of(self, name: str) -> ToolKind | None:
        """The kind of a tool by the name the model used; None for an unknown one."""
        ...

    def summary(self, call: ToolCallPart) -> str:
        """One plain line for the story; accepts anything."""
        ...

    def add_tools(self, tools: Sequence[Tool]) -> None:
        """Adds tools (MCP) after the built-in ones, before the first turn."""
        ...

    def drop_added_tools(self) -> None:
        """Takes the added tools away again, between two tasks."""
        ...

    def saw(self, path: str) -> None:
        """Notes that the model was shown a whole file in a prompt, so that it may be written.

        Raises: `app.core.errors.WorkspaceError` when it cannot be read.
        """
        ...

    def begin_turn(self, run_id: str, turn: int) -> None:
        """Calls from now on are recorded under this turn."""
        ...

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
        """One call through the whole walk. Never raises for what a model or a file can cause."""
        ...

    async def close(self) -> None:
        """Ends background commands and closes the files; the hands do nothing from now on."""
        ...


@dataclass(frozen=True, slots=True)
class Todo:
    """One line of the checklist `todo_write` draws."""

    content: str
    status: Literal["pending", "in_progress", "completed"] = "pending"


@dataclass(slots=True)
class TodoList:
    """The latest checklist of a run."""

    items: list[Todo] = field(default_factory=list)


_HIDDEN = {
    0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180E, 0x3164, 0xFEFF, 0xFFA0,
    *range(0x200B, 0x2010), *range(0x2028, 0x202F), *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10), *range(0xFFF9, 0xFFFC), *range(0xE0000, 0xE0080),
    *range(0xE0100, 0xE01F0), *range(0x7F, 0xA0),
}  # fmt: skip


def visible(text: str) -> str:
    """Text with every control, bidi, zero-width and lone surrogate character written as an
    escape; new lines and tabs stay."""
    out: list[str] = []
    for char in text:
        code = ord(char)
        if char in "\n\t" or (code >= 0x20 and code not in _HIDDEN and not _surrogate(code)):
            out.append(char)
        elif code < 0x100:
            out.append(f"\\x{code:02x}")
        else:
            out.append(f"\\u{{{code:x}}}")
    return "".join(out)


def _surrogate(code: int) -> bool:
    return 0xD800 <= code <= 0xDFFF
