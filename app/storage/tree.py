"""Messages as a tree: add, write on, walk the visible branch, switch between siblings."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Sequence

from app.core.errors import StorageError
from app.core.messages import Message, Part
from app.storage.chats import load_chat, name_chat, touch_chat
from app.storage.database import Database
from app.storage.rows import MESSAGE_COLUMNS, clean, message_from_row, parts_to_text, to_json
from app.storage.searchable import index_message
from app.storage.values import AnswerDetails, MessageState, StoredMessage


class MessageTree:
    """The messages of all chats. Nothing is overwritten: edits and retries become siblings."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._db = database
        self._clock = clock

    async def branch(self, chat_id: int) -> list[StoredMessage]:
        """The visible branch, oldest first."""
        return await self._db.read(lambda connection: load_branch(connection, chat_id))

    async def get(self, message_id: int) -> StoredMessage:
        """Raises: StorageError when there is no such message."""
        return await self._db.read(lambda connection: load_message(connection, message_id))

    async def all(self, chat_id: int) -> list[StoredMessage]:
        """Every message on every branch, in order of age."""
        return await self._db.read(lambda connection: load_tree(connection, chat_id))

    async def add(
        self,
        chat_id: int,
        parent_id: int | None,
        message: Message,
        *,
        state: MessageState = "complete",
        details: AnswerDetails | None = None,
    ) -> StoredMessage:
        """Adds a message under `parent_id` (None: a first message) and shows its branch.

        The chat takes its title from the first words of its first user message.
        """

        def job(connection: sqlite3.Connection) -> StoredMessage:
            return insert_message(
                connection, chat_id, parent_id, message, state, details, self._clock()
            )

        return await self._db.write(job)

    async def ask(
        self,
        chat_id: int,
        parent_id: int | None,
        question: Message,
        details: AnswerDetails,
        queued_id: int | None = None,
    ) -> tuple[StoredMessage, StoredMessage]:
        """Adds a question and the empty answer to stream into, in one transaction.

        `queued_id` is the queued message this question was until now; it leaves the queue.
        """

        def job(connection: sqlite3.Connection) -> tuple[StoredMessage, StoredMessage]:
            now = self._clock()
            asked = insert_message(connection, chat_id, parent_id, question, "complete", None, now)
            answer = insert_message(
                connection,
                chat_id,
                asked.id,
                Message("assistant", ()),
                "streaming",
                details,
                now,
            )
            if queued_id is None:
                connection.execute("UPDATE chats SET draft = '' WHERE id = ?", (chat_id,))
            else:
                connection.execute("DELETE FROM queued_messages WHERE id = ?", (queued_id,))
            return asked, answer

        return await self._db.write(job)

    async def rewrite(
        self,
        message_id: int,
        parts: Sequence[Part],
        *,
        state: MessageState,
        details: AnswerDetails,
    ) -> None:
        """Writes how far an answer has come; the last call sets its final state."""
        stored = parts_to_text(parts)

        def job(connection: sqlite3.Connection) -> None:
            row = connection.execute(
                "UPDATE messages SET parts = ?, state = ?, details = ? WHERE id = ?"
                " RETURNING chat_id",
                (stored, state, to_json(details.to_json()), message_id),
            ).fetchone()
            if row is not None and state != "streaming":
                index_message(connection, message_id, parts)
                touch_chat(connection, row["chat_id"], self._clock())

        await self._db.write(job)

    async def path(self, message_id: int) -> list[StoredMessage]:
        """From the first message down to this one."""
        return await self._db.read(lambda connection: load_path(connection, message_id))

    async def peek(self, message_id: int) -> list[StoredMessage]:
        """The branch `show` would switch to, without switching."""

        def job(connection: sqlite3.Connection) -> list[StoredMessage]:
            chat_id = load_message(connection, message_id).chat_id
            return load_path(connection, newest_leaf(connection, chat_id, message_id))

        return await self._db.read(job)

    async def show(self, message_id: int) -> list[StoredMessage]:
        """Switches to the branch through this message, down to its newest end; returns it.

        A message on the visible branch changes nothing: that is how a search hit is opened.
        """

        def job(connection: sqlite3.Connection) -> list[StoredMessage]:
            message = load_message(connection, message_id)
            branch = load_branch(connection, message.chat_id)
            if any(visible.id == message_id for visible in branch):
                return branch
            leaf = newest_leaf(connection, message.chat_id, message_id)
            connection.execute(
                "UPDATE chats SET active_leaf = ? WHERE id = ?", (leaf, message.chat_id)
            )
            return load_branch(connection, message.chat_id)

        return await self._db.write(job)

    async def branch_from(self, message_id: int) -> list[StoredMessage]:
        """Ends the visible branch at this message, so that the next one starts a new branch."""

        def job(connection: sqlite3.Connection) -> list[StoredMessage]:
            message = load_message(connection, message_id)
            connection.execute(
                "UPDATE chats SET active_leaf = ? WHERE id = ?", (message_id, message.chat_id)
            )
            return load_branch(connection, message.chat_id)

        return await self._db.write(job)

    async def start_context(self, message_id: int, summary: str | None) -> None:
        """Lets the model read the branches through this message only from here on, after the
        summary ("" for none); None takes that back."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM context_starts WHERE message_id = ?", (message_id,))
            if summary is not None:
                connection.execute(
                    "INSERT INTO context_starts VALUES (?, ?)", (message_id, clean(summary))
                )

        await self._db.write(job)

    async def hide(self, message_id: int) -> list[StoredMessage]:
        """Takes a message and what follows it out of sight; `unhide` undoes it.

        The branch shown afterwards goes through the newest sibling left, or ends at the parent.
        """

        def job(connection: sqlite3.Connection) -> list[StoredMessage]:
            message = load_message(connection, message_id)
            connection.execute(
                "WITH RECURSIVE down(id) AS (SELECT ? UNION ALL SELECT m.id FROM messages m"
                " JOIN down ON m.parent_id = down.id) UPDATE messages SET hidden_at = ?"
                " WHERE id IN (SELECT id FROM down) AND hidden_at IS NULL",
                (message_id, self._clock()),
            )
            rest = [sibling for sibling in message.sibling_ids if sibling != message_id]
            leaf = newest_leaf(connection, message.chat_id, rest[-1]) if rest else message.parent_id
            connection.execute(
                "UPDATE chats SET active_leaf = ? WHERE id = ?", (leaf, message.chat_id)
            )
            return load_branch(connection, message.chat_id)

        return await self._db.write(job)

    async def unhide(self, message_id: int) -> list[StoredMessage]:
        """Brings back what one `hide` of this message hid, and shows it."""

        def job(connection: sqlite3.Connection) -> list[StoredMessage]:
            message = load_message(connection, message_id)
            connection.execute(
                "UPDATE messages SET hidden_at = NULL WHERE chat_id = ? AND hidden_at ="
                " (SELECT hidden_at FROM messages WHERE id = ?)",
                (message.chat_id, message_id),
            )
            leaf = newest_leaf(connection, message.chat_id, message_id)
            connection.execute(
                "UPDATE chats SET active_leaf = ? WHERE id = ?", (leaf, message.chat_id)
            )
            return load_branch(connection, message.chat_id)

        return await self._db.write(job)


def insert_message(
    connection: sqlite3.Connection,
    chat_id: int,
    parent_id: int | None,
    message: Message,
    state: MessageState,
    details: AnswerDetails | None,
    now: float,
) -> StoredMessage:
    load_chat(connection, chat_id)
    if parent_id is not None and load_message(connection, parent_id).chat_id != chat_id:
        raise ValueError("a message's parent belongs to the same chat")
    message_id = connection.execute(
        "INSERT INTO messages (chat_id, parent_id, role, state, parts, details, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            chat_id,
            parent_id,
            message.role,
            state,
            parts_to_text(message.parts),
            to_json((details or AnswerDetails()).to_json()),
            now,
        ),
    ).fetchone()["id"]
    if state != "streaming":
        index_message(connection, message_id, message.parts)
    touch_chat(connection, chat_id, now, message_id)
    if message.role == "user":
        name_chat(connection, chat_id, message.text)
    return load_message(connection, message_id)


def load_message(connection: sqlite3.Connection, message_id: int) -> StoredMessage:
    row = connection.execute(
        f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE id = ?",  # noqa: S608
        (message_id,),
    ).fetchone()
    if row is None:
        raise StorageError("This message no longer exists.", message_id=message_id)
    siblings = connection.execute(
        "SELECT id FROM messages WHERE chat_id = ? AND parent_id IS ?"
        " AND (hidden_at IS NULL OR id = ?) ORDER BY id",
        (row["chat_id"], row["parent_id"], message_id),
    )
    return message_from_row(row, tuple(sibling["id"] for sibling in siblings))


def load_branch(connection: sqlite3.Connection, chat_id: int) -> list[StoredMessage]:
    leaf = load_chat(connection, chat_id).active_leaf
    return [] if leaf is None else load_path(connection, leaf)


def load_path(connection: sqlite3.Connection, leaf: int) -> list[StoredMessage]:
    chat_id = load_message(connection, leaf).chat_id
    parents, siblings = _links(connection, chat_id)
    wanted: set[int] = set()
    current: int | None = leaf
    while current is not None and current not in wanted:
        wanted.add(current)
        current = parents.get(current)
    rows = connection.execute(
        f"SELECT {MESSAGE_COLUMNS} FROM messages"  # noqa: S608
        " WHERE chat_id = ? AND id >= ? AND id <= ? ORDER BY id",
        (chat_id, min(wanted), max(wanted)),
    )
    return [
        message_from_row(row, tuple(siblings[row["parent_id"]]))
        for row in rows
        if row["id"] in wanted
    ]


def load_tree(connection: sqlite3.Connection, chat_id: int) -> list[StoredMessage]:
    _, siblings = _links(connection, chat_id)
    rows = connection.execute(
        f"SELECT {MESSAGE_COLUMNS} FROM messages"  # noqa: S608
        " WHERE chat_id = ? AND hidden_at IS NULL ORDER BY id",
        (chat_id,),
    )
    return [message_from_row(row, tuple(siblings[row["parent_id"]])) for row in rows]


def newest_leaf(connection: sqlite3.Connection, chat_id: int, message_id: int) -> int:
    """The end of the branch that follows the newest child from here on."""
    _, siblings = _links(connection, chat_id)
    current = message_id
    while children := siblings.get(current):
        current = children[-1]
    return current


def _links(
    connection: sqlite3.Connection, chat_id: int
) -> tuple[dict[int, int | None], dict[int | None, list[int]]]:
    """Each message's parent, and each parent's children in order of age."""
    parents: dict[int, int | None] = {}
    children: dict[int | None, list[int]] = {}
    for row in connection.execute(
        "SELECT id, parent_id FROM messages WHERE chat_id = ? AND hidden_at IS NULL ORDER BY id",
        (chat_id,),
    ):
        parents[row["id"]] = row["parent_id"]
        children.setdefault(row["parent_id"], []).append(row["id"])
    return parents, children
