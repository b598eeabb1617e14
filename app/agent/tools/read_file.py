"""read_file: numbered lines of a text file, never more than fits."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from app.agent.clip import PREFIX
from app.agent.ignore import walk
from app.agent.near import closest_names
from app.agent.redact import redact
from app.agent.services import Services
from app.agent.shell import clean
from app.agent.text_file import decode
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

_DEFAULT_LINES = 400
_MAX_CHARS = 16_384
_MAX_LINE_CHARS = 2000
_MAX_FILE_BYTES = 64 << 20


class ReadFile:
    """Reads a file of the folder, or the rest of a long output (`@output/N.txt`)."""

    kind: ToolKind = "read"
    spec = ToolSpec(
        "read_file",
        "Reads a text file. Long files come in parts: go on with offset.",
        {
            "type": "object",
            "properties": {
                "file_path": {"type": "string", "description": "Path in the folder"},
                "limit": {"type": "integer", "description": "Number of lines"},
                "offset": {"type": "integer", "description": "First line, counted from 1"},
            },
            "required": ["file_path"],
        },
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    def summary(self, arguments: Mapping[str, Any]) -> str:
        return f"Read {visible(str(arguments.get('file_path', '')))[:200]}"

    async def request(
        self, arguments: Mapping[str, Any], context: ToolContext
    ) -> PermissionRequest | None:
        name = str(arguments["file_path"])
        if name.startswith(PREFIX):
            return None
        return await asyncio.to_thread(self._request, name, context)

    def _request(self, name: str, context: ToolContext) -> PermissionRequest | None:
        path = self._services.workspace.locate(name)
        return self._services.reading(context.call_id, self.spec.name, path)

    async def run(
        self,
        arguments: Mapping[str, Any],
        context: ToolContext,
        approved: PermissionRequest | None,
    ) -> ToolOutcome:
        return await asyncio.to_thread(self._read, arguments, context, approved)

    def _read(
        self,
        arguments: Mapping[str, Any],
        context: ToolContext,
        approved: PermissionRequest | None,
    ) -> ToolOutcome:
        name = str(arguments["file_path"])
        data = self._services.spill.read(name) if name.startswith(PREFIX) else None
        path = name
        if data is None:
            path = self._services.workspace.locate(name)
            if self._services.why_reading_asks(path) and approved is None:
                raise ToolError(f"{path} may not be read.")
            data = self._content(path)
            self._services.ledger.seen[path] = digest_of(data)
        text = decode(data)
        if text is None:
            return ToolOutcome(f"{visible(path)} is a binary file of {len(data):,} bytes.")
        shown = text.text
        if path == name and name.startswith(PREFIX):
            shown = redact(clean(shown), self._services.secrets)
        budget = _MAX_CHARS if context.budget_chars >= 10_000 else context.budget_chars
        return ToolOutcome(_numbered(shown, arguments, budget))

    def _content(self, path: str) -> bytes:
        workspace = self._services.workspace
        entry = workspace.entry(path)
        if entry is None:
            raise ToolError(self._missing(path))
        if entry.kind == "directory":
            raise ToolError(f"{visible(path) or 'This'} is a folder. Use list_directory.")
        if entry.size_bytes > _MAX_FILE_BYTES:
            raise ToolError(
                f"{path} is {entry.size_bytes:,} bytes long, too large to read. Use grep_search."
            )
        return workspace.read_bytes(path)

    def _missing(self, path: str) -> str:
        names: list[str] = []
        for entry in walk(self._services.workspace):
            if entry.kind == "file":
                names.append(entry.path)
            if len(names) >= 5000:
                break
        near = closest_names(path, names)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        return f"There is no file {visible(path)}.{hint}"


def _numbered(text: str, arguments: Mapping[str, Any], budget_chars: int) -> str:
    lines = text.splitlines()
    if not lines:
        return "(the file is empty)"
    first = max(1, int(arguments.get("offset", 1)))
    if first > len(lines):
        return f"(the file has only {len(lines)} lines)"
    wanted = max(1, int(arguments.get("limit", _DEFAULT_LINES)))
    out: list[str] = []
    used = 0
    longest = max(80, min(_MAX_LINE_CHARS, budget_chars - 200))
    for number in range(first, min(len(lines), first + wanted - 1) + 1):
        line = lines[number - 1]
        if len(line) > longest:
            line = f"{line[:longest]}… (line of {len(line):,} characters)"
        row = f"{number:>6}\t{line}"
        if out and used + len(row) + 1 > budget_chars - 80:
            break
        out.append(row)
        used += len(row) + 1
    last = first + len(out) - 1
    if last < len(lines):
        out.append(f"(lines {first}-{last} of {len(lines)}; go on with offset={last + 1})")
    return "\n".join(out)
