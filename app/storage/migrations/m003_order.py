"""Version 3: folders, tags, hidden messages, queued messages and the prompt library."""

from __future__ import annotations

import sqlite3

_STATEMENTS = (
    """CREATE TABLE folders (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE
    ) STRICT""",
    "ALTER TABLE chats ADD COLUMN folder_id INTEGER REFERENCES folders(id) ON DELETE SET NULL",
    "CREATE INDEX chats_by_folder ON chats(folder_id)",
    """CREATE TABLE chat_tags (
        chat_id INTEGER NOT NULL REFERENCES chats(id) ON DELETE CASCADE,
        tag TEXT NOT NULL,
        PRIMARY KEY (chat_id, tag)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX chat_tags_by_tag ON chat_tags(tag)",
    "ALTER TABLE messages ADD COLUMN hidden_at REAL",
    """CREATE TABLE queued_messages (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        chat_id INTEGER NOT NULL REFERENCES chats(id) ON DELETE CASCADE,
        parts TEXT NOT NULL,
        created_at REAL NOT NULL
    ) STRICT""",
    "CREATE INDEX queued_by_chat ON queued_messages(chat_id, id)",
    """CREATE TABLE prompts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        description TEXT NOT NULL DEFAULT '',
        text TEXT NOT NULL,
        updated_at REAL NOT NULL
    ) STRICT""",
)


def upgrade(connection: sqlite3.Connection) -> None:
    for statement in _STATEMENTS:
        connection.execute(statement)
