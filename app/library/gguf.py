"""A GGUF header reader for files nobody has vouched for.

Every count and length is checked against a cap and against the bytes at hand before anything is
allocated. Nothing here touches tensor data. Format: ggml/docs/gguf.md, versions 2 and 3.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from app.core.errors import BadModelFile, ModelNotFound, UnsupportedModel
from app.library.ggml_types import GGML_TYPES

MAGIC: Final = b"GGUF"
MAX_HEADER_BYTES: Final = 128 << 20
MAX_TENSORS: Final = 65_536
MAX_KEYS: Final = 16_384
MAX_KEY_BYTES: Final = 1_024
MAX_NAME_BYTES: Final = 64
MAX_STRING_BYTES: Final = 8 << 20
MAX_ARRAY_COUNT: Final = 4 << 20
KEPT_ARRAY_COUNT: Final = 8_192
MAX_DIMS: Final = 4

_SCALARS: Final[dict[int, struct.Struct]] = {
    0: struct.Struct("<B"),
    1: struct.Struct("<b"),
    2: struct.Struct("<H"),
    3: struct.Struct("<h"),
    4: struct.Struct("<I"),
    5: struct.Struct("<i"),
    6: struct.Struct("<f"),
    7: struct.Struct("<?"),
    10: struct.Struct("<Q"),
    11: struct.Struct("<q"),
    12: struct.Struct("<d"),
}
_STRING: Final = 8
_ARRAY: Final = 9
_U32: Final = struct.Struct("<I")
_U64: Final = struct.Struct("<Q")


class HeaderIncomplete(Exception):
    """The header goes on beyond the bytes given; ask again with more of them."""


@dataclass(frozen=True, slots=True)
class GgufArray:
    """An array value; `values` is empty for strings and for arrays too long to be facts."""

    item_type: int
    count: int
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where one tensor lies. `offset` counts from the start of the data section."""

    name: str
    shape: tuple[int, ...]
    type_name: str
    offset: int
    size_bytes: int

    @property
    def n_values(self) -> int:
        product = 1
        for dim in self.shape:
            product *= dim
        return product


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Everything a GGUF file says before its tensor data."""

    version: int
    metadata: dict[str, Any]
    tensors: tuple[TensorInfo, ...]
    data_offset: int

    @property
    def weights_bytes(self) -> int:
        return sum(tensor.size_bytes for tensor in self.tensors)

    @property
    def needed_bytes(self) -> int:
        """The file must be at least this long to hold every tensor."""
        ends = (tensor.offset + tensor.size_bytes for tensor in self.tensors)
        return self.data_offset + max(ends, default=0)


class _Reader:
    """A cursor over bytes that refuses to step outside them."""

    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.at = 0
        self.name = name

    def bad(self, why: str) -> BadModelFile:
        return BadModelFile(
            f"{self.name} is not a sound GGUF file: {why}.",
            "Download it again, or pick another file.",
            file=self.name,
            at_byte=self.at,
        )

    def skip(self, n_bytes: int) -> int:
        start = self.at
        if n_bytes > len(self.data) - start:
            raise HeaderIncomplete
        self.at = start + n_bytes
        return start

    def scalar(self, kind: struct.Struct) -> Any:
        return kind.unpack_from(self.data, self.skip(kind.size))[0]

    def u32(self) -> int:
        return int(self.scalar(_U32))

    def u64(self) -> int:
        return int(self.scalar(_U64))

    def count(self, cap: int, what: str) -> int:
        value = self.u64()
        if value > cap:
            raise self.bad(f"it claims {value:,} {what}, more than {cap:,}")
        return value

    def text(self, cap: int, what: str) -> str:
        length = self.count(cap, f"bytes of {what}")
        start = self.skip(length)
        return self.data[start : start + length].decode("utf-8", "replace")

    def array(self) -> GgufArray:
        item_type = self.u32()
        count = self.count(MAX_ARRAY_COUNT, "array items")
        if item_type == _STRING:
            for _ in range(count):
                self.skip(self.count(MAX_STRING_BYTES, "bytes of text"))
            return GgufArray(item_type, count)
        kind = _SCALARS.get(item_type)
        if kind is None:
            raise self.bad(f"an array of type {item_type} is not allowed")
        start = self.skip(count * kind.size)
        if count > KEPT_ARRAY_COUNT:
            return GgufArray(item_type, count)
        values = struct.unpack_from(f"<{count}{kind.format[-1:]}", self.data, start)
        return GgufArray(item_type, count, values)

    def value(self) -> Any:
        value_type = self.u32()
        if value_type == _STRING:
            return self.text(MAX_STRING_BYTES, "text")
        if value_type == _ARRAY:
            return self.array()
        kind = _SCALARS.get(value_type)
        if kind is None:
            raise self.bad(f"value type {value_type} is unknown")
        return self.scalar(kind)

    def tensor(self, alignment: int) -> TensorInfo:
        name = self.text(MAX_NAME_BYTES, "tensor name")
        n_dims = self.u32()
        if not 1 <= n_dims <= MAX_DIMS:
            raise self.bad(f"a tensor has {n_dims} dimensions")
        shape = tuple(self.u64() for _ in range(n_dims))
        kind = GGML_TYPES.get(type_number := self.u32())
        offset = self.u64()
        if kind is None:
            raise UnsupportedModel(
                f"{self.name} has weights in format {type_number}, which this engine cannot read.",
                "Pick another quantization of the model, or update Garret.",
                file=self.name,
            )
        n_values = 1
        for dim in shape:
            n_values *= dim
            if not 1 <= dim < 1 << 48 or n_values >= 1 << 60:
                raise self.bad(f"a tensor has an impossible shape {shape}")
        if shape[0] % kind.block_values:
            raise self.bad(f"a {kind.name} tensor has rows of {shape[0]} values")
        if offset % alignment or offset >= 1 << 60:
            raise self.bad(f"a tensor lies at the impossible place {offset:,}")
        return TensorInfo(
            name, shape, kind.name, offset, n_values // kind.block_values * kind.block_bytes
        )


def parse_header(data: bytes, name: str = "the file") -> GgufHeader:
    """Parses a header from the first bytes of a file.

    Raises:
        HeaderIncomplete: `data` ends before the header does.
        BadModelFile: not a GGUF, or an inconsistent one.
        UnsupportedModel: a version or weight format this engine cannot read.
    """
    reader = _Reader(data, name)
    if data[:4] != MAGIC[: len(data)]:
        raise reader.bad("it does not start like one")
    reader.skip(4)
    version = reader.u32()
    if version not in (2, 3):
        raise UnsupportedModel(
            f"{name} is a GGUF of version {version}, which this engine cannot read.",
            "Pick a file in GGUF version 3.",
            file=name,
        )
    n_tensors = reader.count(MAX_TENSORS, "tensors")
    n_keys = reader.count(MAX_KEYS, "keys")
    metadata: dict[str, Any] = {}
    for _ in range(n_keys):
        key = reader.text(MAX_KEY_BYTES, "key")
        if key in metadata:
            raise reader.bad("a key appears twice")
        metadata[key] = reader.value()
    alignment = metadata.get("general.alignment", 32)
    if type(alignment) is not int or not 8 <= alignment <= 65_536 or alignment & (alignment - 1):
        raise reader.bad("its alignment is impossible")
    tensors = tuple(reader.tensor(alignment) for _ in range(n_tensors))
    _check_layout(reader, tensors)
    data_offset = (reader.at + alignment - 1) // alignment * alignment
    return GgufHeader(version, metadata, tensors, data_offset)


def read_header(path: Path) -> GgufHeader:
    """Parses the header of a local file and checks that all its tensors lie inside the file.

    Raises: ModelNotFound, BadModelFile, UnsupportedModel.
    """
    name = path.name
    try:
        # O_NONBLOCK: a FIFO or device planted under a model's name must not hang the reader.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise ModelNotFound(
            f"{name} cannot be opened: {error.strerror}.",
            "Check that the file is there.",
            file=name,
        ) from error
    with open(handle, "rb") as file:
        size_bytes = os.fstat(handle).st_size
        header = _parse_growing(file.read, name)
    if header.needed_bytes > size_bytes:
        raise BadModelFile(
            f"{name} is cut short: {header.needed_bytes - size_bytes:,} bytes are missing.",
            "Download it again.",
            file=name,
            needed_bytes=header.needed_bytes,
            size_bytes=size_bytes,
        )
    return header


def _parse_growing(read: Any, name: str) -> GgufHeader:
    data = b""
    step = 8 << 20
    while True:
        more = read(step)
        data += more
        try:
            return parse_header(data, name)
        except HeaderIncomplete:
            if not more:
                raise BadModelFile(
                    f"{name} is cut short: it ends inside its header.",
                    "Download it again.",
                    file=name,
                ) from None
            if len(data) >= MAX_HEADER_BYTES:
                raise BadModelFile(
                    f"{name} has a header of more than {MAX_HEADER_BYTES >> 20} MB.",
                    "Pick another file.",
                    file=name,
                ) from None
            step = len(data)


def _check_layout(reader: _Reader, tensors: tuple[TensorInfo, ...]) -> None:
    if len({tensor.name for tensor in tensors}) != len(tensors):
        raise reader.bad("a tensor name appears twice")
    end = 0
    for tensor in sorted(tensors, key=lambda one: one.offset):
        if tensor.offset < end:
            raise reader.bad("two tensors overlap")
        end = tensor.offset + tensor.size_bytes
