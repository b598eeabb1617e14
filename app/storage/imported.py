"""Chats from elsewhere, in one neutral form, and how they get into the database."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.core.messages import Message
from app.storage.chats import name_chat
from app.storage.database import Database
from app.storage.rows import clean, parts_to_text, to_json
from app.storage.searchable import index_message
from app.storage.values import AnswerDetails, MessageState


@dataclass(frozen=True, slots=True)
class ImportedMessage:
    """`key` and `parent` are any strings unique in the chat; a parent comes before its child."""

    key: str
    parent: str | None
    message: Message
    created_at: float | None = None
    state: MessageState = "complete"
    details: AnswerDetails = field(default_factory=AnswerDetails)
    context_summary: str | None = None


@dataclass(frozen=True, slots=True)
class ImportedChat:
    """A chat to add. `uid` is the same each time the same chat is read."""

    uid: str
    title: str
    messages: Sequence[ImportedMessage]
    active: str | None = None
    model: str = ""
    system_prompt: str = ""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    pinned: bool = False
    archived: bool = False
    tags: Sequence[str] = ()
    created_at: float | None = None
    updated_at: float | None = None


@dataclass(frozen=True, slots=True)
class ImportReport:
    """`known` chats were here already and are left as they are; `unreadable` were skipped."""

    added: int = 0
    known: int = 0
    unreadable: int = 0
    messages: int = 0


class ChatImporter:
    """Adds imported chats; each in one transaction."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._db = database
        self._clock = clock

    async def add(self, chats: Sequence[ImportedChat], unreadable: int = 0) -> ImportReport:
        """Adds those whose uid is not here yet.

        Raises: StorageError, StorageFull; the chats added before stay.
        """
        added = known = messages = 0
        for chat in chats:
            count = await self._db.write(lambda connection, chat=chat: self._put(connection, chat))  # type: ignore[misc]
            if count is None:
                known += 1
            else:
                added += 1
                messages += count
        return ImportReport(added, known, unreadable, messages)

    def _put(self, connection: sqlite3.Connection, chat: ImportedChat) -> int | None:
        uid = clean(chat.uid) or uuid.uuid4().hex
        if connection.execute("SELECT 1 FROM chats WHERE uid = ?", (uid,)).fetchone():
            return None
        now = self._clock()
        created = chat.created_at if chat.created_at is not None else now
        updated = chat.updated_at if chat.updated_at is not None else created
        chat_id = connection.execute(
            "INSERT INTO chats (uid, title, title_is_custom, model, system_prompt, sampling,"
            " pinned, archived, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            " RETURNING id",
            (
                uid,
                clean(chat.title),
                int(bool(chat.title)),
                clean(chat.model),
                clean(chat.system_prompt),
                to_json(chat.sampling),
                int(chat.pinned),
                int(chat.archived),
                created,
                updated,
            ),
        ).fetchone()["id"]
        connection.executemany(
            "INSERT OR IGNORE INTO chat_tags (chat_id, tag) VALUES (?, ?)",
            [(chat_id, clean(tag)) for tag in chat.tags],
        )
        ids: dict[str | None, int | None] = {None: None}
        for message in chat.messages:
            ids[message.key] = self._put_message(connection, chat_id, message, ids, created)
        leaf = ids.get(chat.active) or max((i for i in ids.values() if i), default=None)
        connection.execute("UPDATE chats SET active_leaf = ? WHERE id = ?", (leaf, chat_id))
        return len(ids) - 1

    def _put_message(
        self,
        connection: sqlite3.Connection,
        chat_id: int,
        item: ImportedMessage,
        ids: Mapping[str | None, int | None],
        created: float,
    ) -> int:
        message_id = int(
            connection.execute(
                "INSERT INTO messages (chat_id, parent_id, role, state, parts, details,"
                " created_at) VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (
                    chat_id,
                    ids.get(item.parent),
                    item.message.role,
                    item.state,
                    parts_to_text(item.message.parts),
                    to_json(item.details.to_json()),
                    item.created_at if item.created_at is not None else created,
                ),
            ).fetchone()["id"]
        )
        index_message(connection, message_id, item.message.parts)
        if item.context_summary is not None:
            connection.execute(
                "INSERT INTO context_starts VALUES (?, ?)",
                (message_id, clean(item.context_summary)),
            )
        if item.message.role == "user":
            name_chat(connection, chat_id, item.message.text)
        return message_id
