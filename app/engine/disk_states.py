"""Conversation states on disk, so that a long chat reopens in a second after a restart.

llama.cpp trusts a state blob completely (CVE-2026-43629), and a blob names neither model nor
build. So: a folder of our own (0700), a key over model, build and parameters, and a SHA-256 over
every byte of the file that is checked before anything of it is used.

File: magic, header length (u32), header (JSON), tokens (i32), state, checkpoints (each followed by
its logits, f32, where it has them), SHA-256 of all that comes before it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from app.core.prompt_states import PromptStates
from app.engine.checkpoints import CheckpointKind, Logits, Tokens

_log = logging.getLogger(__name__)
_MAGIC = b"GARRETS2"
_DIGEST_BYTES = 32
_MAX_HEADER = 1 << 20
_KINDS = get_args(CheckpointKind)


@dataclass(frozen=True, slots=True)
class SavedCheckpoint:
    """A checkpoint that travels with its conversation."""

    n_tokens: int
    kind: CheckpointKind
    blob: NDArray[np.uint8]
    logits: Logits | None = None

    @property
    def arrays(self) -> list[NDArray[np.uint8]]:
        """Its bytes as they lie in the file."""
        return [self.blob, *([] if self.logits is None else [self.logits.view(np.uint8)])]

    @property
    def entry(self) -> list[int | str]:
        """Its line in the file's header."""
        said = 0 if self.logits is None else self.logits.nbytes
        return [self.n_tokens, self.kind, len(self.blob), said]


@dataclass(eq=False, slots=True)
class DiskState:
    """One file as its header describes it; nothing of it has been verified yet."""

    path: Path
    tokens: Tokens
    marks: tuple[int, ...]
    with_logits: frozenset[int] = frozenset()

    def usable(self, common: int, n_prompt: int) -> int:
        """Where a recurrent model can start a prompt whose first `common` tokens agree."""
        limit = n_prompt - 1
        if common == len(self.tokens) <= limit:
            return common
        if common == n_prompt and n_prompt in self.with_logits:
            return n_prompt
        return max((n for n in self.marks if n <= min(common, limit)), default=0)


@dataclass(frozen=True, slots=True)
class Opened:
    """The verified contents of a file."""

    tokens: Tokens
    blob: NDArray[np.uint8]
    checkpoints: tuple[SavedCheckpoint, ...]


