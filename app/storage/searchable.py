"""What of a message can be searched, and keeping the index in step."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from app.core.messages import AttachmentPart, Part, TextPart, ThinkingPart, ToolCallPart
from app.storage.rows import clean

MAX_INDEXED_CHARS = 200_000  # of one message; indexing takes about 0.25 s per million


def searchable_text(parts: Iterable[Part]) -> str:
    """All words of a message. Two line ends close it, so that its last two characters are the
    beginning of a trigram too and short queries find them."""
    found: list[str] = []
    for part in parts:
        match part:
            case TextPart(text) | ThinkingPart(text):
                found.append(text)
            case AttachmentPart(name=name, text=text):
                found.extend((name, text))
            case ToolCallPart(name=name, arguments=arguments):
                found.extend((name, arguments))
            case _:
                found.append(part.text)
    text = clean("\n".join(piece for piece in found if piece)[:MAX_INDEXED_CHARS])
    return f"{text}\n\n" if text else ""


def index_message(connection: sqlite3.Connection, message_id: int, parts: Iterable[Part]) -> None:
    """Brings the index up to date with a finished message; triggers feed the FTS table."""
    text = searchable_text(parts)
    if not text:
        connection.execute("DELETE FROM message_text WHERE message_id = ?", (message_id,))
        return
    connection.execute(
        "INSERT INTO message_text (message_id, text) VALUES (?, ?)"
        " ON CONFLICT (message_id) DO UPDATE SET text = excluded.text",
        (message_id, text),
    )
