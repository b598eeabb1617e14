"""write_file: a new file, or the whole new content of one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from app.agent.edit_ladder import omission_in
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
from app.core.ports import ToolSpec


class WriteFile:
    """Writes a whole file; an existing one keeps its encoding, line ends and permissions."""

    kind: ToolKind = "edit"
    spec = ToolSpec(
        "write_file",
        "Writes a whole file. For a change in an existing file use edit.",
        {
            "type": "object",
            "properties": {
                "file_path": {"type": "string"},
                "content": {"type": "string", "description": "The complete text"},
            },
            "required": ["file_path", "content"],
        },
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    def summary(self, arguments: Mapping[str, Any]) -> str:
        return f"Write {visible(str(arguments.get('file_path', '')))[:200]}"

    async def request(
        self, arguments: Mapping[str, Any], context: ToolContext
    ) -> PermissionRequest | None:
        return await asyncio.to_thread(self._request, arguments, context)

    def _request(self, arguments: Mapping[str, Any], context: ToolContext) -> PermissionRequest:
        return request_for(self._services, self._plan(arguments), self.spec.name, context)

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
        plan = self._plan(arguments)
        verb = "Created" if plan.before is None else "Wrote"
        return carry_out(
            self._services, plan, context, approved, lambda lines: f"{verb} {plan.path} ({lines})."
        )

    def _plan(self, arguments: Mapping[str, Any]) -> Plan:
        workspace = self._services.workspace
        path = workspace.locate(str(arguments["file_path"]))
        content = str(arguments["content"])
        entry = workspace.entry(path)
        if entry is None:
            return Plan(path, None, _bytes(TextFile("", "utf-8"), _ended(content)))
        if entry.kind == "directory":
            raise ToolError(f"{visible(path) or 'That'} is a folder; name a file in it.")
        data = workspace.read_bytes(path)
        text = decode(data)
        if text is None:
            raise ToolError(f"{path} is a binary file; it is not overwritten with text.")
        if path not in self._services.ledger.seen:
            raise ToolError(f"{path} exists. Read it first, then write it or use edit.")
        if not content.strip() and text.text.strip():
            raise ToolError(f"The new content of {path} is empty; nothing was written.")
        hole = omission_in(content)
        if hole and hole not in text.text:
            raise ToolError(
                f'The content leaves code out ("{hole[:80]}"). Write the whole file, or use edit.'
            )
        ended = content if not text.text.endswith("\n") and text.text else _ended(content)
        if text.line_end == "\r\n":
            ended = ended.replace("\r\n", "\n").replace("\n", "\r\n")
        after = _bytes(text, ended)
        if after == data:
            raise ToolError(f"{path} already has exactly this content.")
        return Plan(path, data, after)


def _ended(content: str) -> str:
    """Text with a final line end: the call format strips it."""
    return content + "\n" if content and not content.endswith("\n") else content


def _bytes(text: TextFile, content: str) -> bytes:
    try:
        return text.encode(content)
    except UnicodeEncodeError:
        if text.encoding == "latin-1":
            text = TextFile("", "utf-8")
        return text.mark + content.encode(text.encoding, "replace")
