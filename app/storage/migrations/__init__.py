"""The schema, step by step. Steps are append-only: a released one is never edited."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from app.core.errors import StorageError
from app.storage.migrations.m001_chats import upgrade as m001_chats
from app.storage.migrations.m002_search import upgrade as m002_search
from app.storage.migrations.m003_order import upgrade as m003_order
from app.storage.migrations.m004_runs import upgrade as m004_runs
from app.storage.migrations.m005_titles import upgrade as m005_titles
from app.storage.migrations.m006_context import upgrade as m006_context
from app.storage.migrations.m007_lists import upgrade as m007_lists

STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    m001_chats,
    m002_search,
    m003_order,
    m004_runs,
    m005_titles,
    m006_context,
    m007_lists,
)
"""Step n brings the schema from version n-1 to n (`PRAGMA user_version`)."""

APPLICATION_ID = 0x47415252  # "GARR": lets `file` and our own check tell the database apart


def schema_version(connection: sqlite3.Connection) -> int:
    """How many steps this file has seen."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, to: int | None = None) -> None:
    """Brings the file to version `to` (the newest by default), each step in one transaction.

    Raises:
        StorageError: the file is from a newer Garret.
    """
    target = len(STEPS) if to is None else to
    version = schema_version(connection)
    if version > len(STEPS):
        raise StorageError(
            "The chats were written by a newer version of Garret.",
            "Update Garret to open them.",
            found=version,
            known=len(STEPS),
        )
    for number in range(version + 1, target + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            STEPS[number - 1](connection)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("COMMIT")
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
