"""The unfinished file and its map: which bytes are here, and what the prefix hashed to.

The map is memory-mapped, so it survives a SIGKILL up to the last chunk without a single fsync.
After a power cut it may promise too much: the prefix digests then show which segment is bad, and
only that one is fetched again. The data file is never grown ahead of its data.
"""

from __future__ import annotations

import mmap
import os
import struct
import threading
from dataclasses import dataclass
from pathlib import Path

SEGMENT_BYTES = 16 << 20
_HEAD = struct.Struct("<8sQQ32s")
_MAGIC = b"GRTMAP1\0"
_DIGEST_BYTES = 32


@dataclass(slots=True)
class Span:
    """Bytes start..end (exclusive) to fetch, and the segments reserved for whoever does."""

    start: int
    end: int
    held: set[int]


class PartFile:
    """Bookkeeping of one file of known size and hash; all methods may be called from any thread."""

    def __init__(self, path: Path, size_bytes: int, sha256: str) -> None:
        self.path = path
        self.size_bytes = size_bytes
        self.n_segments = -(-size_bytes // SEGMENT_BYTES)
        self._map_path = path.with_suffix(".map")
        self._lock = threading.Lock()
        self._claimed: set[int] = set()
        head = _HEAD.pack(_MAGIC, size_bytes, SEGMENT_BYTES, bytes.fromhex(sha256))
        length = _HEAD.size + self.n_segments * (8 + _DIGEST_BYTES)
        path.touch(mode=0o600)
        if not _has_head(self._map_path, head, length):
            self._map_path.write_bytes(head + b"\0" * (length - len(head)))
            _empty(path)
        with self._map_path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), length)
        self._received = [self._read_count(i) for i in range(self.n_segments)]
        self._clamp_to_data()

    @property
    def received_bytes(self) -> int:
        with self._lock:
            return sum(self._received)

    @property
    def is_complete(self) -> bool:
        return self.received_bytes == self.size_bytes

    def segment_size(self, segment: int) -> int:
        return min(SEGMENT_BYTES, self.size_bytes - segment * SEGMENT_BYTES)

    def frontier(self, start: int) -> int:
        """The first missing byte at or after `start`, which must lie in received data."""
        segment = start // SEGMENT_BYTES
        with self._lock:
            while segment < self.n_segments:
                if self._received[segment] < self.segment_size(segment):
                    return segment * SEGMENT_BYTES + self._received[segment]
                segment += 1
        return self.size_bytes

    def claim(self, run: int) -> Span | None:
        """Reserves the first free incomplete segment and up to `run` - 1 untouched ones after it.

        `run` 0 asks for everything after it too but reserves only the first: a stream that takes
        the next segment with `claim_next` as it gets there. None when nothing is free.
        """
        with self._lock:
            for first in range(self.n_segments):
                if first in self._claimed or self._is_full(first):
                    continue
                last = first + 1
                while last < min(first + (run or self.n_segments), self.n_segments):
                    if not self._is_fresh(last):
                        break
                    last += 1
                held = range(first, last if run else first + 1)
                self._claimed.update(held)
                start = first * SEGMENT_BYTES + self._received[first]
                return Span(start, min(last * SEGMENT_BYTES, self.size_bytes), set(held))
        return None

    def claim_next(self, segment: int) -> bool:
        """Reserves `segment` for a writer that reached it; False if somebody else began it."""
        with self._lock:
            if segment >= self.n_segments or not self._is_fresh(segment):
                return False
            self._claimed.add(segment)
            return True

    def release(self, segments: set[int]) -> None:
        with self._lock:
            self._claimed -= segments

    def arrived(self, segment: int, n_bytes: int) -> None:
        """Counts bytes just written at the end of a segment's received part."""
        with self._lock:
            self._received[segment] += n_bytes
            self._write_count(segment)

    def forget(self, segment: int) -> None:
        """Marks a segment's bytes as bad: to be fetched again."""
        with self._lock:
            self._received[segment] = 0
            self._write_count(segment)

    def reset(self) -> None:
        """Back to an empty file."""
        with self._lock:
            self._claimed.clear()
            self._received = [0] * self.n_segments
            self._map[_HEAD.size :] = b"\0" * (len(self._map) - _HEAD.size)
            _empty(self.path)

    def digest(self, segment: int) -> bytes:
        """SHA-256 of everything up to the end of `segment`, as once seen; b'' if never."""
        at = self._digest_at(segment)
        value = bytes(self._map[at : at + _DIGEST_BYTES])
        return value if any(value) else b""

    def set_digest(self, segment: int, value: bytes) -> None:
        at = self._digest_at(segment)
        self._map[at : at + _DIGEST_BYTES] = value

    def clear_digests(self) -> None:
        """Forgets every digest: the bytes they were made from were not the right ones."""
        at = self._digest_at(0)
        self._map[at:] = b"\0" * (len(self._map) - at)

    def close(self) -> None:
        with self._lock:
            if not self._map.closed:
                self._map.close()

    def delete_map(self) -> None:
        self.close()
        self._map_path.unlink(missing_ok=True)

    def delete(self) -> None:
        self.delete_map()
        self.path.unlink(missing_ok=True)

    def _is_full(self, segment: int) -> bool:
        return self._received[segment] >= self.segment_size(segment)

    def _is_fresh(self, segment: int) -> bool:
        return segment not in self._claimed and self._received[segment] == 0

    def _digest_at(self, segment: int) -> int:
        return _HEAD.size + self.n_segments * 8 + segment * _DIGEST_BYTES

    def _read_count(self, segment: int) -> int:
        at = _HEAD.size + segment * 8
        count: int = int.from_bytes(self._map[at : at + 8], "little")
        return count if count <= self.segment_size(segment) else 0

    def _write_count(self, segment: int) -> None:
        at = _HEAD.size + segment * 8
        self._map[at : at + 8] = self._received[segment].to_bytes(8, "little")

    def _clamp_to_data(self) -> None:
        """Believes no count that reaches beyond the data file's end."""
        length = self.path.stat().st_size
        for segment in range(self.n_segments):
            here = max(0, min(self._received[segment], length - segment * SEGMENT_BYTES))
            if here != self._received[segment]:
                self._received[segment] = here
                self._write_count(segment)


def received_bytes_on_disk(part: Path, size_bytes: int) -> int:
    """What a part's map promises, without opening the part for writing."""
    try:
        data = part.with_suffix(".map").read_bytes()
    except OSError:
        return 0
    n_segments = -(-size_bytes // SEGMENT_BYTES)
    counts = data[_HEAD.size : _HEAD.size + n_segments * 8]
    if data[:8] != _MAGIC or len(counts) != n_segments * 8:
        return 0
    return min(size_bytes, sum(int(one) for one in struct.unpack(f"<{n_segments}Q", counts)))


def _empty(path: Path) -> None:
    """Cuts a file to nothing, unless it is empty: ext4 takes the cut for the start of a rewrite
    (`auto_da_alloc`) and has whoever closes the file wait until all of it is on the disk."""
    if path.stat().st_size:
        os.truncate(path, 0)


def _has_head(path: Path, head: bytes, length: int) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(head)) == head and os.fstat(file.fileno()).st_size == length
    except OSError:
        return False
