"""The files of the agent's folder, for “@” in the composer."""

from __future__ import annotations

import asyncio
import mimetypes
import time
from pathlib import Path

from app.agent.ignore import walk
from app.agent.text_file import decode
from app.agent.workspace import Workspace
from app.core.errors import WorkspaceError
from app.core.messages import AttachmentPart

MOST_FILES = 5_000
MOST_BYTES = 2_000_000
_LONGEST_WALK_S = 2.0
_FRESH_S = 15.0


class WorkspaceFiles:
    """Lists and reads one folder; ignored files are left out, links are never followed."""

    def __init__(self) -> None:
        self._folder = ""
        self._paths: tuple[str, ...] = ()
        self._listed_at = -_FRESH_S

    async def paths(self, folder: str) -> tuple[str, ...]:
        """Relative paths with “/”, remembered for a few seconds; none when it is gone."""
        if folder != self._folder or time.monotonic() - self._listed_at > _FRESH_S:
            found = await asyncio.to_thread(_list, folder)
            self._folder, self._paths, self._listed_at = folder, found, time.monotonic()
        return self._paths

    async def read(self, folder: str, path: str) -> AttachmentPart:
        """One text file.

        Raises: WorkspaceError.
        """
        return await asyncio.to_thread(_read, folder, path)


def _list(folder: str) -> tuple[str, ...]:
    until = time.monotonic() + _LONGEST_WALK_S
    try:
        workspace = Workspace(Path(folder))
    except (WorkspaceError, OSError):
        return ()
    found: list[str] = []
    try:
        for entry in walk(workspace, stop=lambda: time.monotonic() > until):
            if entry.kind == "file" and entry.size_bytes <= MOST_BYTES:
                found.append(entry.path)
                if len(found) >= MOST_FILES:
                    break
    finally:
        workspace.close()
    return tuple(found)


def _read(folder: str, path: str) -> AttachmentPart:
    workspace = Workspace(Path(folder))
    try:
        data = workspace.read_bytes(workspace.locate(path), MOST_BYTES)
    finally:
        workspace.close()
    file = decode(data)
    if file is None:
        raise WorkspaceError(f"“{path}” is not a text file.", "Choose another file.")
    kind = mimetypes.guess_type(path)[0] or "text/plain"
    return AttachmentPart(path, kind, file.text)
