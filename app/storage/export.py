"""Chats as files for people and programs: JSON, Markdown, HTML.

The JSON format, version 1 (`chats.json`), is one object:

    format      always "garret-chats"
    version     1; a reader refuses a higher one, and ignores keys it does not know
    exported_at seconds since the epoch
    chats       a list, each with: uid (stable across exports), title, model, system_prompt,
                sampling, pinned, archived, tags, created_at, updated_at (seconds), active_leaf
                (id of the last message of the branch on screen, or null) and messages

    messages    a list, parents before children, each with: id (unique in the chat), parent (an id
                or null), role (system, user, assistant, tool), state (complete, stopped, failed),
                created_at, parts, details (only what is known: model, prompt_tokens,
                completion_tokens, cached_tokens, ttft_s, duration_s, read_tokens_per_s,
                write_tokens_per_s, seed, finish_reason, error …) and context_summary where the
                model reads only from this message on

    parts       each has `kind`: text {text}, thinking {text, duration_s}, attachment {name,
                media_type, text}, tool_call {call_id, name, arguments}, tool_result {call_id,
                name, text, is_error}
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import re
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Literal

from app.core.errors import StorageError, StorageFull
from app.core.messages import part_to_json
from app.storage.export_html import html_end, html_of_chat, html_start
from app.storage.export_markdown import markdown_of_chat
from app.storage.rows import to_json
from app.storage.storage import Storage
from app.storage.values import Chat, StoredMessage

ExportFormat = Literal["json", "markdown", "html"]
FORMAT, VERSION = "garret-chats", 1


class Exporter:
    """Writes one chat, several, or all. A file is complete or it is not there."""

    def __init__(self, storage: Storage, clock: Callable[[], float] = time.time) -> None:
        self._storage = storage
        self._clock = clock

    async def to_file(
        self, target: Path, form: ExportFormat, chat_ids: Sequence[int] | None = None
    ) -> int:
        """Writes the chats (None: all outside the trash) to one file; returns how many.

        Markdown and HTML show the visible branch; JSON holds every branch.

        Raises: StorageError, StorageFull.
        """
        chats = await self._chats(chat_ids)
        writing = _AtomicFile(target)
        try:
            file = await asyncio.to_thread(writing.open)
            count = 0
            await asyncio.to_thread(file.write, self._start(form))
            async for chat, messages in self._with_messages(chats, form):
                text = self._one(form, chat, messages, is_first=count == 0)
                await asyncio.to_thread(file.write, text)
                count += 1
            await asyncio.to_thread(file.write, self._end(form))
            await asyncio.to_thread(writing.commit)
        except OSError as error:
            raise write_problem(error, target) from error
        finally:
            await asyncio.to_thread(writing.discard)
        return count

    async def to_folder(self, folder: Path, chat_ids: Sequence[int] | None = None) -> int:
        """One Markdown file per chat; returns how many.

        Raises: StorageError, StorageFull.
        """
        chats = await self._chats(chat_ids)
        names: set[str] = set()
        async for chat, messages in self._with_messages(chats, "markdown"):
            name = file_name(chat.title, names)
            text = markdown_of_chat(chat, messages)
            try:
                await asyncio.to_thread(write_atomically, folder / name, text)
            except OSError as error:
                raise write_problem(error, folder / name) from error
        return len(chats)

    async def text_of(self, chat_id: int, form: ExportFormat) -> str:
        """One chat as text, for the clipboard."""
        chat = await self._storage.chats.get(chat_id)
        body = ""
        async for _, messages in self._with_messages([chat], form):
            body = self._one(form, chat, messages, is_first=True)
        return self._start(form) + body + self._end(form)

    async def _chats(self, chat_ids: Sequence[int] | None) -> list[Chat]:
        if chat_ids is not None:
            return [await self._storage.chats.get(chat_id) for chat_id in chat_ids]
        listed = [*await self._storage.chats.list(), *await self._storage.chats.list("archived")]
        return sorted(listed, key=lambda chat: chat.created_at)

    async def _with_messages(
        self, chats: Sequence[Chat], form: ExportFormat
    ) -> AsyncIterator[tuple[Chat, list[StoredMessage]]]:
        tree = self._storage.messages
        for chat in chats:
            yield chat, await (tree.all(chat.id) if form == "json" else tree.branch(chat.id))

    def _start(self, form: ExportFormat) -> str:
        if form == "json":
            head = {"format": FORMAT, "version": VERSION, "exported_at": self._clock()}
            return json.dumps(head)[:-1] + ', "chats": [\n'
        return html_start() if form == "html" else ""

    def _one(
        self, form: ExportFormat, chat: Chat, messages: list[StoredMessage], *, is_first: bool
    ) -> str:
        if form == "json":
            text = to_json(json_of_chat(chat, messages))
            return text if is_first else ",\n" + text
        if form == "html":
            return html_of_chat(chat, messages)
        return ("" if is_first else "\n\n---\n\n") + markdown_of_chat(chat, messages)

    def _end(self, form: ExportFormat) -> str:
        if form == "json":
            return "\n]}\n"
        return html_end() if form == "html" else ""


def json_of_chat(chat: Chat, messages: Sequence[StoredMessage]) -> dict[str, Any]:
    """One element of `chats`."""
    return {
        "uid": chat.uid,
        "title": chat.title,
        "model": chat.model,
        "system_prompt": chat.system_prompt,
        "sampling": dict(chat.sampling),
        "pinned": chat.pinned,
        "archived": chat.archived,
        "tags": list(chat.tags),
        "created_at": chat.created_at,
        "updated_at": chat.updated_at,
        "active_leaf": chat.active_leaf,
        "messages": [_json_of_message(m) for m in messages if m.state != "streaming"],
    }


def _json_of_message(message: StoredMessage) -> dict[str, Any]:
    data: dict[str, Any] = {
        "id": message.id,
        "parent": message.parent_id,
        "role": message.role,
        "state": message.state,
        "created_at": message.created_at,
        "parts": [part_to_json(part) for part in message.parts],
        "details": message.details.to_json(),
    }
    if message.context_summary is not None:
        data["context_summary"] = message.context_summary
    return data


_UNSAFE = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*\u202a-\u202e\u2066-\u2069]+')
_RESERVED = re.compile(r"(?i)^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$")


def file_name(title: str, taken: set[str], suffix: str = ".md") -> str:
    """A name every system accepts, not in `taken` (folded); it is added there."""
    clean = " ".join(_UNSAFE.sub(" ", title).split()).strip(". ")
    clean = clean.encode()[:100].decode(errors="ignore").rstrip(". ") or "Chat"
    if _RESERVED.match(clean):
        clean = f"{clean} chat"
    name, number = f"{clean}{suffix}", 1
    while name.casefold() in taken:
        number += 1
        name = f"{clean} ({number}){suffix}"
    taken.add(name.casefold())
    return name


def write_atomically(target: Path, text: str) -> None:
    """Replaces the file as a whole, on the disk when this returns. Raises: OSError."""
    writing = _AtomicFile(target)
    try:
        writing.open().write(text)
        writing.commit()
    finally:
        writing.discard()


def write_problem(error: OSError, target: Path) -> StorageError:
    """The typed error for a file that could not be written."""
    kind = StorageFull if error.errno == errno.ENOSPC else StorageError
    reason = error.strerror or "unknown reason"
    return kind(
        f"“{target.name}” could not be written ({reason}).",
        "Choose a folder with room in which you may write.",
        path=str(target),
    )


class _AtomicFile:
    """A temporary file beside the target that takes its place at the end."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._file: IO[str] | None = None

    def open(self) -> IO[str]:
        self._target.parent.mkdir(parents=True, exist_ok=True)
        self._file = tempfile.NamedTemporaryFile(  # noqa: SIM115  # closed by commit or discard
            "w",
            encoding="utf-8",
            newline="\n",
            dir=self._target.parent,
            prefix=".garret-",
            suffix=".part",
            delete=False,
            errors="replace",
        )
        return self._file

    def commit(self) -> None:
        assert self._file is not None
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        Path(self._file.name).replace(self._target)
        self._file = None

    def discard(self) -> None:
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
            Path(self._file.name).unlink(missing_ok=True)
            self._file = None
