"""What conversations leave on disk to be reopened quickly: how much it is, and how it goes away.

The engine writes these files; the app removes them, whether an engine runs or not. A running engine
still holds the conversations in memory and would write them again, so what must not come back is
noted beside the files, and the engine reads that note before and after each write.

A file is called `RANDOM.TAG.state`; the tag stands for a conversation without naming it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".state"
MAX_FORGOTTEN = 4096
_NOTE = "forgotten.json"
_NO_TAG = "0"
_TAG_CHARS = 32
_HEX = frozenset("0123456789abcdef")


def tag_of(conversation: str) -> str:
    """The tag of a conversation, from whatever names it for good."""
    digest = hashlib.sha256(f"garret conversation {conversation}".encode("utf-8", "replace"))
    return digest.hexdigest()[:_TAG_CHARS]


def is_tag(text: str) -> bool:
    """Whether a text can be a tag; others must not get into a file's name."""
    return len(text) == _TAG_CHARS and _HEX.issuperset(text)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What must not be written any more: conversations with these tags, and whatever was last used
    before `cleared_ns`, nanoseconds since the epoch."""

    cleared_ns: int = 0
    tags: tuple[str, ...] = ()

    def covers(self, tag: str, used_ns: int) -> bool:
        return 0 <= used_ns <= self.cleared_ns > 0 or (bool(tag) and tag in self.tags)


class PromptStates:
    """The files in one folder, which need not exist. Safe from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def files(self) -> list[Path]:
        return [path for path in self._folder.glob(f"*{SUFFIX}") if not path.is_symlink()]

    def size_bytes(self) -> int:
        """What all files take."""
        sizes = []
        for path in self.files():
            with contextlib.suppress(OSError):
                sizes.append(path.stat().st_size)
        return sum(sizes)

    def new_path(self, name: str, tag: str) -> Path:
        """Where a state goes."""
        return self._folder / f"{name}.{tag or _NO_TAG}{SUFFIX}"

    def clear(self) -> int:
        """Removes every state; the bytes that are free again.

        Raises: OSError when that cannot be noted.
        """
        self._note(Forgotten(time.time_ns(), self.forgotten().tags))
        return sum(map(_removed, self.files()))

    def forget(self, tags: Iterable[str]) -> int:
        """Removes these conversations' states for good; the bytes that are free again.

        Where that cannot be noted (a full disk), `keep_only` finds what an engine writes again.
        """
        unwanted = tuple(dict.fromkeys(tags))
        if not unwanted or not self._folder.is_dir():
            return 0
        known = self.forgotten()
        kept = tuple(dict.fromkeys((*known.tags, *unwanted)))[-MAX_FORGOTTEN:]
        with contextlib.suppress(OSError):
            self._note(Forgotten(known.cleared_ns, kept))
        return sum(_removed(path) for path in self.files() if _tag_in(path) in unwanted)

    def keep_only(self, tags: Iterable[str]) -> int:
        """Removes the states of conversations that are no more, for whatever reason they stayed."""
        known = {*tags, _NO_TAG}
        return sum(_removed(path) for path in self.files() if _tag_in(path) not in known)

    def forgotten(self) -> Forgotten:
        """What must not be written; nothing where no note can be read."""
        try:
            data = json.loads((self._folder / _NOTE).read_bytes())
            tags = tuple(tag for tag in data["tags"] if isinstance(tag, str))
            return Forgotten(int(data["cleared_ns"]), tags)
        except (OSError, ValueError, KeyError, TypeError):
            return Forgotten()

    def _note(self, forgotten: Forgotten) -> None:
        if not self._folder.is_dir():
            return  # nothing was ever written
        text = json.dumps({"cleared_ns": forgotten.cleared_ns, "tags": forgotten.tags})
        handle, name = tempfile.mkstemp(dir=self._folder, suffix=".note")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, self._folder / _NOTE)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise


def _tag_in(path: Path) -> str:
    parts = path.name.split(".")
    return parts[1] if len(parts) == 3 else _NO_TAG


def _removed(path: Path) -> int:
    try:
        size = path.lstat().st_size
        path.unlink()
    except OSError:
        return 0
    return size
