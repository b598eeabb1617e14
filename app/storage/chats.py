"""The chats: list, make, change, trash with undo, duplicate."""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from app.core.errors import StorageError
from app.storage.database import Database
from app.storage.rows import CHAT_COLUMNS, chat_from_row, clean, parts_from_text, to_json
from app.storage.searchable import index_message
from app.storage.titles import title_from
from app.storage.values import Chat, ChatPlace

TRASH_DAYS = 30

_PLACES: dict[ChatPlace, str] = {
    "active": "trashed_at IS NULL AND archived = 0",
    "archived": "trashed_at IS NULL AND archived = 1",
    "trash": "trashed_at IS NOT NULL",
}
_EDITABLE = frozenset(
    {"title", "model", "system_prompt", "sampling", "draft", "pinned", "archived", "folder_id"}
)
_SILENT = frozenset(
    {"draft", "pinned", "archived", "folder_id"}
)  # no new activity: the order stays


class ChatStore:
    """Chats without their messages. `on_purged` is told the uids of chats deleted for good, in a
    thread of its own."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._db = database
        self._clock = clock
        self.on_purged: Callable[[Sequence[str]], object] = lambda _uids: None

    async def list(
        self,
        place: ChatPlace = "active",
        *,
        folder_id: int | None = None,
        tag: str | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[Chat]:
        """Pinned first, then the most recently used; None for folder or tag means any."""
        order = "trashed_at DESC" if place == "trash" else "pinned DESC, updated_at DESC, id DESC"
        sql = (
            f"SELECT {CHAT_COLUMNS} FROM chats WHERE {_PLACES[place]}"  # noqa: S608
            " AND (:folder IS NULL OR folder_id = :folder)"
            " AND (:tag IS NULL OR EXISTS"
            " (SELECT 1 FROM chat_tags WHERE chat_id = chats.id AND tag = :tag))"
            f" ORDER BY {order} LIMIT :limit OFFSET :offset"
        )
        values = {
            "folder": folder_id,
            "tag": tag,
            "limit": -1 if limit is None else limit,
            "offset": offset,
        }

        def job(connection: sqlite3.Connection) -> list[Chat]:
            return [chat_from_row(row) for row in connection.execute(sql, values)]

        return await self._db.read(job)

    async def get(self, chat_id: int) -> Chat:
        """Raises: StorageError when there is no such chat."""
        return await self._db.read(lambda connection: load_chat(connection, chat_id))

    async def create(
        self,
        *,
        title: str = "",
        model: str = "",
        system_prompt: str = "",
        sampling: Mapping[str, float | int] | None = None,
    ) -> Chat:
        """A new, empty chat; without a title it takes one from its first message."""

        def job(connection: sqlite3.Connection) -> Chat:
            now = self._clock()
            row = connection.execute(
                "INSERT INTO chats (uid, title, title_is_custom, model, system_prompt, sampling,"
                " created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
                (
                    uuid.uuid4().hex,
                    clean(title),
                    int(bool(title)),
                    model,
                    clean(system_prompt),
                    to_json(sampling or {}),
                    now,
                    now,
                ),
            ).fetchone()
            return load_chat(connection, row["id"])

        return await self._db.write(job)

    async def update(self, chat_id: int, **changes: Any) -> Chat:
        """Sets title, model, system_prompt, sampling, draft, pinned, archived or folder_id."""
        unknown = changes.keys() - _EDITABLE
        if unknown:
            raise TypeError(f"not a field of a chat: {sorted(unknown)}")
        values = {k: clean(v) if isinstance(v, str) else v for k, v in changes.items()}
        if "sampling" in values:
            values["sampling"] = to_json(values["sampling"])
        for flag in ("pinned", "archived"):
            if flag in values:
                values[flag] = int(bool(values[flag]))
        if "title" in values:
            values["title_is_custom"] = 1
        if not changes.keys() <= _SILENT:
            values["updated_at"] = self._clock()

        def job(connection: sqlite3.Connection) -> Chat:
            if values:
                names = ", ".join(f"{name} = ?" for name in values)
                connection.execute(
                    f"UPDATE chats SET {names} WHERE id = ?",  # noqa: S608
                    (*values.values(), chat_id),
                )
            return load_chat(connection, chat_id)

        return await self._db.write(job)

    async def trash(self, chat_id: int) -> Chat:
        """Moves the chat to the trash, where it stays for TRASH_DAYS; `restore` undoes it."""
        return await self._set_trashed(chat_id, self._clock())

    async def restore(self, chat_id: int) -> Chat:
        """Takes the chat out of the trash again."""
        return await self._set_trashed(chat_id, None)

    async def purge(self, *, older_than_s: float = TRASH_DAYS * 86_400.0) -> int:
        """Deletes for good what has been in the trash longer; 0 empties it. Says how many."""
        limit = self._clock() - older_than_s

        def job(connection: sqlite3.Connection) -> list[str]:
            rows = connection.execute(
                "DELETE FROM chats WHERE trashed_at IS NOT NULL AND trashed_at <= ? RETURNING uid",
                (limit,),
            ).fetchall()
            return [str(row[0]) for row in rows]

        gone = await self._db.write(job)
        if gone:
            await asyncio.to_thread(self.on_purged, gone)
        return len(gone)

    async def uids(self) -> frozenset[str]:
        """Every chat there is, the trash included."""

        def job(connection: sqlite3.Connection) -> frozenset[str]:
            return frozenset(str(row[0]) for row in connection.execute("SELECT uid FROM chats"))

        return await self._db.read(job)

    async def duplicate(self, chat_id: int, *, upto_message: int | None = None) -> Chat:
        """A copy with all branches, or only the path to `upto_message`: a branch as a new chat."""

        def job(connection: sqlite3.Connection) -> Chat:
            return copy_chat(connection, chat_id, upto_message, self._clock())

        return await self._db.write(job)

    async def _set_trashed(self, chat_id: int, when: float | None) -> Chat:
        def job(connection: sqlite3.Connection) -> Chat:
            connection.execute("UPDATE chats SET trashed_at = ? WHERE id = ?", (when, chat_id))
            return load_chat(connection, chat_id)

        return await self._db.write(job)


def load_chat(connection: sqlite3.Connection, chat_id: int) -> Chat:
    row = connection.execute(
        f"SELECT {CHAT_COLUMNS} FROM chats WHERE id = ?",  # noqa: S608
        (chat_id,),
    ).fetchone()
    if row is None:
        raise StorageError("This chat no longer exists.", "Choose another one.", chat_id=chat_id)
    return chat_from_row(row)


def touch_chat(
    connection: sqlite3.Connection, chat_id: int, now: float, active_leaf: int | None = None
) -> None:
    """Marks activity, and where the visible branch ends."""
    connection.execute(
        "UPDATE chats SET updated_at = ?, active_leaf = coalesce(?, active_leaf) WHERE id = ?",
        (now, active_leaf, chat_id),
    )


def name_chat(connection: sqlite3.Connection, chat_id: int, text: str) -> None:
    """Titles a chat by its first words, unless it has a title."""
    connection.execute(
        "UPDATE chats SET title = ? WHERE id = ? AND title = ''", (title_from(text), chat_id)
    )


def copy_chat(
    connection: sqlite3.Connection, chat_id: int, upto_message: int | None, now: float
) -> Chat:
    """Copies a chat with its whole tree, or only with the path to one message."""
    source = load_chat(connection, chat_id)
    new_id = connection.execute(
        "INSERT INTO chats (uid, title, title_is_custom, model, system_prompt, sampling,"
        " folder_id, created_at, updated_at) SELECT ?, ?, title_is_custom, model, system_prompt,"
        " sampling, folder_id, ?, ? FROM chats WHERE id = ? RETURNING id",
        (uuid.uuid4().hex, f"{source.title} (copy)".strip(), now, now, chat_id),
    ).fetchone()["id"]
    connection.execute(
        "INSERT INTO chat_tags SELECT ?, tag FROM chat_tags WHERE chat_id = ?", (new_id, chat_id)
    )
    wanted: set[int] | None = None
    if upto_message is not None:
        wanted = {
            row["id"]
            for row in connection.execute(
                "WITH RECURSIVE up(id, parent_id) AS (SELECT id, parent_id FROM messages"
                " WHERE id = ? AND chat_id = ? UNION ALL SELECT m.id, m.parent_id FROM messages m"
                " JOIN up ON m.id = up.parent_id) SELECT id FROM up",
                (upto_message, chat_id),
            )
        }
    new_ids: dict[int | None, int | None] = {None: None}
    for row in connection.execute(
        "SELECT id, parent_id, role, state, parts, details, created_at FROM messages"
        " WHERE chat_id = ? AND state != 'streaming' AND hidden_at IS NULL"
        " ORDER BY id",
        (chat_id,),
    ).fetchall():
        if (wanted is not None and row["id"] not in wanted) or row["parent_id"] not in new_ids:
            continue
        new_message = new_ids[row["id"]] = connection.execute(
            "INSERT INTO messages (chat_id, parent_id, role, state, parts, details, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (new_id, new_ids[row["parent_id"]], *tuple(row)[2:]),
        ).fetchone()["id"]
        index_message(connection, new_message, parts_from_text(row["parts"]))
        connection.execute(
            "INSERT INTO context_starts SELECT ?, summary FROM context_starts WHERE message_id = ?",
            (new_message, row["id"]),
        )
    leaf = upto_message if upto_message is not None else source.active_leaf
    connection.execute(
        "UPDATE chats SET active_leaf = ? WHERE id = ?",
        (new_ids.get(leaf) or max((i for i in new_ids.values() if i), default=None), new_id),
    )
    return load_chat(connection, new_id)
