"""Takes recorded changes back, newest first, without ever losing what somebody else wrote."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from app.agent.types import Conflict, UndoReport
from app.agent.undo.blobs import Blobs
from app.agent.undo.journal import Record
from app.agent.undo.merge import merge
from app.agent.undo.state import ABSENT, State, look
from app.agent.workspace import Workspace
from app.core.errors import WorkspaceError

Applied = tuple[str, State, State]


@dataclass(slots=True)
class _Outcome:
    restored: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    merged: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    not_covered: list[str] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)
    done: list[Record] = field(default_factory=list)

    def report(self) -> UndoReport:
        return UndoReport(
            tuple(self.restored),
            tuple(self.deleted),
            tuple(self.merged),
            tuple(self.conflicts),
            tuple(self.not_covered),
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    path: str
    now: State
    wanted: State
    merged: bool


class Reverter:
    """Undo and redo over one folder and one store of contents."""

    def __init__(self, workspace: Workspace, blobs: Blobs, limit_bytes: int) -> None:
        self._workspace = workspace
        self._blobs = blobs
        self._limit_bytes = limit_bytes

    def undo(self, records: Sequence[Record]) -> tuple[UndoReport, list[Record], list[Applied]]:
        """Takes these records back. Returns the report, the records that are gone now, and what
        was done to the disk."""
        by_path: dict[str, list[Record]] = {}
        for record in records:
            by_path.setdefault(record.path, []).append(record)
        outcome = _Outcome()
        plans = [self._plan(path, chain, outcome) for path, chain in by_path.items()]
        self._apply([plan for plan in plans if plan is not None], outcome)
        failed = {conflict.path for conflict in outcome.conflicts} | set(outcome.not_covered)
        applied = {path for path, _, _ in outcome.applied}
        done = [r for r in records if r.path not in failed or r.path in applied]
        return outcome.report(), done, outcome.applied

    def redo(self, applied: Sequence[Applied]) -> tuple[UndoReport, list[Applied]]:
        """Takes an undo back where nobody changed its results since."""
        outcome = _Outcome()
        plans: list[_Plan] = []
        for path, before, after in applied:
            now = self._look(path)
            if now == before:
                continue
            if now != after:
                outcome.conflicts.append(Conflict(path, "It was changed after the undo."))
                continue
            plans.append(_Plan(path, now, before, False))
        self._apply(plans, outcome)
        return outcome.report(), outcome.applied

    def _look(self, path: str) -> State:
        try:
            return look(self._workspace, path, self._blobs, self._limit_bytes)
        except WorkspaceError:
            return State("other")

    def _plan(self, path: str, chain: list[Record], outcome: _Outcome) -> _Plan | None:
        """What the path should hold: each record in turn replaced by what was before it."""
        now = here = self._look(path)
        merged = False
        for record in reversed(chain):
            if here == record.after:
                here = record.before
            elif here == record.before:
                continue
            else:
                mixed = self._mixed(here, record)
                if mixed is None:
                    reason = "It was changed after the agent changed it."
                    outcome.conflicts.append(Conflict(path, reason))
                    return None
                here, merged = mixed, True
        if not here.is_known:
            outcome.not_covered.append(path)
            return None
        if here == now:
            return None
        return _Plan(path, now, here, merged)

    def _mixed(self, here: State, record: Record) -> State | None:
        """A file changed by both: the agent's part is taken out, line by line."""
        before, after = record.before, record.after
        if not (here.kind == before.kind == after.kind == "file"):
            return None
        mode = before.mode if here.mode == after.mode else here.mode
        if here.digest == after.digest:
            return State("file", before.digest, mode, "", before.size_bytes)
        if before.digest == after.digest:
            return State("file", here.digest, mode, "", here.size_bytes)
        texts = [
            self._blobs.get(state.digest) if state.digest else None
            for state in (after, here, before)
        ]
        base, mine, theirs = texts
        if base is None or mine is None or theirs is None:
            return None
        data = merge(base, mine, theirs)
        if data is None:
            return None
        return State("file", self._blobs.put(data), mode, "", len(data))

    def _apply(self, plans: list[_Plan], outcome: _Outcome) -> None:
        self._blobs.flush()
        for plan in plans:  # a directory the agent made read-only must open first
            if plan.now.kind == "directory" and plan.now.mode & 0o700 != 0o700:
                with suppress(OSError, WorkspaceError):
                    self._workspace.set_mode(plan.path, plan.now.mode | 0o700)
        goes = [p for p in plans if p.wanted.kind != p.now.kind and p.now != ABSENT]
        stays = [p for p in plans if p.wanted != ABSENT]
        for plan in sorted(goes, key=lambda p: p.path.count("/"), reverse=True):
            if not self._take_away(plan, outcome):
                stays = [other for other in stays if other is not plan]
        for plan in sorted(stays, key=lambda p: (p.wanted.kind != "directory", p.path.count("/"))):
            self._put_back(plan, outcome)
        for plan in sorted(stays, key=lambda p: p.path.count("/"), reverse=True):
            if plan.wanted.kind == "directory":
                with suppress(OSError, WorkspaceError):
                    self._workspace.set_mode(plan.path, plan.wanted.mode)

    def _take_away(self, plan: _Plan, outcome: _Outcome) -> bool:
        try:
            if plan.now.kind != "directory" and self._look(plan.path) != plan.now:
                raise WorkspaceError("It changed just now.")
            self._workspace.remove(plan.path)
        except (OSError, WorkspaceError) as error:
            if plan.now.kind != "directory" or plan.wanted != ABSENT:
                outcome.conflicts.append(Conflict(plan.path, str(error)))
            return False  # a directory that holds other files by now simply stays
        if plan.wanted == ABSENT:
            outcome.deleted.append(plan.path)
            outcome.applied.append((plan.path, plan.now, ABSENT))
        return True

    def _put_back(self, plan: _Plan, outcome: _Outcome) -> None:
        wanted = plan.wanted
        try:
            if wanted.kind == "directory":
                self._workspace.make_directories(plan.path, any_name=True)
            elif wanted.kind == "link":
                self._workspace.make_directories(plan.path.rpartition("/")[0], any_name=True)
                if plan.now.kind == "link":
                    self._workspace.remove(plan.path)
                self._workspace.make_link(plan.path, wanted.target)
            elif not self._write_file(plan):
                outcome.not_covered.append(plan.path)
                return
        except (OSError, WorkspaceError) as error:
            outcome.conflicts.append(Conflict(plan.path, str(error)))
            return
        (outcome.merged if plan.merged else outcome.restored).append(plan.path)
        outcome.applied.append((plan.path, plan.now, wanted))

    def _write_file(self, plan: _Plan) -> bool:
        wanted = plan.wanted
        if plan.now.kind == "file" and plan.now.digest == wanted.digest:
            self._workspace.set_mode(plan.path, wanted.mode)
            return True
        data = self._blobs.get(wanted.digest) if wanted.digest else None
        if data is None:
            return False
        if plan.now.kind == "file" and self._look(plan.path) != plan.now:
            raise WorkspaceError("It changed just now.")
        self._workspace.write_bytes(plan.path, data, wanted.mode, any_name=True)
        return True
