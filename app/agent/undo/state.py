"""What a path held at one moment."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from app.agent.undo.blobs import Blobs, digest_of
from app.agent.workspace import Entry, Workspace
from app.core.errors import WorkspaceError

StateKind = Literal["absent", "file", "link", "directory", "other"]


@dataclass(frozen=True, slots=True)
class State:
    """`digest` is None for a file whose content was never read; `mode` is the permission bits."""

    kind: StateKind
    digest: str | None = None
    mode: int = 0
    target: str = ""
    size_bytes: int = 0
    stamp: int = 0  # modification time in ns, only where the content was never read

    def to_json(self) -> list[Any]:
        """The stored form; `from_json` reverses it."""
        return [self.kind, self.digest, self.mode, self.target, self.size_bytes, self.stamp]

    @staticmethod
    def from_json(data: Any) -> State:
        """Raises ValueError when the form is not one of ours."""
        match data:
            case [
                ("absent" | "file" | "link" | "directory" | "other") as kind,
                str() | None as digest,
                int(mode),
                str(target),
                int(size),
                int(stamp),
            ]:
                return State(kind, digest, mode, target, size, stamp)
        raise ValueError("not a state")

    @property
    def is_known(self) -> bool:
        """Whether two of these can be compared."""
        return self.kind != "other" and (self.kind != "file" or self.digest is not None)


ABSENT = State("absent")


def look(workspace: Workspace, path: str, blobs: Blobs | None, limit_bytes: int) -> State:
    """The present state of a path, its content stored when `blobs` is given and it is not over
    `limit_bytes`; longer files are hashed, not stored."""
    entry = workspace.entry(path)
    return ABSENT if entry is None else look_at(workspace, entry, blobs, limit_bytes)


def look_at(workspace: Workspace, entry: Entry, blobs: Blobs | None, limit_bytes: int) -> State:
    """The same for an entry that was listed a moment ago."""
    if entry.kind == "link":
        return State("link", target=workspace.read_link(entry.path))
    if entry.kind == "directory":
        return State("directory", mode=entry.mode)
    if entry.kind != "file":
        return State("other")
    try:
        if entry.size_bytes > limit_bytes:
            return State(
                "file", _hash_large(workspace, entry.path), entry.mode, "", entry.size_bytes
            )
        data = workspace.read_bytes(entry.path)
    except WorkspaceError:
        return unread(entry)
    digest = digest_of(data) if blobs is None else blobs.put(data)
    return State("file", digest, entry.mode, "", len(data))


def unread(entry: Entry) -> State:
    """The state of a file whose content is not looked at."""
    return State("file", None, entry.mode, "", entry.size_bytes, entry.mtime_ns)


def _hash_large(workspace: Workspace, path: str) -> str:
    digest = hashlib.sha256()
    with workspace.open_read(path) as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
