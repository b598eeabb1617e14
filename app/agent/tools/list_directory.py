"""list_directory: what a folder holds, directories first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from app.agent.services import Services
from app.agent.types import PermissionRequest, ToolContext, ToolKind, ToolOutcome, visible
from app.core.ports import ToolSpec

_MAX_ENTRIES = 100


class ListDirectory:
    """Lists one directory."""

    kind: ToolKind = "read"
    spec = ToolSpec(
        "list_directory",
        "Lists a directory.",
        {
            "type": "object",
            "properties": {"path": {"type": "string", "description": "Default: the folder"}},
            "required": [],
        },
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    def summary(self, arguments: Mapping[str, Any]) -> str:
        return f"List {visible(str(arguments.get('path') or 'the folder'))[:200]}"

    async def request(
        self, arguments: Mapping[str, Any], context: ToolContext
    ) -> PermissionRequest | None:
        self._services.workspace.locate(str(arguments.get("path", "")))
        return None

    async def run(
        self,
        arguments: Mapping[str, Any],
        context: ToolContext,
        approved: PermissionRequest | None,
    ) -> ToolOutcome:
        return await asyncio.to_thread(self._list, str(arguments.get("path", "")))

    def _list(self, text: str) -> ToolOutcome:
        path = self._services.workspace.locate(text)
        entries = self._services.workspace.list_directory(path)
        entries.sort(key=lambda entry: (entry.kind != "directory", entry.name.casefold()))
        rows: list[str] = []
        for entry in entries[:_MAX_ENTRIES]:
            name = visible(entry.name)
            if entry.kind == "directory":
                rows.append(f"{name}/")
            elif entry.kind == "link":
                rows.append(f"{name} -> {visible(self._services.workspace.read_link(entry.path))}")
            elif entry.kind == "file":
                rows.append(f"{name}  {entry.size_bytes:,} bytes")
            else:
                rows.append(f"{name}  (special file)")
        if len(entries) > _MAX_ENTRIES:
            rows.append(f"… {len(entries) - _MAX_ENTRIES} more; use glob to narrow it")
        return ToolOutcome("\n".join(rows) if rows else "(the directory is empty)")
