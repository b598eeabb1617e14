"""A folder of Markdown files that follows the chats: for other programs, and for peace of mind.

One way only. The mirror writes and deletes nothing but files it made itself and nobody changed
since; a file somebody edited is left as it is and written anew under another name.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from app.storage.export import file_name, write_atomically, write_problem
from app.storage.export_markdown import markdown_of_chat
from app.storage.storage import Storage
from app.storage.values import Chat

INDEX = ".garret-mirror.json"


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the mirror last wrote for a chat."""

    name: str
    sha256: str
    updated_at: float
    title: str


class MarkdownMirror:
    """Keeps one folder in step. Call `sync` after changes; it writes only what changed."""

    def __init__(self, storage: Storage, folder: Path) -> None:
        self._storage = storage
        self._folder = folder
        self._lock = asyncio.Lock()

    async def sync(self) -> int:
        """Writes changed chats and removes the files of trashed ones; returns files written.

        Raises: StorageError, StorageFull.
        """
        async with self._lock:
            try:
                return await self._sync()
            except OSError as error:
                raise write_problem(error, self._folder) from error

    async def _sync(self) -> int:
        entries = await asyncio.to_thread(self._read_index)
        chats = [*await self._storage.chats.list(), *await self._storage.chats.list("archived")]
        written = 0
        for uid in entries.keys() - {chat.uid for chat in chats}:
            await asyncio.to_thread(self._remove, entries.pop(uid))
        for chat in chats:
            old = entries.get(chat.uid)
            if old is not None and (old.updated_at, old.title) == (chat.updated_at, chat.title):
                continue
            branch = await self._storage.messages.branch(chat.id)
            if any(message.state == "streaming" for message in branch):
                continue  # its turn comes when the answer has ended
            text = markdown_of_chat(chat, branch)
            taken = {entry.name.casefold() for uid, entry in entries.items() if uid != chat.uid}
            entries[chat.uid] = await asyncio.to_thread(self._write, chat, text, old, taken)
            written += 1
        await asyncio.to_thread(self._write_index, entries)
        return written

    def _write(self, chat: Chat, text: str, old: _Entry | None, taken: set[str]) -> _Entry:
        self._folder.mkdir(parents=True, exist_ok=True)
        if old is not None:
            self._remove(old)
        present = {path.name.casefold() for path in self._folder.iterdir()}
        name = file_name(chat.title, taken | present)
        write_atomically(self._folder / name, text)
        return _Entry(name, _sha256(text.encode()), chat.updated_at, chat.title)

    def _remove(self, entry: _Entry) -> None:
        """Deletes our file unless somebody changed it."""
        path = self._folder / entry.name
        if path.parent != self._folder or not path.is_file():
            return
        if _sha256(path.read_bytes()) == entry.sha256:
            path.unlink()

    def _read_index(self) -> dict[str, _Entry]:
        try:
            data = json.loads((self._folder / INDEX).read_text(encoding="utf-8"))
            return {uid: _Entry(**entry) for uid, entry in data.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # without it nothing is ours: nothing is deleted, all is written anew

    def _write_index(self, entries: dict[str, _Entry]) -> None:
        data = {uid: asdict(entry) for uid, entry in sorted(entries.items())}
        write_atomically(self._folder / INDEX, json.dumps(data, indent=1) + "\n")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
