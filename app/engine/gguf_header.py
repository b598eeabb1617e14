"""A cheap look at a GGUF header, with hard limits, before C++ sees the file (security.md §3)."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from app.core.errors import BadModelFile, ModelNotFound, UnsupportedModel

_MAX_HEADER_BYTES = 256 << 20
_MAX_TENSORS = 65_536
_MAX_KEYS = 65_536
_MAX_STRING = 64 << 20
_MAX_ARRAY = 16 << 20
_KEEP_ARRAY = 512
_SCALARS = {
    0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?",
    10: "<Q", 11: "<q", 12: "<d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
# ggml_type -> (weights in a block, bytes of a block)
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What the header says; `tensor_bytes` is the sum over this file's tensors."""

    architecture: str
    n_tensors: int
    size_bytes: int
    tensor_bytes: int
    data_offset: int
    metadata: dict[str, Any] = field(default_factory=dict)

    def number(self, key: str, default: int = 0) -> int:
        """An integer under the architecture's prefix; the largest of a per-layer array."""
        value = self.metadata.get(f"{self.architecture}.{key}", default)
        if isinstance(value, list):
            return max((int(v) for v in value), default=default)
        return int(value) if isinstance(value, int | float) else default


class _Reader:
    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._limit = min(size, _MAX_HEADER_BYTES)
        self.at = 0

    def take(self, n: int) -> bytes:
        if n < 0 or self.at + n > self._limit:
            raise ValueError("the header runs past the end of the file")
        data = self._stream.read(n)
        if len(data) != n:
            raise ValueError("the file is shorter than it says")
        self.at += n
        return data

    def scalar(self, layout: str) -> Any:
        return struct.unpack(layout, self.take(struct.calcsize(layout)))[0]

    def string(self) -> str:
        length = self.scalar("<Q")
        if length > _MAX_STRING:
            raise ValueError("a string is absurdly long")
        return self.take(length).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.string()
        if kind in _SCALARS:
            return self.scalar(_SCALARS[kind])
        if kind != _ARRAY:
            raise ValueError(f"unknown value type {kind}")
        inner, count = self.scalar("<I"), self.scalar("<Q")
        if count > _MAX_ARRAY:
            raise ValueError("an array is absurdly long")
        if inner in _SCALARS:
            layout = _SCALARS[inner]
            raw = self.take(count * struct.calcsize(layout))
            head = min(count, _KEEP_ARRAY)
            return list(struct.unpack(f"<{head}{layout[1]}", raw[: head * struct.calcsize(layout)]))
        if inner != _STRING:
            raise ValueError("an array holds what arrays must not hold")
        for _ in range(count):
            length = self.scalar("<Q")
            if length > _MAX_STRING:
                raise ValueError("a string is absurdly long")
            self.take(length)
        return []


def read_header(path: Path) -> GgufHeader:
    """Checks magic, version, counts, sizes and offsets.

    Raises:
        ModelNotFound: no such file.
        BadModelFile: not a GGUF, truncated or inconsistent.
        UnsupportedModel: a GGUF version this engine does not know, or no language model.
    """
    try:
        with path.open("rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            return _parse(_Reader(stream, size), size)
    except FileNotFoundError as error:
        raise ModelNotFound(
            f"There is no model file at {path.name}.", "Choose another model or download it again."
        ) from error
    except OSError as error:
        raise BadModelFile(
            f"{path.name} cannot be read: {error.strerror}.", "Check the file and its permissions."
        ) from error
    except (ValueError, struct.error, OverflowError) as error:
        raise BadModelFile(
            f"{path.name} is damaged or not a model file.",
            "Download it again, or choose another model.",
            detail=str(error),
        ) from error


def _parse(reader: _Reader, size: int) -> GgufHeader:
    if reader.take(4) != b"GGUF":
        raise ValueError("no GGUF magic")
    version = reader.scalar("<I")
    if version not in (2, 3):
        raise UnsupportedModel(
            f"This model file uses GGUF version {version}, which this engine cannot read.",
            "Download a current version of the model.",
        )
    n_tensors, n_keys = reader.scalar("<Q"), reader.scalar("<Q")
    if n_tensors > _MAX_TENSORS or n_keys > _MAX_KEYS:
        raise ValueError("implausible counts")
    metadata: dict[str, Any] = {}
    for _ in range(n_keys):
        key = reader.string()
        metadata[key] = reader.value(reader.scalar("<I"))
    architecture = metadata.get("general.architecture")
    if not isinstance(architecture, str) or not architecture:
        raise ValueError("no architecture")
    extents = [_tensor_extent(reader) for _ in range(n_tensors)]
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
        raise ValueError("bad alignment")
    start = -(-reader.at // alignment) * alignment
    _check_extents(extents, start, size, alignment)
    if metadata.get("general.type", "model") != "model" or n_tensors == 0:
        raise UnsupportedModel(
            "This file is not a language model by itself.",
            "Choose the main model file, not an adapter or a projector.",
        )
    known = sum(n_bytes for _, n_bytes in extents if n_bytes)
    return GgufHeader(architecture, n_tensors, size, known or size - start, start, metadata)


def _tensor_extent(reader: _Reader) -> tuple[int, int | None]:
    """Offset and size of a tensor; the size is None for a type we have no table for."""
    reader.string()
    n_dims = reader.scalar("<I")
    if not 1 <= n_dims <= 4:
        raise ValueError("bad number of dimensions")
    dims = [reader.scalar("<Q") for _ in range(n_dims)]
    n = 1
    for dim in dims:
        n *= dim
        if not 0 < dim < 1 << 40 or n > 1 << 48:
            raise ValueError("bad dimensions")
    kind, offset = reader.scalar("<I"), reader.scalar("<Q")
    if kind not in _BLOCKS:
        return offset, None
    block, block_bytes = _BLOCKS[kind]
    if dims[0] % block:
        raise ValueError("a row is not a whole number of blocks")
    return offset, n // block * block_bytes


def _check_extents(
    extents: list[tuple[int, int | None]], start: int, size: int, alignment: int
) -> None:
    end = 0
    for offset, n_bytes in sorted(extents, key=lambda extent: extent[0]):
        if offset % alignment or offset < end:
            raise ValueError("tensor data is misaligned or overlaps")
        end = offset + (n_bytes or 0)
        if start + end > size:
            raise ValueError("tensor data runs past the end of the file")
