"""Reads chats from files: our JSON, and what ChatGPT, LM Studio and Jan export or keep."""

from __future__ import annotations

import asyncio
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.core.errors import StorageError
from app.storage.import_chatgpt import chatgpt_chat, looks_like_chatgpt
from app.storage.import_garret import garret_chat, looks_like_garret
from app.storage.import_jan import jan_chat, looks_like_jan_message
from app.storage.import_lmstudio import lmstudio_chat, looks_like_lmstudio
from app.storage.imported import ChatImporter, ImportedChat, ImportReport
from app.storage.storage import Storage

MAX_FILE_BYTES = 1 << 30
_MAX_FILES = 50_000
_ZIP_ERRORS = (  # what a damaged or foreign archive makes the library raise
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
    EOFError,
)


async def import_chats(storage: Storage, path: Path) -> ImportReport:
    """Adds the chats in a file or folder that are not here yet; nothing here is changed.

    Raises: StorageError when there is nothing in it that we know, StorageFull.
    """
    chats, unreadable = await asyncio.to_thread(read_chats, path)
    return await ChatImporter(storage.database).add(chats, unreadable)


def read_chats(path: Path) -> tuple[list[ImportedChat], int]:
    """All chats in a file or folder, and how many entries could not be read. Blocks.

    A file: `chats.json` of ours, ChatGPT's zip or conversations.json, an LM Studio conversation.
    A folder: LM Studio's `conversations` or Jan's `threads`, or any with such files.

    Raises: StorageError when there is nothing in it that we know.
    """
    chats: list[ImportedChat] = []
    unreadable = 0
    for found in _entries(path):
        if found is None:
            unreadable += 1
        else:
            chats.append(found)
    if not chats:
        raise StorageError(
            f"No chats were found in “{path.name}”.",
            "Choose an export of Garret or ChatGPT, or the conversations folder of LM Studio"
            " or Jan.",
            path=str(path),
        )
    return chats, unreadable


def _entries(path: Path) -> Iterator[ImportedChat | None]:
    if path.is_dir():
        yield from _folder(path)
    elif path.suffix.lower() == ".zip":
        yield from _zip(path)
    elif path.suffix.lower() == ".jsonl":
        yield _jan(path)
    else:
        yield from _document(_json(_read(path)), path.stem)


def _folder(folder: Path) -> Iterator[ImportedChat | None]:
    for number, file in enumerate(sorted(folder.rglob("*.json*"))):
        if number == _MAX_FILES:
            return
        if file.is_symlink() or not file.is_file():
            continue
        if file.suffix == ".jsonl":
            yield _jan(file)
        elif file.suffix == ".json" and file.name != "thread.json":
            found = list(_document(_json(_read(file)), file.stem))
            # A folder may hold other JSON: only what looks like a chat counts.
            yield from (chat for chat in found if chat is not None)


def _zip(path: Path) -> Iterator[ImportedChat | None]:
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                name = member.filename.rsplit("/", 1)[-1]
                if not (name.startswith("conversations") and name.endswith(".json")):
                    continue
                if member.file_size > MAX_FILE_BYTES:
                    yield None
                    continue
                with archive.open(member) as file:
                    yield from _document(_json(file.read(MAX_FILE_BYTES)), name)
    except _ZIP_ERRORS as error:
        raise _unreadable(path, str(error)) from error


def _document(data: Any, stem: str) -> Iterator[ImportedChat | None]:
    if looks_like_garret(data):
        for item in data["chats"]:
            yield garret_chat(item)
    elif isinstance(data, list):
        for item in data:
            yield chatgpt_chat(item) if looks_like_chatgpt(item) else None
    elif looks_like_chatgpt(data):
        yield chatgpt_chat(data)
    elif looks_like_lmstudio(data):
        yield lmstudio_chat(data, stem)
    else:
        yield None


def _jan(path: Path) -> ImportedChat | None:
    lines: list[Any] = []
    for line in _read(path).splitlines():
        data = _json(line)  # one bad line must not cost the others
        if looks_like_jan_message(data):
            lines.append(data)
    thread = path.with_name("thread.json")
    head = _json(_read(thread)) if thread.is_file() and not thread.is_symlink() else None
    return jan_chat(head if isinstance(head, dict) else {}, lines, path.parent.name)


def _json(raw: bytes) -> Any:
    """The JSON value; None when there is none, or when it is nested past all reason."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _unreadable(path, "larger than 1 GB")
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror or "unknown reason") from error


def _unreadable(path: Path, reason: str) -> StorageError:
    return StorageError(
        f"“{path.name}” could not be read ({reason}).", "Choose another file.", path=str(path)
    )
