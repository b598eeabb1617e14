"""Folders and tags of chats."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from app.core.errors import StorageError
from app.storage.database import Database
from app.storage.rows import clean
from app.storage.values import Folder


class Labels:
    """A chat is in at most one folder (`ChatStore.update(folder_id=…)`) and has any tags."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def folders(self) -> list[Folder]:
        """All folders by name, with the number of chats in each."""

        def job(connection: sqlite3.Connection) -> list[Folder]:
            rows = connection.execute(
                "SELECT f.id, f.name, count(c.id) AS chats FROM folders f LEFT JOIN chats c"
                " ON c.folder_id = f.id AND c.trashed_at IS NULL"
                " GROUP BY f.id ORDER BY f.name COLLATE NOCASE"
            )
            return [Folder(row["id"], row["name"], row["chats"]) for row in rows]

        return await self._db.read(job)

    async def create_folder(self, name: str) -> Folder:
        """A new folder, or the one that has this name already."""
        wanted = _clean(name)

        def job(connection: sqlite3.Connection) -> Folder:
            connection.execute("INSERT OR IGNORE INTO folders (name) VALUES (?)", (wanted,))
            row = connection.execute("SELECT id FROM folders WHERE name = ?", (wanted,)).fetchone()
            return Folder(row["id"], wanted)

        return await self._db.write(job)

    async def rename_folder(self, folder_id: int, name: str) -> None:
        """Raises: StorageError when another folder has this name."""
        wanted = _clean(name)

        def job(connection: sqlite3.Connection) -> None:
            taken = connection.execute(
                "SELECT 1 FROM folders WHERE name = ? AND id != ?", (wanted, folder_id)
            ).fetchone()
            if taken:
                raise StorageError(f"There is already a folder “{wanted}”.", "Choose another name.")
            connection.execute("UPDATE folders SET name = ? WHERE id = ?", (wanted, folder_id))

        await self._db.write(job)

    async def delete_folder(self, folder_id: int) -> None:
        """Removes the folder; its chats stay, outside any folder."""

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM folders WHERE id = ?", (folder_id,))

        await self._db.write(job)

    async def tags(self) -> dict[str, int]:
        """All tags in use by name, with the number of chats."""

        def job(connection: sqlite3.Connection) -> dict[str, int]:
            rows = connection.execute(
                "SELECT tag, count(*) AS chats FROM chat_tags t JOIN chats c ON c.id = t.chat_id"
                " WHERE c.trashed_at IS NULL GROUP BY tag ORDER BY tag"
            )
            return {row["tag"]: row["chats"] for row in rows}

        return await self._db.read(job)

    async def set_tags(self, chat_id: int, tags: Iterable[str]) -> None:
        """Replaces a chat's tags."""
        wanted = sorted({_clean(tag) for tag in tags})

        def job(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM chat_tags WHERE chat_id = ?", (chat_id,))
            connection.executemany(
                "INSERT INTO chat_tags (chat_id, tag) VALUES (?, ?)",
                [(chat_id, tag) for tag in wanted],
            )

        await self._db.write(job)


def _clean(name: str) -> str:
    short = clean(" ".join(name.split())[:80])
    if not short:
        raise StorageError("A name needs at least one letter.", "Type a name.")
    return short
