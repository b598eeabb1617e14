"""Decides one request: built-in deny > user deny > protected ask > allow rule > mode."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from app.agent.commands import Parsed, parse
from app.agent.rules import Rules
from app.agent.types import Decision, Mode, PermissionRequest, ToolKind

READING: frozenset[ToolKind] = frozenset({"read", "search", "think"})


def digest_of_request(**facts: Any) -> str:
    """The hash an approval is bound to: whatever the run must still find as it was."""
    text = json.dumps(facts, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def decide(
    kind: ToolKind,
    request: PermissionRequest | None,
    mode: Mode,
    rules: Rules,
    scripts: Mapping[str, str] | None = None,
) -> Decision:
    """What the rules say.

    Args:
        request: None when the tool says that nothing needs permission.
        scripts: path → SHA-256 of the files in the folder that a command names.
    """
    if request is None:
        return _without_request(kind, mode)
    if request.forbidden:
        return Decision("deny", request.forbidden, "built-in")
    if mode is Mode.LOOK and kind not in READING:
        return Decision("deny", "The agent may only look in this folder.", "mode")
    parsed = parse(request.command) if request.command else Parsed((), False)
    denied = rules.denies(parsed)
    if denied is not None:
        return Decision("deny", f"You refused this for good: {denied.sentence}", "user deny")
    if request.protected:
        return Decision("ask", request.protected, "protected")
    if kind == "execute":
        if rules.allows(parsed, request.cwd, scripts or {}, request.sandboxed):
            return Decision("allow", "You always allow this.", "allow rule")
        return _command_by_mode(request, mode)
    if kind in READING:
        return Decision("allow", "Reading in the folder is free.", "mode")
    if kind == "edit":
        if mode is Mode.AUTO:
            return Decision("allow", "Edits are free in this folder and can be undone.", "mode")
        return Decision("ask", "You see every edit before it is made.", "mode")
    if rules.allows_tool(request.tool):
        return Decision("allow", "You always allow this tool.", "allow rule")
    return Decision("ask", "This tool acts outside Garret.", "mode")


def _without_request(kind: ToolKind, mode: Mode) -> Decision:
    if kind in READING:
        return Decision("allow", "Reading in the folder is free.", "mode")
    if mode is Mode.LOOK:
        return Decision("deny", "The agent may only look in this folder.", "mode")
    return Decision("ask", "This tool says nothing about what it does.", "mode")


def _command_by_mode(request: PermissionRequest, mode: Mode) -> Decision:
    if mode is Mode.AUTO and request.sandboxed:
        return Decision("allow", "It runs inside the sandbox, hands-free.", "mode")
    if mode is Mode.AUTO:
        return Decision("ask", "There is no sandbox on this system, so every command asks.")
    return Decision("ask", "You see every command before it runs.", "mode")
