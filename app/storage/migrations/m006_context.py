"""Version 6: where the part of a branch that the model still reads begins."""

from __future__ import annotations

import sqlite3


def upgrade(connection: sqlite3.Connection) -> None:
    connection.execute(
        """CREATE TABLE context_starts (
            message_id INTEGER PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE,
            summary TEXT NOT NULL DEFAULT ''
        ) STRICT"""
    )
