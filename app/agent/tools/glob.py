"""glob: files whose path fits a pattern, newest first."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from pathspec import GitIgnoreSpec

from app.agent.ignore import walk
from app.agent.services import Services
from app.agent.types import (
    PermissionRequest,
    ToolContext,
    ToolError,
    ToolKind,
    ToolOutcome,
    visible,
)
from app.agent.workspace import Entry
from app.core.ports import ToolSpec

_MAX_FILES = 100
_MAX_WALKED = 200_000
_BRACES = re.compile(r"\{([^{}]*)\}")


class Glob:
    """Finds files by name."""

    kind: ToolKind = "search"
    spec = ToolSpec(
        "glob",
        "Finds files by a pattern such as **/*.py, newest first.",
        {
            "type": "object",
            "properties": {
                "pattern": {"type": "string"},
                "path": {"type": "string", "description": "Where to look"},
            },
            "required": ["pattern"],
        },
    )

    def __init__(self, services: Services) -> None:
        self._services = services

    def summary(self, arguments: Mapping[str, Any]) -> str:
        return f"Find files {visible(str(arguments.get('pattern', '')))[:200]}"

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
        start = self._services.workspace.locate(str(arguments.get("path", "")))
        spec = spec_of(str(arguments["pattern"]))
        found = await asyncio.to_thread(self._find, start, spec, context)
        if not found:
            return ToolOutcome("No file fits the pattern.")
        found.sort(key=lambda entry: entry.mtime_ns, reverse=True)
        rows = [visible(entry.path) for entry in found[:_MAX_FILES]]
        if len(found) > _MAX_FILES:
            rows.append(f"… {len(found) - _MAX_FILES} more; use a narrower pattern")
        return ToolOutcome("\n".join(rows))

    def _find(self, start: str, spec: GitIgnoreSpec, context: ToolContext) -> list[Entry]:
        found: list[Entry] = []
        prefix = f"{start}/" if start else ""
        entries = walk(self._services.workspace, start, stop=context.cancel.is_set)
        for walked, entry in enumerate(entries, 1):
            if entry.kind == "file" and spec.match_file(entry.path.removeprefix(prefix)):
                found.append(entry)
            if walked >= _MAX_WALKED:
                break
        return found


def spec_of(pattern: str) -> GitIgnoreSpec:
    """A matcher for one glob: `*`, `?`, `[…]`, `**` and `{a,b}`.

    Raises:
        ToolError: the pattern is too long or has too many wildcards.
    """
    patterns = _expanded(pattern.strip().lstrip("/").removeprefix("./"))
    for one in patterns:
        if len(one) > 400 or one.replace("**/", "").count("*") + one.count("?") > 8:
            raise ToolError("The pattern has too many wildcards.")
    escaped = ["\\" + one if one.startswith(("!", "#")) else one for one in patterns]
    try:
        return GitIgnoreSpec.from_lines(escaped)
    except ValueError as error:
        raise ToolError(f"The pattern cannot be used: {error}.") from error


def _expanded(pattern: str) -> list[str]:
    out = [pattern]
    for _ in range(4):
        grown: list[str] = []
        for one in out:
            found = _BRACES.search(one)
            if found is None:
                grown.append(one)
                continue
            grown += [
                one[: found.start()] + choice + one[found.end() :] for choice in found[1].split(",")
            ]
        out = grown[:64]
    return out
