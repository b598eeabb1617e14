"""Contents by their SHA-256, appended to pack files: thousands of small pre-images cost one file.

Every process writes a pack of its own, so two windows never write to one file. An index line is
written after its bytes; bytes without one are garbage that the next compaction drops.
"""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
import zlib
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_COMPRESS_BELOW_BYTES = 1 << 20


def digest_of(data: bytes) -> str:
    """The name of a content."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class _Place:
    pack: Path
    offset: int
    length: int
    compressed: bool


class Blobs:
    """A store of contents in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[str, _Place] = {}
        self._lock = threading.RLock()  # the folder is read ahead in a thread
        self._files: list[BinaryIO] = []  # the pack being written and its index
        self._path = folder
        self._closing = weakref.finalize(self, _close_all, self._files)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for index in sorted(folder.glob("*.idx")):
            self._load(index)

    def _load(self, index: Path) -> None:
        pack = index.with_suffix(".pack")
        try:
            size = pack.stat().st_size
            lines = index.read_text("ascii").splitlines()
        except (OSError, ValueError):
            return
        for line in lines:
            fields = line.split()
            if len(fields) != 4 or not all(f.isdecimal() for f in fields[1:]):
                continue
            offset, length = int(fields[1]), int(fields[2])
            if offset + length <= size:
                self._places[fields[0]] = _Place(pack, offset, length, fields[3] == "1")

    def __contains__(self, digest: str) -> bool:
        return digest in self._places

    def size_of(self, digest: str) -> int:
        """What a content takes in its pack, in bytes; 0 when it is not stored."""
        place = self._places.get(digest)
        return 0 if place is None else place.length

    @property
    def stored_bytes(self) -> int:
        """What the packs take on disk."""
        total = 0
        for pack in self._folder.glob("*.pack"):
            with suppress(OSError):
                total += pack.stat().st_size
        return total

    def put(self, data: bytes) -> str:
        """Stores a content once; returns its digest."""
        digest = digest_of(data)
        if digest in self._places:
            return digest
        packed = zlib.compress(data, 1) if len(data) < _COMPRESS_BELOW_BYTES else data
        compressed = len(packed) < len(data)
        body = packed if compressed else data
        with self._lock:
            pack, index = self._open()
            offset = pack.tell()
            pack.write(body)
            index.write(f"{digest} {offset} {len(body)} {int(compressed)}\n".encode("ascii"))
            self._places[digest] = _Place(self._path, offset, len(body), compressed)
        return digest

    def _open(self) -> tuple[BinaryIO, BinaryIO]:
        if not self._files:
            self._path = self._folder / f"{os.getpid()}-{os.urandom(6).hex()}.pack"
            self._files += [self._path.open("xb"), self._path.with_suffix(".idx").open("xb")]
        return self._files[0], self._files[1]

    def flush(self, durable: bool = False) -> None:
        """Hands what was put to the system; `durable` also waits for the disk."""
        with self._lock:
            for file in self._files:
                file.flush()
                if durable:
                    os.fsync(file.fileno())

    def get(self, digest: str) -> bytes | None:
        """A content; None when it is not stored or no longer whole."""
        place = self._places.get(digest)
        if place is None:
            return None
        self.flush()
        try:
            with place.pack.open("rb") as file:
                file.seek(place.offset)
                data = file.read(place.length)
            if place.compressed:
                data = zlib.decompress(data)
        except (OSError, zlib.error):
            return None
        return data if digest_of(data) == digest else None

    def keep_only(self, wanted: Iterable[str]) -> None:
        """Rewrites the packs with only these contents; the old packs go last."""
        old = list(self._folder.glob("*.pack"))
        self.close()
        places = self._places
        self._places = {}
        for digest in sorted(set(wanted)):
            if digest not in places:
                continue
            self._places[digest] = places[digest]
            data = self.get(digest)
            del self._places[digest]
            if data is not None:
                self.put(data)
        self.flush(durable=True)
        for pack in old:
            pack.with_suffix(".idx").unlink(missing_ok=True)
            pack.unlink(missing_ok=True)

    def close(self) -> None:
        """Closes the pack being written; the next `put` opens another."""
        with self._lock:
            _close_all(self._files)


def _close_all(files: list[BinaryIO]) -> None:
    for file in files:
        file.close()
    files.clear()
