"""Agent runs as they happen (`app.core.ports.RunRecords`), so that a crash loses nothing."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Any

from app.core.ports import RunHead
from app.storage.database import Database
from app.storage.rows import clean, to_json

_HEAD = "run_id, workspace, model, mode, task, started_at"


class RunStore:
    """Runs and their entries; the agent alone knows what an entry means."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._db = database
        self._clock = clock

    async def begin(self, head: RunHead) -> None:
        """Notes a new run; a run_id is never used twice."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO runs (run_id, workspace, model, mode, task, started_at)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    head.run_id,
                    head.workspace,
                    head.model,
                    head.mode,
                    clean(head.task),
                    head.started_at,
                ),
            )

        await self._db.write(job)

    async def append(self, run_id: str, entry: Mapping[str, Any]) -> None:
        """Adds one entry; on the disk when this returns.

        Raises: StorageError.
        """
        text = to_json(entry)

        def job(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO run_entries (run_id, number, entry) SELECT ?,"
                " coalesce(max(number), 0) + 1, ? FROM run_entries WHERE run_id = ?",
                (run_id, text, run_id),
            )

        await self._db.write(job)

    async def end(self, run_id: str, status: str) -> None:
        """Marks the run as over: "done", "stopped" or "failed"."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute(
                "UPDATE runs SET status = ?, ended_at = ? WHERE run_id = ?",
                (status, self._clock(), run_id),
            )

        await self._db.write(job)

    async def head(self, run_id: str) -> RunHead | None:
        """The run's head; None for an unknown id."""
        found = await self._heads("run_id = ?", (run_id,), 1)
        return found[0] if found else None

    async def status(self, run_id: str) -> str | None:
        """How the run ended; None while it has not."""

        def job(connection: sqlite3.Connection) -> str | None:
            row = connection.execute(
                "SELECT status FROM runs WHERE run_id = ?", (run_id,)
            ).fetchone()
            return row["status"] if row is not None else None

        return await self._db.read(job)

    async def entries(self, run_id: str) -> list[dict[str, Any]]:
        """All entries in order; empty for an unknown id."""

        def job(connection: sqlite3.Connection) -> list[dict[str, Any]]:
            rows = connection.execute(
                "SELECT entry FROM run_entries WHERE run_id = ? ORDER BY number", (run_id,)
            )
            return [json.loads(row["entry"]) for row in rows]

        return await self._db.read(job)

    async def unfinished(self, workspace: str) -> list[RunHead]:
        """Runs in this folder that never ended, newest first."""
        return await self._heads("workspace = ? AND status IS NULL", (workspace,), -1)

    async def recent(self, workspace: str | None = None, limit: int = 50) -> list[RunHead]:
        """The latest runs, in one folder or (None) anywhere, newest first."""
        return await self._heads("? IS NULL OR workspace = ?", (workspace, workspace), limit)

    async def delete(self, run_id: str) -> None:
        """Removes a run with its entries, for good."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM runs WHERE run_id = ?", (run_id,))

        await self._db.write(job)

    async def _heads(self, where: str, values: tuple[Any, ...], limit: int) -> list[RunHead]:
        sql = f"SELECT {_HEAD} FROM runs WHERE {where} ORDER BY started_at DESC LIMIT ?"  # noqa: S608

        def job(connection: sqlite3.Connection) -> list[RunHead]:
            return [RunHead(*row) for row in connection.execute(sql, (*values, limit))]

        return await self._db.read(job)
