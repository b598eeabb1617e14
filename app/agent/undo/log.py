"""The undo log of one folder: records what calls change, takes it back, gives it back."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from threading import RLock, Thread
from typing import ParamSpec, TypeVar

from app.agent.types import Change, ChangeKind, UndoReport
from app.agent.undo.blobs import Blobs, digest_of
from app.agent.undo.journal import Journal, Record
from app.agent.undo.revert import Reverter
from app.agent.undo.snapshot import Caps, Coverage, Picture, Snapshots, differences
from app.agent.undo.state import ABSENT, State, look
from app.agent.workspace import Workspace, parts_of
from app.core.errors import WorkspaceError

if sys.platform != "win32":
    import fcntl

_P = ParamSpec("_P")
_R = TypeVar("_R")

QUOTA_BYTES = 2 << 30
_TIDY_BYTES = 100 << 20  # beyond it, contents that no run needs any more are dropped at opening
_COUNTED_CHANGES = 500


def _alone(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Methods that come from several threads (tools, window) wait for one another."""

    @functools.wraps(method)
    def locked(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        store = args[0]
        assert isinstance(store, UndoStore)
        with store.busy:
            return method(*args, **kwargs)

    return locked


class UndoStore:
    """What can be taken back in one folder; kept in app data, never in the folder.

    Args:
        folder: Garret's undo folder; each workspace gets one below it.
        quota_bytes: oldest runs are dropped beyond it, when the store is opened.
    """

    def __init__(
        self,
        folder: Path,
        workspace: Workspace,
        caps: Caps | None = None,
        quota_bytes: int = QUOTA_BYTES,
    ) -> None:
        self.busy = RLock()
        self._workspace = workspace
        self._caps = caps or Caps()
        name = hashlib.sha256(os.fsencode(workspace.root)).hexdigest()[:24]
        self._folder = folder / name
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._closing = weakref.finalize(self, os.close, self._lock)
        alone = self._try_alone()
        self._blobs = Blobs(self._folder / "blobs")
        if alone and self._blobs.stored_bytes > min(quota_bytes, _TIDY_BYTES):
            self._trim(quota_bytes)
        self._share()
        self._snapshots = Snapshots(workspace, self._blobs, self._caps)
        self._reverter = Reverter(workspace, self._blobs, self._caps.file_bytes)
        self._journals: dict[str, Journal] = {}
        self._run_id = ""
        self._turn = 0
        self._reader: Thread | None = None
        self._newest: tuple[float, Picture | None] = (0.0, None)
        self._new_mode = 0o666 & ~_umask() if sys.platform != "win32" else 0o666

    def _try_alone(self) -> bool:
        """Whether no other process has this store open; only then may packs be rewritten."""
        if sys.platform == "win32":
            return False
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _share(self) -> None:
        if sys.platform != "win32":
            fcntl.flock(self._lock, fcntl.LOCK_SH)

    def _trim(self, quota_bytes: int) -> None:
        files = sorted(
            (self._folder / "runs").glob("*.jsonl"),
            key=lambda file: file.stat().st_mtime,
            reverse=True,
        )
        kept: set[str] = set()
        for position, file in enumerate(files):
            wanted = kept | Journal(file.parent, file.stem).digests()
            if position and sum(map(self._blobs.size_of, wanted)) > quota_bytes * 0.8:
                file.unlink()
            else:
                kept = wanted
        self._blobs.keep_only(kept)

    def close(self) -> None:
        """Closes the files; nothing recorded is lost."""
        self._snapshots.stop()
        if self._reader is not None:
            self._reader.join()
        self._blobs.close()
        self._closing()

    def warm(self) -> None:
        """Reads the folder ahead, once, so that the first command need not wait for it."""
        if self._reader is not None:
            return
        self._reader = Thread(target=self._snapshots.warm, name="garret-undo-warm", daemon=True)
        self._reader.start()

    @property
    def blobs(self) -> Blobs:
        """The contents kept for this folder."""
        return self._blobs

    @property
    def coverage(self) -> Coverage:
        """What undo would leave out, as of the last picture."""
        return self._snapshots.coverage

    # Recording

    @_alone
    def begin_turn(self, run_id: str, turn: int) -> None:
        """The calls that follow belong to this turn of this run."""
        self._run_id, self._turn = run_id, turn
        self._journal(run_id)

    def _journal(self, run_id: str) -> Journal:
        if run_id not in self._journals:
            self._journals[run_id] = Journal(self._folder / "runs", run_id)
        return self._journals[run_id]

    @_alone
    def write(self, call_id: str, path: str, data: bytes, expected: str | None) -> Change:
        """Replaces or makes one file, its pre-image and the record on disk first.

        Args:
            expected: SHA-256 of the content that must still be there, None for no file.

        Raises:
            WorkspaceError: the file holds something else by now, or cannot be written.
        """
        before = look(self._workspace, path, self._blobs, sys.maxsize)
        if before.kind not in ("file", "absent") or before.digest != expected:
            raise WorkspaceError(
                f"{path} changed in the meantime.", "Read it again and repeat the edit."
            )
        mode = before.mode if before.kind == "file" else self._new_mode
        after = State("file", self._blobs.put(data), mode, "", len(data))
        journal = self._journal(self._run_id)
        self._blobs.flush(durable=True)
        missing = self._missing(path)
        journal.add(self._turn, call_id, [(path, before, after)])
        self._workspace.write_bytes(path, data, mode)
        made = [(folder, ABSENT, look(self._workspace, folder, None, 0)) for folder in missing]
        journal.add(self._turn, call_id, made)
        return self._change(path, before, after)

    def _missing(self, path: str) -> list[str]:
        parts = parts_of(path)[:-1]
        folders = ["/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
        return [folder for folder in folders if self._workspace.entry(folder) is None]

    def before_command(self, max_age_s: float = 0.0) -> Picture:
        """A picture to compare with afterwards, or one that is not older. For a thread."""
        taken_at, picture = self._newest
        if picture is None or time.monotonic() - taken_at > max_age_s:
            picture = self._snapshots.take()
            self._newest = (time.monotonic(), picture)
        return picture

    def look_after(self, before: Picture) -> Picture:
        """The folder after a command, wherever the picture before it reached. For a thread."""
        self._newest = (0.0, None)
        return self._snapshots.take(before)

    @_alone
    def record(self, call_id: str, before: Picture, after: Picture) -> tuple[Change, ...]:
        """Records what changed between two pictures. For a thread."""
        changes = differences(before, after)
        self._blobs.flush(durable=bool(changes))
        self._journal(self._run_id).add(self._turn, call_id, changes)
        counted = len(changes) <= _COUNTED_CHANGES
        return tuple(
            self._change(path, old, new, counted)
            for path, old, new in changes
            if "directory" not in (old.kind, new.kind)
        )

    # Reading

    @_alone
    def changes(self, run_id: str, turn: int | None = None) -> tuple[Change, ...]:
        """First state against last state of every file the agent left different."""
        first: dict[str, State] = {}
        last: dict[str, State] = {}
        for record in self._journal(run_id).active():
            if turn is None or record.turn == turn:
                first.setdefault(record.path, record.before)
                last[record.path] = record.after
        return tuple(
            self._change(path, first[path], last[path])
            for path in sorted(first)
            if first[path] != last[path] and "directory" not in (first[path].kind, last[path].kind)
        )

    @_alone
    def before_and_after(self, run_id: str, path: str) -> tuple[bytes | None, bytes | None]:
        """A file's content before the run and as the agent left it; None for absent."""
        records = [r for r in self._journal(run_id).active() if r.path == path]
        if not records:
            return None, None
        return self._content(records[0].before), self._content(records[-1].after)

    def _content(self, state: State) -> bytes | None:
        if state.kind == "link":
            return os.fsencode(state.target)
        return self._blobs.get(state.digest) if state.digest else None

    def _change(self, path: str, before: State, after: State, counted: bool = True) -> Change:
        kind: ChangeKind = "modified"
        if before.kind == "absent":
            kind = "created"
        elif after.kind == "absent":
            kind = "deleted"
        elif before.digest == after.digest and before.kind == after.kind == "file":
            kind = "mode"
        added = removed = 0
        if counted:
            old, new = self._content(before) or b"", self._content(after) or b""
            added, removed = count_lines(old, new)
        return Change(path, kind, before.digest, after.digest, added, removed)

    # Taking back

    @_alone
    def undo_call(self, run_id: str, call_id: str) -> UndoReport:
        """Takes one call back."""
        return self._undo(run_id, [r for r in self._active(run_id) if r.call_id == call_id])

    @_alone
    def undo_turn(self, run_id: str, turn: int) -> UndoReport:
        """Takes one turn back."""
        return self._undo(run_id, [r for r in self._active(run_id) if r.turn == turn])

    @_alone
    def undo_run(self, run_id: str) -> UndoReport:
        """Takes the whole run back."""
        return self._undo(run_id, self._active(run_id))

    @_alone
    def undo_file(self, run_id: str, path: str) -> UndoReport:
        """Takes everything back that the run did to one file."""
        return self._undo(run_id, [r for r in self._active(run_id) if r.path == path])

    def _active(self, run_id: str) -> list[Record]:
        return self._journal(run_id).active()

    def _undo(self, run_id: str, records: list[Record]) -> UndoReport:
        report, done, applied = self._reverter.undo(records)
        self._blobs.flush(durable=True)
        if done:
            self._journal(run_id).add_undo(done, applied)
        return report

    @_alone
    def redo(self, run_id: str) -> UndoReport:
        """Takes the newest undo of this run back."""
        journal = self._journal(run_id)
        if not journal.undone:
            return UndoReport()
        newest = journal.undone[-1]
        report, _ = self._reverter.redo(newest.applied)
        journal.add_redo(newest)
        return report

    @_alone
    def keep_version(self, run_id: str, path: str, data: bytes, expected: str) -> Change:
        """Writes what a person chose hunk by hunk, itself undoable.

        Raises:
            WorkspaceError: the file holds something else by now.
        """
        turn, run = self._turn, self._run_id
        self._run_id, self._turn = run_id, max((r.turn for r in self._active(run_id)), default=0)
        try:
            return self.write("review", path, data, expected)
        finally:
            self._run_id, self._turn = run, turn


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def count_lines(old: bytes, new: bytes) -> tuple[int, int]:
    """Lines added and removed between two contents; (0, 0) for binary or huge ones."""
    if b"\0" in old[:8192] or b"\0" in new[:8192] or len(old) + len(new) > 4 << 20:
        return 0, 0
    a, b = old.splitlines(), new.splitlines()
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    return len(b) - head - tail, len(a) - head - tail


__all__ = ["QUOTA_BYTES", "Caps", "Coverage", "UndoStore", "count_lines", "digest_of"]
