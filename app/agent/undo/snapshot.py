"""What the folder held before a command: every path's state, and the contents worth keeping.

A file is read again only when its size, times, inode or mode changed. Caps keep the wait short;
what they leave out is counted and named, and never guessed: a path in a directory that was not
listed before the command is not called new after it.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from dataclasses import dataclass, field, replace

from app.agent.protected import guarded_name, is_guarded
from app.agent.undo.blobs import Blobs
from app.agent.undo.state import ABSENT, State, look_at, unread
from app.agent.workspace import Entry, Workspace, entry_of
from app.core.errors import WorkspaceError

UNCOVERED_DIRECTORIES = frozenset(
    {
        ".git", ".hg", ".svn", "node_modules", ".venv", "venv", "site-packages", ".tox", ".nox",
        "Pods", "DerivedData", ".gradle", ".terraform",
    }
)  # fmt: skip
_NEVER = frozenset({".git", ".hg", ".svn"})
_RACY_NS = 50_000_000  # a file changed this short before it was read may change again unseen
_Signature = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Caps:
    """How much a snapshot may keep and how long a command may wait for it.

    The times count only beyond `sure_files` listed and, where that was all of the folder, half as
    many read, smallest first: on a busy machine a small folder is still covered whole.
    """

    sure_files: int = 4000
    files: int = 50_000
    file_bytes: int = 64 << 20
    total_bytes: int = 300 << 20
    list_s: float = 0.7
    read_s: float = 0.3


@dataclass(frozen=True, slots=True)
class Coverage:
    """What undo would not bring back if a command changed it now."""

    files: int = 0
    uncovered: int = 0
    examples: tuple[str, ...] = ()
    complete: bool = True  # every directory was listed
    shared: tuple[str, ...] = ()  # files hard-linked to a place outside the folder

    @property
    def note(self) -> str:
        """One sentence for the card; "" when everything is covered."""
        if not self.complete:
            return "The folder is so large that undo covers only a part of it."
        if not self.uncovered:
            return ""
        more = f" and {self.uncovered - len(self.examples)} more"
        names = ", ".join(self.examples) + (more if self.uncovered > len(self.examples) else "")
        return f"Undo does not cover: {names}."


@dataclass(slots=True)
class Picture:
    """One look at the folder. `listed` are the directories whose whole content was seen."""

    states: dict[str, State] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    complete: bool = True
    guarded: list[str] = field(default_factory=list)  # files that `protected.is_guarded` names
    repositories: list[str] = field(default_factory=list)  # directories that hold a .git

    def before(self, path: str) -> State | None:
        """The state of a path in this picture; None when it is not known."""
        found = self.states.get(path)
        if found is not None:
            return found
        parent = path.rpartition("/")[0]
        if parent in self.listed:
            return ABSENT
        above = self.before(parent) if parent else None
        if above is not None and above.kind != "directory":
            return ABSENT
        return None


class Snapshots:
    """Takes pictures of one folder and keeps the contents behind them.

    With `start` it looks at that directory only, and at everything in it.
    """

    def __init__(
        self, workspace: Workspace, blobs: Blobs, caps: Caps | None = None, start: str = ""
    ) -> None:
        self._start = start
        self._workspace = workspace
        self._blobs = blobs
        self._caps = caps or Caps()
        self._seen: dict[str, tuple[_Signature, State]] = {}
        self._stored_bytes = 0
        self._stored_files = 0
        self._lock = threading.Lock()
        self._hurry = threading.Event()
        self._stopped = False
        self.coverage = Coverage()

    def warm(self) -> None:
        """Reads ahead without the short time caps; `take` and `stop` cut it short. For a thread."""
        with self._lock:
            if not self._stopped:
                self._take(20.0, 60.0)

    def stop(self) -> None:
        """Ends the reading ahead."""
        self._stopped = True
        self._hurry.set()

    def take(self, before: Picture | None = None) -> Picture:
        """A picture of now. With `before` (after a command) it lists everything, however long
        that takes, and reads what is new or changed."""
        self._hurry.set()
        with self._lock:
            self._hurry.clear()
            if before is not None:
                return self._take(float("inf"), float("inf"), before)
            return self._take(self._caps.list_s, self._caps.read_s)

    def _take(self, list_s: float, read_s: float, before: Picture | None = None) -> Picture:
        picture = Picture()
        started = time.monotonic()

        def late() -> bool:
            if self._hurry.is_set():
                return True
            seen = len(picture.states) + len(look.fresh)
            return seen >= caps.sure_files and time.monotonic() - started > list_s

        caps = self._caps
        look = _Look(picture, before, self._seen)
        todo = [self._start]
        while todo:
            if late():
                picture.complete = False
                break
            todo += self._list(todo.pop(), look)
        self._read(look, time.monotonic() + read_s)
        if self._hurry.is_set():
            return picture  # reading ahead was cut short: nobody uses this one
        if picture.complete and before is None:
            self._seen = {p: s for p, s in self._seen.items() if p in picture.states}
        if before is None:
            self.coverage = _covered(look)
        self._blobs.flush()
        return picture

    def _list(self, directory: str, look: _Look) -> list[str]:
        """Takes one directory in; returns the directories below it that are to be looked at."""
        picture, before = look.picture, look.before
        try:
            found = self._workspace.scan(directory)
        except WorkspaceError:
            return []
        picture.listed.add(directory)
        prefix = f"{directory}/" if directory else ""
        all_guarded = bool(directory) and not self._start and is_guarded(directory)
        below: list[str] = []
        for name, status in found:
            path = prefix + name
            if stat.S_ISDIR(status.st_mode):
                if name == ".git":
                    picture.repositories.append(directory)
                if not self._is_covered(name, path, before):
                    continue
                picture.states[path] = State("directory", mode=stat.S_IMODE(status.st_mode))
                if before is None or path in before.listed or before.before(path) != State(
                    "directory", mode=stat.S_IMODE(status.st_mode)
                ):  # fmt: skip
                    below.append(path)
                continue
            look.add(path, status)
            if all_guarded or guarded_name(name):
                picture.guarded.append(path)
        return below

    def _is_covered(self, name: str, path: str, before: Picture | None) -> bool:
        if self._start or name not in UNCOVERED_DIRECTORIES:
            return True
        made_now = before is not None and before.before(path) == ABSENT
        return made_now and name not in _NEVER

    def _read(self, look: _Look, deadline: float) -> None:
        caps, picture, before = self._caps, look.picture, look.before
        look.fresh.sort(key=lambda entry: entry.size_bytes)
        sure = caps.sure_files // 2 if picture.complete else 0
        for number, entry in enumerate(look.fresh):
            if self._hurry.is_set():
                return
            skipped = unread(entry)
            old = None if before is None else before.states.get(entry.path)
            if old is not None and replace(old, mode=entry.mode) == skipped:
                picture.states[entry.path] = skipped
                continue
            full = (
                look.stored_files >= caps.files
                or look.stored_bytes + entry.size_bytes > caps.total_bytes
                or entry.size_bytes > caps.file_bytes
            )
            late = number >= sure and time.monotonic() > deadline
            blobs: Blobs | None = self._blobs
            if entry.kind == "file" and (full or (late and before is None)):
                if before is None:
                    picture.states[entry.path] = skipped
                    continue
                blobs = None  # the command made it: its hash says later whether it is still that
            try:
                limit = caps.file_bytes if blobs is not None else -1
                state = look_at(self._workspace, entry, blobs, limit)
            except WorkspaceError:
                continue  # gone again
            picture.states[entry.path] = state
            if state.kind == "file" and blobs is not None:
                look.stored_files += 1
                look.stored_bytes += entry.size_bytes
            if time.time_ns() - max(entry.ctime_ns, entry.mtime_ns) > _RACY_NS:
                self._seen[entry.path] = (_signature(entry), state)


@dataclass(slots=True)
class _Look:
    """What one `take` gathers while it lists."""

    picture: Picture
    before: Picture | None
    seen: dict[str, tuple[_Signature, State]]
    fresh: list[Entry] = field(default_factory=list)
    links: dict[tuple[int, int], list[str]] = field(default_factory=dict)
    link_counts: dict[tuple[int, int], int] = field(default_factory=dict)
    stored_files: int = 0
    stored_bytes: int = 0

    def add(self, path: str, status: os.stat_result) -> None:
        """Takes in what is not a directory; unchanged files keep the state they had."""
        known = self.seen.get(path)
        if known is not None and known[0] == _signature_of(status):
            self.picture.states[path] = known[1]
            self.stored_files += 1
            self.stored_bytes += status.st_size
        else:
            self.fresh.append(entry_of(path, status))
        if status.st_nlink > 1 and stat.S_ISREG(status.st_mode):
            inode = (status.st_dev, status.st_ino)
            self.links.setdefault(inode, []).append(path)
            self.link_counts[inode] = status.st_nlink


def _covered(look: _Look) -> Coverage:
    states = look.picture.states
    missing = [p for p, s in states.items() if s.kind == "file" and s.digest is None]
    shared = [
        path
        for inode, paths in look.links.items()
        if len(paths) < look.link_counts[inode]
        for path in paths
    ]
    return Coverage(
        len(states),
        len(missing),
        tuple(sorted(missing)[:3]),
        look.picture.complete,
        tuple(sorted(shared)[:5]),
    )


def _signature_of(status: os.stat_result) -> _Signature:
    return (
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
        status.st_mode,
    )


def _signature(entry: Entry) -> _Signature:
    return (entry.size_bytes, entry.mtime_ns, entry.ctime_ns, entry.inode, entry.full_mode)


def differences(before: Picture, after: Picture) -> list[tuple[str, State, State]]:
    """What changed between two pictures: path, state before, state after.

    Paths whose earlier state is not known are left out: they are nobody's.
    """
    changed: list[tuple[str, State, State]] = []
    for path in sorted(set(before.states) | set(after.states)):
        old, new = before.before(path), after.before(path)
        if old is not None and new is not None and old != new:
            changed.append((path, old, new))
    return changed
