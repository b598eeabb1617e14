"""Holds what a command must leave alone: hooks, git configuration, editor and agent files.

Landlock cannot keep one name in a writable folder read-only, so these are compared after every
command and put back. A `.git` that a command destroyed is put back as well, as far as it was small
enough to be kept.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from app.agent.types import visible
from app.agent.undo.blobs import Blobs
from app.agent.undo.snapshot import Caps, Picture, Snapshots
from app.agent.undo.state import ABSENT, State, look
from app.agent.workspace import Workspace
from app.core.errors import WorkspaceError

_GIT_FILES = ("config", "config.worktree", "info/attributes", "info/sparse-checkout")
_GIT_VITAL = ("HEAD", "objects", "refs")
_LIMIT_BYTES = 4 << 20
_GIT_CAPS = Caps(files=6000, file_bytes=32 << 20, total_bytes=64 << 20, list_s=0.4, read_s=0.4)


@dataclass(slots=True)
class Watch:
    """What the guarded places held before a command."""

    states: dict[str, State] = field(default_factory=dict)
    repositories: tuple[str, ...] = ()
    history: Picture | None = None


@dataclass(frozen=True, slots=True)
class Guarded:
    """What a command did to guarded places, and what was put back."""

    changed: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


class Sentinel:
    """Compares and restores the guarded places of one folder. All methods are for a thread."""

    def __init__(self, workspace: Workspace, blobs: Blobs) -> None:
        self._workspace = workspace
        self._blobs = blobs
        self._history = Snapshots(workspace, blobs, _GIT_CAPS, ".git")

    def before(self, picture: Picture) -> Watch:
        """Remembers the guarded places; `picture` is the folder as it is now."""
        watch = Watch(repositories=tuple(picture.repositories))
        for path in self._guarded_in(picture):
            watch.states[path] = self._look(path)
        if "" in picture.repositories and self._is_whole():
            watch.history = self._history.take()
        self._blobs.flush()
        return watch

    def after(self, watch: Watch, picture: Picture, put_back: bool) -> Guarded:
        """Compares with the folder as it is now; restores unless the person allowed it."""
        places = set(watch.states) | set(self._guarded_in(picture))
        places |= set(self._git_places(watch.repositories))
        changed = [
            path
            for path in sorted(places, key=lambda p: (p.count("/"), p))
            if self._look(path) != watch.states.get(path, ABSENT)
        ]
        lost = self._lost_history(watch)
        if not put_back or not (changed or lost):
            return Guarded(tuple(changed))
        restored: list[str] = []
        failed: list[str] = []
        for path, state in lost:
            with suppress(OSError, WorkspaceError):
                self._restore(path, state)
        if lost:
            restored.append(".git")
        for path in changed:
            wanted = watch.states.get(path, ABSENT)
            try:
                if self._look(path) != wanted:
                    self._restore(path, wanted)
                restored.append(path)
            except (OSError, WorkspaceError):
                failed.append(path)
        return Guarded(tuple(changed), tuple(restored), tuple(failed))

    def _guarded_in(self, picture: Picture) -> list[str]:
        return picture.guarded + self._git_places(picture.repositories)

    def _git_places(self, repositories: list[str] | tuple[str, ...]) -> list[str]:
        found: list[str] = []
        for directory in repositories:
            git = f"{directory}/.git" if directory else ".git"
            found += [f"{git}/{name}" for name in _GIT_FILES]
            found.append(f"{git}/hooks")
            with suppress(WorkspaceError):
                hooks = self._workspace.list_directory(f"{git}/hooks")
                found += [entry.path for entry in hooks if entry.kind != "directory"]
        return found

    def _look(self, path: str) -> State:
        try:
            return look(self._workspace, path, self._blobs, _LIMIT_BYTES)
        except (OSError, WorkspaceError):
            return State("other")

    def _is_whole(self) -> bool:
        return all(self._workspace.entry(f".git/{name}") is not None for name in _GIT_VITAL)

    def _lost_history(self, watch: Watch) -> list[tuple[str, State]]:
        """The parts of a destroyed `.git`, directories first; nothing for a living one."""
        if watch.history is None or self._is_whole():
            return []
        states = sorted(watch.history.states.items())
        return [(".git", State("directory", mode=0o755)), *states]

    def _restore(self, path: str, wanted: State) -> None:
        now = self._workspace.entry(path)
        if now is not None and (wanted.kind != now.kind or wanted.kind == "link"):
            self._remove(path)
        if wanted.kind == "directory":
            self._workspace.make_directories(path, any_name=True)
        elif wanted.kind == "link":
            self._workspace.make_directories(path.rpartition("/")[0], any_name=True)
            self._workspace.make_link(path, wanted.target)
        elif wanted.kind == "file":
            data = self._blobs.get(wanted.digest) if wanted.digest else None
            if data is None:
                raise WorkspaceError(f"{visible(path)} was too large to keep.")
            self._workspace.write_bytes(path, data, wanted.mode, any_name=True)

    def _remove(self, path: str) -> None:
        entry = self._workspace.entry(path)
        if entry is None:
            return
        if entry.kind == "directory":
            for below in self._workspace.list_directory(path):
                self._remove(below.path)
        self._workspace.remove(path)
