"""The header reader tells sound files from hostile ones and never believes a number."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.errors import BadModelFile, ModelError, UnsupportedModel
from app.library.gguf import HeaderIncomplete, parse_header, read_header
from tests.library.ggufs import TINY, TINY_TENSORS, gguf_bytes, packed, text, write_tiny


def test_sound_file_is_read_whole(tmp_path: Path) -> None:
    header = read_header(write_tiny(tmp_path / "a.gguf"))
    assert header.metadata["general.architecture"] == "llama"
    assert header.metadata["tokenizer.ggml.tokens"].count == 3
    assert [tensor.name for tensor in header.tensors] == [name for name, _ in TINY_TENSORS]
    assert header.needed_bytes == (tmp_path / "a.gguf").stat().st_size


def test_header_alone_is_enough() -> None:
    whole = gguf_bytes()
    header = parse_header(whole)
    assert parse_header(whole[: header.data_offset]) == header
    with pytest.raises(HeaderIncomplete):
        parse_header(whole[: header.data_offset - 64])


@pytest.mark.parametrize("cut", [0, 3, 4, 11, 23, 100, -1])
def test_truncated_file_says_so(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.gguf"
    path.write_bytes(gguf_bytes()[:cut])
    with pytest.raises(BadModelFile, match=r"cut short"):
        read_header(path)


@pytest.mark.parametrize("body", [b"<html>not found</html>", b"\x89PNG", os.urandom(4096)])
def test_other_contents_are_refused(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "page.gguf"
    path.write_bytes(body)
    with pytest.raises(BadModelFile):
        read_header(path)


def test_a_named_pipe_does_not_hang_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(BadModelFile):
        read_header(tmp_path / "pipe.gguf")


def head(n_tensors: int, n_keys: int, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_keys)


def tensor(name: str = "a", dims: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


HUGE = 1 << 63
HOSTILE = {
    "tensor count": head(HUGE, 0),
    "key count": head(0, HUGE),
    "key length": head(0, 1) + struct.pack("<Q", HUGE),
    "text length": head(0, 1) + text("k") + struct.pack("<IQ", 8, HUGE),
    "array length": head(0, 1) + text("k") + struct.pack("<IIQ", 9, 0, HUGE),
    "array of arrays": head(0, 1) + text("k") + struct.pack("<IIQIQ", 9, 9, 1, 9, 1),
    "value type": head(0, 1) + text("k") + struct.pack("<I", 99),
    "same key twice": head(0, 2) + (text("k") + packed(1)) * 2,
    "alignment 0": head(0, 1) + text("general.alignment") + packed(0),
    "alignment text": head(0, 1) + text("general.alignment") + packed("x"),
    "no dimensions": head(1, 0) + tensor(dims=()),
    "five dimensions": head(1, 0) + tensor(dims=(1,) * 5),
    "zero dimension": head(1, 0) + tensor(dims=(32, 0)),
    "overflowing product": head(1, 0) + tensor(dims=(1 << 40, 1 << 40)),
    "negative dimension": head(1, 0) + tensor(dims=((1 << 64) - 32,)),
    "ragged blocks": head(1, 0) + tensor(dims=(33,), kind=2),
    "unaligned offset": head(1, 0) + tensor(offset=1),
    "far offset": head(1, 0) + tensor(offset=HUGE),
    "tensor name length": head(1, 0) + tensor(name="x" * 65),
    "same tensor twice": head(2, 0) + tensor() + tensor(offset=128),
    "overlap": head(2, 0) + tensor("a", (64,)) + tensor("b", (64,), offset=32),
}


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_numbers_are_refused(body: bytes) -> None:
    with pytest.raises(BadModelFile):
        parse_header(body + b"\0" * 64)


@pytest.mark.parametrize("body", [head(0, 0, version=1), head(1, 0) + tensor(kind=4)])
def test_what_the_engine_cannot_run_is_named_unsupported(body: bytes) -> None:
    with pytest.raises(UnsupportedModel):
        parse_header(body)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_damaged_headers_end_in_a_typed_error_or_a_header(data: st.DataObject) -> None:
    body = bytearray(gguf_bytes(TINY))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(body) - 8))
        patch = data.draw(
            st.one_of(
                st.binary(min_size=1, max_size=8),
                st.sampled_from([b"\xff" * 8, b"\0" * 8, b"\xff" * 4, struct.pack("<Q", 1 << 62)]),
            )
        )
        body[at : at + len(patch)] = patch
    del body[data.draw(st.integers(0, len(body))) :]
    try:
        header = parse_header(bytes(body))
    except (ModelError, HeaderIncomplete):
        return
    assert all(tensor.size_bytes > 0 for tensor in header.tensors)
    assert header.data_offset < 1 << 20


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes_never_escape_the_typed_errors(body: bytes) -> None:
    with pytest.raises((ModelError, HeaderIncomplete)):
        parse_header(b"GGUF\x03\0\0\0" + body + b"\xff" * 16)
