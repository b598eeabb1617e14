"""What each run changed, one JSON line a change, on disk before the change is made."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.agent.undo.state import State

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, slots=True)
class Record:
    """One path one call changed."""

    number: int
    turn: int
    call_id: str
    path: str
    before: State
    after: State


@dataclass(frozen=True, slots=True)
class Undone:
    """One undo: the records it took back and what it did to the disk, for redo."""

    number: int
    records: tuple[int, ...]
    applied: tuple[tuple[str, State, State], ...]


class Journal:
    """The records of one run; reopened, it continues where it stopped."""

    def __init__(self, folder: Path, run_id: str) -> None:
        if not _SAFE_NAME.fullmatch(run_id):
            raise ValueError(f"not a run id: {run_id!r}")
        self.run_id = run_id
        self._path = folder / f"{run_id}.jsonl"
        self.records: list[Record] = []
        self.undone: list[Undone] = []
        self._next = 1
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for item in self._lines():
            self._take_in(item)

    def _lines(self) -> Iterator[dict[str, Any]]:
        try:
            lines = self._path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return
        for line in lines:
            with suppress(ValueError):  # the last line of a killed process may be torn
                item = json.loads(line)
                if isinstance(item, dict):
                    yield item

    def _take_in(self, item: dict[str, Any]) -> None:
        try:
            number = int(item["n"])
            if item["op"] == "change":
                self.records.append(
                    Record(
                        number,
                        int(item["turn"]),
                        str(item["call"]),
                        _path_in(item["path"]),
                        State.from_json(item["before"]),
                        State.from_json(item["after"]),
                    )
                )
            elif item["op"] == "undo":
                applied = tuple(
                    (_path_in(path), State.from_json(before), State.from_json(after))
                    for path, before, after in item["applied"]
                )
                self.undone.append(Undone(number, tuple(item["records"]), applied))
            elif item["op"] == "redo":
                self.undone = [one for one in self.undone if one.number != item["undo"]]
        except (KeyError, TypeError, ValueError):
            return
        self._next = max(self._next, number + 1)

    def add(self, turn: int, call_id: str, changes: list[tuple[str, State, State]]) -> None:
        """Writes down changes, durably, before (own tools) or after (commands) they happen."""
        items = [
            {
                "op": "change",
                "n": self._next + offset,
                "turn": turn,
                "call": call_id,
                "path": path,
                "before": before.to_json(),
                "after": after.to_json(),
            }
            for offset, (path, before, after) in enumerate(changes)
        ]
        self._write(items)

    def add_undo(self, records: list[Record], applied: list[tuple[str, State, State]]) -> None:
        """Writes down that records were taken back."""
        self._write(
            [
                {
                    "op": "undo",
                    "n": self._next,
                    "records": [record.number for record in records],
                    "applied": [
                        [path, before.to_json(), after.to_json()] for path, before, after in applied
                    ],
                }
            ]
        )

    def add_redo(self, undone: Undone) -> None:
        """Writes down that an undo was taken back."""
        self._write([{"op": "redo", "n": self._next, "undo": undone.number}])

    def _write(self, items: list[dict[str, Any]]) -> None:
        if not items:
            return
        text = "".join(json.dumps(item) + "\n" for item in items)
        with self._path.open("a", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        for item in items:
            self._take_in(json.loads(json.dumps(item)))

    def active(self) -> list[Record]:
        """The records that are not taken back, oldest first."""
        gone = {number for undone in self.undone for number in undone.records}
        return [record for record in self.records if record.number not in gone]

    def digests(self) -> set[str]:
        """Every content this run may need."""
        states = [s for r in self.records for s in (r.before, r.after)]
        states += [s for u in self.undone for _, a, b in u.applied for s in (a, b)]
        return {state.digest for state in states if state.digest is not None}


def _path_in(path: Any) -> str:
    """Raises ValueError for what cannot be a path in the folder."""
    if not isinstance(path, str) or not path:
        raise ValueError("no path")
    if any(part in ("", ".", "..") for part in path.split("/")):
        raise ValueError("not a path in the folder")
    return path
