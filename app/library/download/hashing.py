"""SHA-256 of a file that is still arriving, and the finding of bad segments in it.

The prefix digest at each segment's end costs nothing extra. When a file is hashed again (a resume
after a restart, a power cut), the first digest that differs names the damaged segment.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from app.library.download.part import SEGMENT_BYTES, PartFile

_READ_BYTES = 1 << 20
_KEPT_PIECES = 32


class PrefixHasher:
    """Follows the received prefix of one part. Used by one thread at a time.

    It may be kept between two transfers of the same part (a pause), so that nothing is read twice.
    """

    def __init__(self) -> None:
        self.position = 0
        self._fresh: dict[int, memoryview] = {}
        self._sha = hashlib.sha256()
        self._at_segment = self._sha.copy()
        self._buffer = memoryview(bytearray(_READ_BYTES))

    def offer(self, offset: int, data: memoryview) -> None:
        """Bytes just written, within one segment, so that they need not be read back. A hasher
        that has fallen behind forgets them and reads the file."""
        if len(self._fresh) >= _KEPT_PIECES:
            self._fresh.clear()
        if offset >= self.position:
            self._fresh[offset] = data

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
        want = min(limit - self.position, _READ_BYTES)
        if want <= 0 or self.position >= part.size_bytes:
            return False
        piece = self._fresh.pop(self.position, None)
        if piece is None or len(piece) > limit - self.position:
            file.seek(self.position)
            piece = self._buffer[: file.readinto(self._buffer[:want]) or 0]
        if not piece:  # the data file was cut behind our back
            self._forget(part, segment)
            return True
        self._sha.update(piece)
        self.position += len(piece)
        if self.position == min((segment + 1) * SEGMENT_BYTES, part.size_bytes):
            digest = self._sha.digest()
            seen = part.digest(segment)
            if seen and seen != digest:
                self._forget(part, segment)
            else:
                part.set_digest(segment, digest)
                self._at_segment = self._sha.copy()
        return True

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
        while size_bytes > 0 and (chunk := file.read(min(_READ_BYTES, size_bytes))):
            digest.update(chunk)
            size_bytes -= len(chunk)
    return digest.digest()
