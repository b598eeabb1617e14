"""SHA-256 of a file that is still arriving, and the finding of bad segments in it.

The prefix digest at each segment's end costs nothing extra. When a file is hashed again (a resume
after a restart, a power cut), the first digest that differs names the damaged segment.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from app.library.download.part import SEGMENT_BYTES, PartFile

# As large as the largest pages of a file cache: written whole, a piece costs the system least.
PIECE_BYTES = 2 << 20
_KEPT_PIECES = 16


class PrefixHasher:
    """Follows the received prefix of one part. `advance` is called by one thread at a time.

    Receivers borrow buffers and lend back what they have just written, so that it need not be read
    again; the buffers go round, because fresh memory costs more than the copying. A hasher may be
    kept between two transfers of the same part (a pause), so that nothing is read twice.
    """

    def __init__(self) -> None:
        self.position = 0
        self._fresh: dict[int, memoryview] = {}
        self._free: list[memoryview] = []
        self._sha = hashlib.sha256()
        self._at_segment = self._sha.copy()
        self._buffer = memoryview(bytearray(PIECE_BYTES))

    def borrow(self) -> memoryview:
        """A buffer of PIECE_BYTES to receive into."""
        try:
            return self._free.pop()
        except IndexError:
            return memoryview(bytearray(PIECE_BYTES))

    def offer(self, offset: int, buffer: memoryview, count: int) -> bool:
        """The first `count` bytes of a borrowed buffer were just written at `offset`, within one
        segment. True when the hasher keeps it; a hasher that is too far behind reads the file."""
        ahead = offset - self.position
        if not 0 <= ahead < _KEPT_PIECES * PIECE_BYTES:
            return False
        if len(self._fresh) >= _KEPT_PIECES:
            for old in [one for one in list(self._fresh) if one < self.position]:
                self._fresh.pop(old, None)
        if len(self._fresh) >= _KEPT_PIECES:
            return False
        self._fresh[offset] = buffer[:count]
        return True

    def restart(self) -> None:
        self._fresh.clear()
        self.position = 0
        self._sha = hashlib.sha256()
        self._at_segment = self._sha.copy()

    def hexdigest(self) -> str:
        return self._sha.hexdigest()

    def advance(self, part: PartFile, file: Any) -> bool:
        """Hashes some more of what is there; False when there is nothing to do now.

        A segment whose bytes are not what they once were is forgotten, to be fetched again.
        """
        segment = self.position // SEGMENT_BYTES
        limit = min(part.frontier(self.position), (segment + 1) * SEGMENT_BYTES)
        want = min(limit - self.position, PIECE_BYTES)
        if want <= 0 or self.position >= part.size_bytes:
            return False
        fresh = self._fresh.pop(self.position, None)
        if fresh is not None and len(fresh) <= limit - self.position:
            piece = fresh
        else:
            file.seek(self.position)
            piece = self._buffer[: file.readinto(self._buffer[:want]) or 0]
        if not piece:  # the data file was cut behind our back
            self._forget(part, segment)
            return True
        self._sha.update(piece)
        self.position += len(piece)
        if fresh is not None:
            self._give_back(fresh)
        if self.position == min((segment + 1) * SEGMENT_BYTES, part.size_bytes):
            digest = self._sha.digest()
            seen = part.digest(segment)
            if seen and seen != digest:
                self._forget(part, segment)
            else:
                part.set_digest(segment, digest)
                self._at_segment = self._sha.copy()
        return True

    def _give_back(self, piece: memoryview) -> None:
        if len(self._free) < _KEPT_PIECES:
            self._free.append(memoryview(piece.obj))

    def _forget(self, part: PartFile, segment: int) -> None:
        self._fresh.clear()
        part.forget(segment)
        part.set_digest(segment, bytes(32))  # once: if it differs again the final hash decides
        self._sha = self._at_segment.copy()
        self.position = segment * SEGMENT_BYTES


def hash_segment(path: Path, start: int, size_bytes: int) -> bytes:
    """SHA-256 of one stretch of a file."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while size_bytes > 0 and (chunk := file.read(min(PIECE_BYTES, size_bytes))):
            digest.update(chunk)
            size_bytes -= len(chunk)
    return digest.digest()
