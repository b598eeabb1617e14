"""Builds small GGUF files, sound or hostile, for the library's tests."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("<Q", len(raw)) + raw


def packed(value: Any) -> bytes:
    """A metadata value with its type in front."""
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    if value and isinstance(value[0], str):
        return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
    if value and isinstance(value[0], bool):
        return struct.pack(f"<IIQ{len(value)}?", 9, 7, len(value), *value)
    return struct.pack(f"<IIQ{len(value)}I", 9, 4, len(value), *value)


TINY: dict[str, Any] = {
    "general.architecture": "llama",
    "general.name": "tiny",
    "general.license": "mit",
    "llama.block_count": 2,
    "llama.context_length": 1024,
    "llama.embedding_length": 32,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": ["a", "b", "c"],
}
TINY_TENSORS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("token_embd.weight", (32, 3)),
    ("output.weight", (32, 3)),
    ("blk.0.attn_k.weight", (32, 16)),
    ("blk.0.ffn_up.weight", (32, 64)),
    ("blk.1.attn_k.weight", (32, 16)),
    ("blk.1.ffn_up.weight", (32, 64)),
)


def gguf_bytes(
    metadata: Mapping[str, Any] = TINY,
    tensors: Sequence[tuple[str, tuple[int, ...]]] = TINY_TENSORS,
    fill: bytes = b"\x01",
) -> bytes:
    """A whole file with float32 tensors."""
    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        out += text(key) + packed(value)
    offset = 0
    for name, shape in tensors:
        size = 4
        for dim in shape:
            size *= dim
        out += text(name) + struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        out += struct.pack("<IQ", 0, offset)
        offset += (size + 31) // 32 * 32
    out += b"\0" * (-len(out) % 32)
    return out + (fill * offset)[:offset]


def write_tiny(path: Path, **metadata: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gguf_bytes({**TINY, **metadata}))
    return path


def write_split(folder: Path, stem: str, count: int) -> list[Path]:
    """A split model: metadata in part 1, one tensor or more in each."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number in range(count):
        meta: dict[str, Any] = {"split.no": number, "split.count": count}
        path = folder / f"{stem}-{number + 1:05d}-of-{count:05d}.gguf"
        path.write_bytes(
            gguf_bytes(
                {**TINY, **meta} if number == 0 else meta,
                TINY_TENSORS[number::count],
                bytes([number + 1]),
            )
        )
        files.append(path)
    return files
