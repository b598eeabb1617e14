"""Version 2: full-text search by trigrams, which finds code, parts of words and CJK alike."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

_STATEMENTS = (
    """CREATE TABLE message_text (
        message_id INTEGER PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE,
        text TEXT NOT NULL
    ) STRICT""",
    """CREATE VIRTUAL TABLE message_search USING fts5(
        text, content='message_text', content_rowid='message_id', tokenize='trigram'
    )""",
    "CREATE VIRTUAL TABLE message_terms USING fts5vocab(message_search, 'row')",
    """CREATE TRIGGER message_text_added AFTER INSERT ON message_text BEGIN
        INSERT INTO message_search (rowid, text) VALUES (new.message_id, new.text);
    END""",
    """CREATE TRIGGER message_text_removed AFTER DELETE ON message_text BEGIN
        INSERT INTO message_search (message_search, rowid, text)
        VALUES ('delete', old.message_id, old.text);
    END""",
    """CREATE TRIGGER message_text_changed AFTER UPDATE ON message_text BEGIN
        INSERT INTO message_search (message_search, rowid, text)
        VALUES ('delete', old.message_id, old.text);
        INSERT INTO message_search (rowid, text) VALUES (new.message_id, new.text);
    END""",
)

_MAX_CHARS = 200_000


def upgrade(connection: sqlite3.Connection) -> None:
    for statement in _STATEMENTS:
        connection.execute(statement)
    rows = connection.execute("SELECT id, parts FROM messages WHERE state != 'streaming'")
    for message_id, parts in rows.fetchall():
        text = _text_of(json.loads(parts))
        if text:
            connection.execute("INSERT INTO message_text VALUES (?, ?)", (message_id, text))


def _text_of(parts: list[Any]) -> str:
    """As version 2 saw it: later versions of the live code may read parts differently."""
    found: list[str] = []
    for part in parts:
        for key in ("name", "text", "arguments"):
            value = part.get(key) if isinstance(part, dict) else None
            if isinstance(value, str) and value:
                found.append(value)
    text = "\n".join(found)[:_MAX_CHARS]
    return f"{text}\n\n" if text else ""
