"""Remembers what a finished set-up was made from, so that the next start does no work."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path


class Stamp:
    """A small JSON file inside `.venv`: the name of each finished step and its key."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._done: dict[str, str] = {}
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
            self._done = {str(name): str(key) for name, key in data.items()}
        except (OSError, ValueError, AttributeError):
            self._done = {}  # no stamp, or a damaged one: every step checks for itself

    def has(self, step: str, key: str) -> bool:
        return self._done.get(step) == key

    def add(self, step: str, key: str) -> None:
        self._done[step] = key
        self._write()

    def forget(self) -> None:
        self._done = {}
        self._file.unlink(missing_ok=True)

    def _write(self) -> None:
        draft = self._file.with_name(self._file.name + ".new")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(self._done, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, self._file)


def key_of(files: Iterable[Path], *extra: str) -> str:
    """One hash over the contents of files and some words."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes())
        digest.update(b"\0")
    for word in extra:
        digest.update(word.encode())
        digest.update(b"\0")
    return digest.hexdigest()
