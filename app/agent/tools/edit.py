"""edit: replaces text in a file; everything outside the match stays byte for byte."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from app.agent.edit_ladder import NoMatch, apply
from app.agent.near import closest_lines
from app.agent.services import Services
from app.agent.text_file import TextFile, decode
from app.agent.tools.editing import Plan, carry_out, request_for
from app.agent.types import (
    PermissionRequest,
    ToolContext,
    ToolError,
    ToolKind,
    ToolOutcome,
    visible,
)
from app.agent.undo.blobs import digest_of
from app.core.ports import ToolSpec

_MAX_EDIT_BYTES = 16 << 20
_SHORT_FILE_LINES = 200


class Edit:
    """Applies one edit by the ladder of `app.agent.edit_ladder`."""

    kind: ToolKind = "edit"
    spec = ToolSpec(
        "edit",
        "Replaces old_string, which must occur exactly once, by new_string. Copy old_string from "
        "the file with its indentation, a few whole lines, without line numbers.",
        {
            "type": "object",
            "properties": {
                "file_path": {"type": "string"},
                "old_string": {"type": "string"},
                "new_string": {"type": "string"},
                "replace_all": {"type": "boolean", "description": "Replace every occurrence"},
            },
            "required": ["file_path", "old_string", "new_string"],
        },
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    def summary(self, arguments: Mapping[str, Any]) -> str:
        return f"Edit {visible(str(arguments.get('file_path', '')))[:200]}"

    async def request(
        self, arguments: Mapping[str, Any], context: ToolContext
    ) -> PermissionRequest | None:
        return await asyncio.to_thread(self._request, arguments, context)

    def _request(self, arguments: Mapping[str, Any], context: ToolContext) -> PermissionRequest:
        plan = self._plan(arguments, count=True)
        return request_for(self._services, plan, self.spec.name, context)

    async def run(
        self,
        arguments: Mapping[str, Any],
        context: ToolContext,
        approved: PermissionRequest | None,
    ) -> ToolOutcome:
        return await asyncio.to_thread(self._apply, arguments, context, approved)

    def _apply(
        self,
        arguments: Mapping[str, Any],
        context: ToolContext,
        approved: PermissionRequest | None,
    ) -> ToolOutcome:
        plan = self._plan(arguments, count=False)
        pair = (str(arguments["old_string"]), str(arguments["new_string"]))
        outcome = carry_out(
            self._services, plan, context, approved, lambda lines: f"Edited {plan.path} ({lines})."
        )
        self._services.ledger.applied.setdefault(plan.path, set()).add(pair)
        return outcome

    def _plan(self, arguments: Mapping[str, Any], count: bool) -> Plan:
        workspace = self._services.workspace
        path = workspace.locate(str(arguments["file_path"]))
        old, new = str(arguments["old_string"]), str(arguments["new_string"])
        entry = workspace.entry(path)
        if entry is None:
            if old:
                raise ToolError(f"There is no file {visible(path)}. Use write_file to make it.")
            return Plan(path, None, _encoded(TextFile("", "utf-8"), new))
        if entry.size_bytes > _MAX_EDIT_BYTES:
            raise ToolError(f"{path} is too large to edit.")
        data = workspace.read_bytes(path)
        text = decode(data)
        if text is None:
            raise ToolError(f"{path} is a binary file; it cannot be edited.")
        if not old:
            raise ToolError(f"{path} exists: old_string must not be empty.")
        try:
            edit = apply(
                text.text, old, new, text.line_end, bool(arguments.get("replace_all", False))
            )
        except NoMatch as problem:
            raise ToolError(self._explain(path, data, text, old, new, problem, count)) from problem
        known = self._services.ledger.seen.get(path)
        if known is None and edit.rung != "exact":
            raise ToolError(f"Read {path} first: old_string is not exactly in it.")
        notes = [edit.note] if edit.note else []
        if known is not None and known != digest_of(data):
            notes.append("The file had changed since you read it; old_string still fitted.")
        return Plan(path, data, _encoded(text, edit.text), " ".join(notes))

    def _explain(
        self,
        path: str,
        data: bytes,
        text: TextFile,
        old: str,
        new: str,
        problem: NoMatch,
        count: bool,
    ) -> str:
        ledger = self._services.ledger
        if count:
            ledger.failures[path] = ledger.failures.get(path, 0) + 1
        if (old, new) in ledger.applied.get(path, ()):
            return f"This edit of {path} was already applied. Do not send it again."
        if problem.places:
            lines = ", ".join(str(line) for line in problem.places[:20])
            return (
                f"{problem.reason} of {path} (lines {lines}). Add lines around it to old_string "
                "until it is unique, or set replace_all."
            )
        if problem.reason != "old_string was not found":
            return f"{path}: {problem.reason}."
        stale = ledger.seen.get(path) not in (None, digest_of(data))
        parts = [f"{problem.reason[0].upper()}{problem.reason[1:]} in {path}."]
        if stale:
            parts.append("The file changed since you read it.")
        near = closest_lines(text.text, old)
        if near:
            parts.append(near)
            ledger.seen[path] = digest_of(data)
        parts.append(self._next_step(path, text))
        return "\n".join(part for part in parts if part)

    def _next_step(self, path: str, text: TextFile) -> str:
        tries = self._services.ledger.failures.get(path, 0)
        if tries >= 3:
            return "Three edits of this file failed. Stop and tell the user what is in the way."
        if tries == 2 and text.text.count("\n") < _SHORT_FILE_LINES:
            return "Use write_file with the whole new content instead."
        return ""


def _encoded(text: TextFile, new: str) -> bytes:
    try:
        return text.encode(new)
    except UnicodeEncodeError as error:
        bad = error.object[error.start : error.end]
        raise ToolError(
            f"The file is {text.encoding}; it cannot hold {visible(bad)[:40]!r}."
        ) from error