def model_fingerprint(path: Path) -> str:
    """Identifies a model file by its size, its ends and 64 samples: all of 45 GB takes minutes."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest.update(str(size).encode())
        for start, length in [
            (0, 1 << 20),
            (max(0, size - (1 << 20)), 1 << 20),
            *((size * i // 64, 4096) for i in range(64)),
        ]:
            file.seek(start)
            digest.update(file.read(length))
    return digest.hexdigest()


class DiskStates:
    """The states of one key. `budget_bytes` bounds the whole folder, all keys together."""

    def __init__(self, folder: Path, key: str, budget_bytes: int) -> None:
        self._states = PromptStates(folder)
        self._key = hashlib.sha256(key.encode()).hexdigest()
        self._budget_bytes = budget_bytes
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        for left_over in folder.glob("*.part"):
            left_over.unlink(missing_ok=True)
        self.entries = [entry for path in self._files() if (entry := self._describe(path))]

    def _files(self) -> list[Path]:
        """Oldest first."""
        return sorted(self._states.files(), key=lambda path: path.stat().st_mtime_ns)

    def _describe(self, path: Path) -> DiskState | None:
        try:
            with path.open("rb") as file:
                header = _read_header(file.read(len(_MAGIC) + 4), file)
                if header["key"] != self._key:
                    return None
                n_tokens = int(header["n_tokens"])
                raw = file.read(4 * n_tokens)
            if len(raw) != 4 * n_tokens:
                return None
            marks = [(int(n), int(said)) for n, _, _, said in header["checkpoints"]]
            with_logits = frozenset(n for n, said in marks if said)
            places = tuple(n for n, _ in marks)
            return DiskState(path, np.frombuffer(raw, np.int32), places, with_logits)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def holds(self, tokens: Tokens) -> bool:
        """Whether a file already begins with these tokens."""
        n = len(tokens)
        return any(
            len(entry.tokens) >= n
            and np.array_equal(entry.tokens[:n], tokens)
            and entry.path.exists()
            for entry in self.entries
        )

    def save(
        self,
        tokens: Tokens,
        blob: NDArray[np.uint8],
        checkpoints: Sequence[SavedCheckpoint],
        *,
        tag: str = "",
        used_ns: int = 0,
    ) -> bool:
        """Writes a state completely or not at all; what it contains is replaced.

        `tag` is the conversation's, `used_ns` when it was last used: what the user has removed
        is not written again.
        """
        header = json.dumps(
            {
                "key": self._key,
                "n_tokens": len(tokens),
                "blob_bytes": len(blob),
                "checkpoints": [c.entry for c in checkpoints],
            }
        ).encode()
        kept = [array for c in checkpoints for array in c.arrays]
        size = len(header) + tokens.nbytes + len(blob) + sum(map(len, kept))
        if size > self._budget_bytes:
            return False
        self._make_room(size)
        path = self._states.new_path(uuid.uuid4().hex, tag)
        part = path.with_suffix(".part")
        digest = hashlib.sha256()
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                head = _MAGIC + struct.pack("<I", len(header)) + header
                arrays = [tokens.view(np.uint8), blob, *kept]
                for piece in [np.frombuffer(head, np.uint8), *arrays]:
                    digest.update(piece.data)
                    file.write(piece.data)
                file.write(digest.digest())
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            _log.warning("a state could not be saved: %s", error)
            part.unlink(missing_ok=True)
            return False
        if self.is_unwanted(tag, used_ns):  # removed while it was being written
            path.unlink(missing_ok=True)
            return False
        n = len(tokens)
        for old in [e for e in self.entries if len(e.tokens) <= n]:
            if np.array_equal(old.tokens, tokens[: len(old.tokens)]):
                self.discard(old)
        marks = tuple(c.n_tokens for c in checkpoints)
        with_logits = frozenset(c.n_tokens for c in checkpoints if c.logits is not None)
        self.entries.append(DiskState(path, tokens.copy(), marks, with_logits))
        return True

    def is_unwanted(self, tag: str, used_ns: int) -> bool:
        """Whether the user removed what this state would bring back."""
        return self._states.forgotten().covers(tag, used_ns)

    def open(self, entry: DiskState) -> Opened | None:
        """The contents if every byte is as it was written; otherwise the file is removed."""
        try:
            data = np.fromfile(entry.path, np.uint8)
            opened = self._parse(data)
            os.utime(entry.path)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            _log.warning("a saved state was refused: %s", error)
            self.discard(entry)
            return None
        return opened

    def _parse(self, data: NDArray[np.uint8]) -> Opened:
        body = data[:-_DIGEST_BYTES]
        if hashlib.sha256(body.data).digest() != data[-_DIGEST_BYTES:].tobytes():
            raise ValueError("its checksum is wrong")
        at = len(_MAGIC) + 4
        (length,) = struct.unpack("<I", data[len(_MAGIC) : at].tobytes())
        header = json.loads(data[at : at + length].tobytes())
        if data[: len(_MAGIC)].tobytes() != _MAGIC or header["key"] != self._key:
            raise ValueError("it belongs to another model or build")
        at += length

        def take(n: int) -> NDArray[np.uint8]:
            nonlocal at
            if n < 0 or at + n > len(body):
                raise ValueError("it is shorter than it says")
            at += n
            return body[at - n : at]

        tokens = take(4 * int(header["n_tokens"])).copy().view(np.int32)
        blob = take(int(header["blob_bytes"]))
        marks = tuple(
            SavedCheckpoint(
                int(n),
                _KINDS[_KINDS.index(kind)],
                take(int(size)).copy(),
                take(int(said)).copy().view(np.float32) if said else None,
            )
            for n, kind, size, said in header["checkpoints"]
        )
        return Opened(tokens, blob, marks)

    def discard(self, entry: DiskState) -> None:
        entry.path.unlink(missing_ok=True)
        self.entries = [other for other in self.entries if other is not entry]

    def forget(self) -> None:
        """For when the files are gone: nothing is believed to be saved any more."""
        self.entries = []

    def _make_room(self, size: int) -> None:
        files = self._files()
        used = sum(path.stat().st_size for path in files)
        for path in files:
            if used + size <= self._budget_bytes:
                break
            used -= path.stat().st_size
            path.unlink(missing_ok=True)
            self.entries = [entry for entry in self.entries if entry.path != path]


def _read_header(start: bytes, file: Any) -> dict[str, Any]:
    if start[: len(_MAGIC)] != _MAGIC:
        raise ValueError("no saved state")
    (length,) = struct.unpack("<I", start[len(_MAGIC) :])
    if length > _MAX_HEADER:
        raise ValueError("absurd header")
    header = json.loads(file.read(length))
    if not isinstance(header, dict):
        raise TypeError("no header")
    return header
