"""grep_search: lines that fit a regular expression; ripgrep where there is one."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.agent.child_env import search_path
from app.agent.ignore import walk
from app.agent.services import Services
from app.agent.text_file import decode
from app.agent.tools.glob import spec_of
from app.agent.types import (
    PermissionRequest,
    ToolContext,
    ToolError,
    ToolKind,
    ToolOutcome,
    visible,
)
from app.core.errors import WorkspaceError
from app.core.ports import ToolSpec

_MAX_HITS = 100
_MAX_LINE_CHARS = 300
_MAX_FILE_BYTES = 5 << 20
_LIMIT_S = 20.0
_NESTED_REPEAT = re.compile(r"\([^()]*[+*}][^()]*\)\s*[+*{]|\([^()]*\|[^()]*\)\s*[+*{]")


@dataclass(frozen=True, slots=True)
class _Hit:
    path: str
    line: int
    text: str


class GrepSearch:
    """Searches file contents."""

    kind: ToolKind = "search"
    spec = ToolSpec(
        "grep_search",
        "Searches file contents with a regular expression.",
        {
            "type": "object",
            "properties": {
                "pattern": {"type": "string"},
                "path": {"type": "string", "description": "File or directory to search"},
                "glob": {"type": "string", "description": "Only files such as *.py"},
                "limit": {"type": "integer", "description": "Most hits to show"},
            },
            "required": ["pattern"],
        },
    )

    def __init__(self, services: Services, ripgrep: str | None = "") -> None:
        self._services = services
        self._ripgrep = find_ripgrep(services.workspace.root) if ripgrep == "" else ripgrep

    def summary(self, arguments: Mapping[str, Any]) -> str:
        where = visible(str(arguments.get("path") or "the folder"))[:100]
        return f"Search {where} for {visible(str(arguments.get('pattern', '')))[:100]}"

    async def request(
        self, arguments: Mapping[str, Any], context: ToolContext
    ) -> PermissionRequest | None:
        path = self._services.workspace.locate(str(arguments.get("path", "")))
        entry = self._services.workspace.entry(path)
        if entry is not None and entry.kind == "file":
            reading = self._services.reading
            return await asyncio.to_thread(reading, context.call_id, self.spec.name, path)
        return None

    async def run(
        self,
        arguments: Mapping[str, Any],
        context: ToolContext,
        approved: PermissionRequest | None,
    ) -> ToolOutcome:
        path = self._services.workspace.locate(str(arguments.get("path", "")))
        if self._services.workspace.entry(path) is None:
            raise ToolError(f"There is no {visible(path)}.")
        limit = max(1, min(_MAX_HITS, int(arguments.get("limit", _MAX_HITS))))
        pattern, glob = str(arguments["pattern"]), str(arguments.get("glob", ""))
        if "\0" in pattern + glob:
            raise ToolError("The pattern holds a null character.")
        hits, note = await asyncio.to_thread(self._search, pattern, path, glob, limit, context)
        hits = await asyncio.to_thread(self._readable, hits, approved)
        if not hits:
            return ToolOutcome(f"No match. {note}".strip())
        rows: list[str] = []
        for hit in hits[:limit]:
            text = visible(hit.text.rstrip("\r\n"))
            cut = f"{text[:_MAX_LINE_CHARS]}…" if len(text) > _MAX_LINE_CHARS else text
            rows.append(f"{visible(hit.path)}:{hit.line}:{cut}")
        if len(hits) > limit:
            rows.append(f"… more than {limit} hits; use a narrower pattern or path")
        if note:
            rows.append(note)
        return ToolOutcome("\n".join(rows))

    def _readable(self, hits: list[_Hit], approved: PermissionRequest | None) -> list[_Hit]:
        """Without the files whose reading would be asked (secrets, links to the outside)."""
        allowed = set(approved.paths) if approved is not None else set()
        verdicts = {
            path: path in allowed or not self._services.why_reading_asks(path)
            for path in {hit.path for hit in hits}
        }
        return [hit for hit in hits if verdicts[hit.path]]

    def _search(
        self, pattern: str, path: str, glob: str, limit: int, context: ToolContext
    ) -> tuple[list[_Hit], str]:
        note = ""
        try:
            re.compile(pattern)
        except re.error as error:
            note = f"(searched as plain text: {error})"
            pattern = re.escape(pattern)
        if self._ripgrep:
            return self._with_ripgrep(self._ripgrep, pattern, path, glob, limit, context), note
        if _NESTED_REPEAT.search(pattern):
            note = "(nested repeats are searched as plain text)"
            pattern = re.escape(pattern)
        flags = re.IGNORECASE if pattern == pattern.lower() else 0
        regex = re.compile(pattern, flags)
        hits: list[_Hit] = []
        for hit in self._own_search(regex, path, glob, context):
            hits.append(hit)
            if len(hits) > limit + 50:
                break
        return hits, note

    def _own_search(
        self, regex: re.Pattern[str], path: str, glob: str, context: ToolContext
    ) -> Iterator[_Hit]:
        workspace = self._services.workspace
        deadline = time.monotonic() + _LIMIT_S

        def late() -> bool:
            return context.cancel.is_set() or time.monotonic() > deadline

        entry = workspace.entry(path)
        files = [entry] if entry and entry.kind == "file" else walk(workspace, path, stop=late)
        wanted = spec_of(glob) if glob else None
        for file in files:
            if late():
                return
            if file.kind != "file" or file.size_bytes > _MAX_FILE_BYTES:
                continue
            if wanted is not None and not wanted.match_file(file.path):
                continue
            try:
                text = decode(workspace.read_bytes(file.path))
            except WorkspaceError:
                continue
            for number, line in enumerate(text.text.split("\n") if text else (), 1):
                if regex.search(line[:2000]):
                    yield _Hit(file.path, number, line)

    def _with_ripgrep(
        self, program: str, pattern: str, path: str, glob: str, limit: int, context: ToolContext
    ) -> list[_Hit]:
        root = self._services.workspace.root
        argv = [program, "--no-config", "--no-messages", "--line-number", "--no-heading", "--null",
                "--color=never", "--smart-case", "--hidden", "--glob=!.git", "--no-require-git",
                "--no-follow", "--max-columns=2000", "--max-columns-preview", "--max-count=200",
                f"--max-filesize={_MAX_FILE_BYTES}", "--with-filename", "--threads=2"]  # fmt: skip
        argv += [f"--glob={glob}"] if glob else []
        argv += ["-e", pattern, "--", f"./{path}" if path else "."]
        with subprocess.Popen(
            argv,
            cwd=root,
            env={"PATH": os.path.dirname(program), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            hits: list[_Hit] = []
            deadline = time.monotonic() + _LIMIT_S
            try:
                for row in process.stdout or ():
                    name, _, rest = row.partition(b"\0")
                    number, _, text = rest.partition(b":")
                    if number.isdigit():
                        found = os.fsdecode(name).removeprefix("./")
                        hits.append(_Hit(found, int(number), text.decode("utf-8", "replace")))
                    late = context.cancel.is_set() or time.monotonic() > deadline
                    if late or len(hits) > limit + 50:
                        break
            finally:
                process.kill()
        return hits


def find_ripgrep(root: Path) -> str | None:
    """An installed ripgrep by absolute path, never one that lies in the folder."""
    return shutil.which("rg", path=search_path(os.environ, root))
