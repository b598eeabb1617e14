"""Version 5: titles in a trigram index too; folding 5,000 of them per query took 25 ms."""

from __future__ import annotations

import sqlite3

_STATEMENTS = (
    """CREATE VIRTUAL TABLE title_search USING fts5(
        title, content='chats', content_rowid='id', tokenize='trigram'
    )""",
    """CREATE TRIGGER chat_title_added AFTER INSERT ON chats BEGIN
        INSERT INTO title_search (rowid, title) VALUES (new.id, new.title);
    END""",
    """CREATE TRIGGER chat_title_removed AFTER DELETE ON chats BEGIN
        INSERT INTO title_search (title_search, rowid, title)
        VALUES ('delete', old.id, old.title);
    END""",
    """CREATE TRIGGER chat_title_changed AFTER UPDATE OF title ON chats BEGIN
        INSERT INTO title_search (title_search, rowid, title)
        VALUES ('delete', old.id, old.title);
        INSERT INTO title_search (rowid, title) VALUES (new.id, new.title);
    END""",
    "INSERT INTO title_search (title_search) VALUES ('rebuild')",
)


def upgrade(connection: sqlite3.Connection) -> None:
    for statement in _STATEMENTS:
        connection.execute(statement)
