"""What the folder held before a command: every path's state, and the contents worth keeping.

A file is read again only when its size, times, inode or mode changed. Caps keep the wait short;
what they leave out is counted and named, and never guessed: a path in a directory that was not
listed before the command is not called new after it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from app.agent.undo.blobs import Blobs
from app.agent.undo.state import ABSENT, State, look_at, unread
from app.agent.workspace import Entry, Workspace
from app.core.errors import WorkspaceError

UNCOVERED_DIRECTORIES = frozenset(
    {
        ".git", ".hg", ".svn", "node_modules", ".venv", "venv", "site-packages", ".tox", ".nox",
        "Pods", "DerivedData", ".gradle", ".terraform",
    }
)  # fmt: skip
_NEVER = frozenset({".git", ".hg", ".svn"})
_RACY_NS = 50_000_000  # a file changed this short before it was read may change again unseen
_Signature = tuple[int, int, int, int, int, str]


@dataclass(frozen=True, slots=True)
class Caps:
    """How much a snapshot may keep and how long a command may wait for it."""

    files: int = 50_000
    file_bytes: int = 64 << 20
    total_bytes: int = 300 << 20
    list_s: float = 0.9
    read_s: float = 0.6


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
            return self._hurry.is_set() or time.monotonic() - started > list_s

        entries = self._list(picture, late, before)
        deadline = time.monotonic() + read_s
        fresh: list[Entry] = []
        links: dict[tuple[int, int], list[Entry]] = {}
        for entry in entries:
            known = self._seen.get(entry.path)
            if known is not None and known[0] == _signature(entry):
                picture.states[entry.path] = known[1]
            elif entry.kind == "directory":
                picture.states[entry.path] = State("directory", mode=entry.mode)
            else:
                fresh.append(entry)
            if entry.links > 1 and entry.kind == "file":
                links.setdefault((entry.device, entry.inode), []).append(entry)
        self._read(fresh, picture, deadline, before)
        self._seen = {p: s for p, s in self._seen.items() if p in picture.states}
        self.coverage = self._covered(picture, links)
        self._blobs.flush()
        return picture

    def _list(
        self, picture: Picture, late: Callable[[], bool], before: Picture | None
    ) -> list[Entry]:
        entries: list[Entry] = []
        todo = [self._start]
        while todo:
            if late():
                picture.complete = False
                break
            directory = todo.pop()
            try:
                found = self._workspace.list_directory(directory)
            except WorkspaceError:
                continue
            picture.listed.add(directory)
            for entry in found:
                if entry.kind == "directory":
                    if entry.name == ".git":
                        picture.repositories.append(directory)
                    if entry.name in UNCOVERED_DIRECTORIES and not self._start:
                        made_now = before is not None and before.before(entry.path) == ABSENT
                        if not made_now or entry.name in _NEVER:
                            continue
                    todo.append(entry.path)
                entries.append(entry)
        return entries

    def _read(
        self, entries: list[Entry], picture: Picture, deadline: float, before: Picture | None
    ) -> None:
        entries.sort(key=lambda entry: entry.size_bytes)
        for entry in entries:
            late = time.monotonic() > deadline or self._hurry.is_set()
            full = (
                self._stored_files >= self._caps.files
                or self._stored_bytes + entry.size_bytes > self._caps.total_bytes
                or entry.size_bytes > self._caps.file_bytes
            )
            blobs: Blobs | None = self._blobs
            if entry.kind == "file" and (late or full):
                skipped = unread(entry)
                old = None if before is None else before.states.get(entry.path)
                if before is None or (old and replace(old, mode=entry.mode) == skipped):
                    picture.states[entry.path] = skipped
                    continue
                blobs = None  # the command made it: its hash says later whether it is still that
            try:
                limit = self._caps.file_bytes if blobs is not None else -1
                state = look_at(self._workspace, entry, blobs, limit)
            except WorkspaceError:
                continue  # gone again
            picture.states[entry.path] = state
            if state.kind == "file" and blobs is not None:
                self._stored_files += 1
                self._stored_bytes += entry.size_bytes
            if time.time_ns() - max(entry.ctime_ns, entry.mtime_ns) > _RACY_NS:
                self._seen[entry.path] = (_signature(entry), state)

    def _covered(self, picture: Picture, links: dict[tuple[int, int], list[Entry]]) -> Coverage:
        missing = [p for p, s in picture.states.items() if s.kind == "file" and s.digest is None]
        shared = [e.path for group in links.values() if len(group) < group[0].links for e in group]
        return Coverage(
            len(picture.states),
            len(missing),
            tuple(sorted(missing)[:3]),
            picture.complete,
            tuple(sorted(shared)[:5]),
        )


def _signature(entry: Entry) -> _Signature:
    return (
        entry.size_bytes,
        entry.mtime_ns,
        entry.ctime_ns,
        entry.inode,
        entry.mode,
        entry.kind,
    )


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
