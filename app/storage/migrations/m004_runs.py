"""Version 4: agent runs, entry by entry."""

from __future__ import annotations

import sqlite3

_STATEMENTS = (
    """CREATE TABLE runs (
        run_id TEXT PRIMARY KEY,
        workspace TEXT NOT NULL,
        model TEXT NOT NULL,
        mode TEXT NOT NULL,
        task TEXT NOT NULL,
        status TEXT,
        started_at REAL NOT NULL,
        ended_at REAL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX runs_by_workspace ON runs(workspace, started_at)",
    """CREATE TABLE run_entries (
        run_id TEXT NOT NULL REFERENCES runs(run_id) ON DELETE CASCADE,
        number INTEGER NOT NULL,
        entry TEXT NOT NULL,
        PRIMARY KEY (run_id, number)
    ) STRICT, WITHOUT ROWID""",
)


def upgrade(connection: sqlite3.Connection) -> None:
    for statement in _STATEMENTS:
        connection.execute(statement)
