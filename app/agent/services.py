"""What the built-in tools share in one run."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from app.agent.clip import Spill
from app.agent.ignore import walk
from app.agent.protected import read_asks
from app.agent.redact import values_in
from app.agent.text_file import decode
from app.agent.types import PermissionRequest, TodoList
from app.agent.undo.log import UndoStore
from app.agent.workspace import Workspace
from app.core.errors import WorkspaceError

_MAX_SECRETS = 5000
_MAX_SECRET_BYTES = 64 << 10


@dataclass(slots=True)
class Ledger:
    """What the model has seen: path → SHA-256 of the content it last read or wrote."""

    seen: dict[str, str] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    applied: dict[str, set[tuple[str, str]]] = field(default_factory=dict)


@dataclass(slots=True)
class Services:
    """The folder, its undo log, and the memory of the run."""

    workspace: Workspace
    undo: UndoStore
    spill: Spill
    ledger: Ledger = field(default_factory=Ledger)
    todos: TodoList = field(default_factory=TodoList)
    secrets: set[str] = field(default_factory=set)

    def learn_secrets(self, paths: Iterable[str]) -> None:
        """Remembers the values in files whose reading is asked, so that a command that prints
        them does not put them before the model."""
        for path in paths:
            if len(self.secrets) < _MAX_SECRETS and read_asks(path):
                with suppress(WorkspaceError):
                    text = decode(self.workspace.read_bytes(path, _MAX_SECRET_BYTES))
                    self.secrets |= values_in(text.text) if text else set()

    def shared_outside(self, path: str) -> bool:
        """Whether a file has a hard link that is not found inside the folder."""
        entry = self.workspace.entry(path)
        if entry is None or entry.kind != "file" or entry.links < 2:
            return False
        deadline = time.monotonic() + 1.0
        inside = sum(
            other.inode == entry.inode and other.device == entry.device
            for other in walk(
                self.workspace, skip_ignored=False, stop=lambda: time.monotonic() > deadline
            )
        )
        return inside < entry.links

    def why_reading_asks(self, path: str) -> str:
        """Why reading a file is asked; "" when it is free."""
        reason = read_asks(path)
        if reason:
            return f"{path}: {reason}"
        try:
            shared = self.shared_outside(path)
        except WorkspaceError:
            shared = False
        return f"{path} is shared (hard link) with a place outside the folder." if shared else ""

    def reading(self, call_id: str, tool: str, path: str) -> PermissionRequest | None:
        """The request for reading one file; None when it is free."""
        reason = self.why_reading_asks(path)
        if not reason:
            return None
        return PermissionRequest(
            call_id,
            tool,
            "read",
            f"Read {path}",
            digest=f"read:{path}",
            paths=(path,),
            protected=reason,
            undo="no",
            undo_note="What the model has read stays in this conversation.",
        )
