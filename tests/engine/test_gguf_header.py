from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.errors import BadModelFile, ModelNotFound, UnsupportedModel
from app.engine.gguf_header import read_header
from app.engine.loading import kv_bytes_per_token, state_bytes


def test_a_sound_file_is_described(hybrid_model_path: Path, starter_model_path: Path) -> None:
    hybrid = read_header(hybrid_model_path)
    assert hybrid.architecture == "qwen3next"
    assert hybrid.number("block_count") == 8
    assert 0 < hybrid.tensor_bytes <= hybrid.size_bytes - hybrid.data_offset
    # 2 attention layers of 8, 2 KV heads, 64 + 64 values of 2 bytes
    assert kv_bytes_per_token(hybrid, "f16") == 2 * 2 * 128 * 2
    # 6 recurrent layers; R = 3·(256 + 2·2·64), S = 64·256, floats
    assert state_bytes(hybrid) == 6 * 4 * (3 * (256 + 256) + 64 * 256)
    starter = read_header(starter_model_path)
    assert starter.architecture == "llama"
    assert state_bytes(starter) == 0
    assert kv_bytes_per_token(starter, "f16") == 30 * 3 * 128 * 2


def test_the_full_size_models_figures_come_out(hybrid_model_path: Path) -> None:
    """engine.md §2.1: 79,036,416 bytes of state and 24,576 bytes of KV for each token."""
    header = read_header(hybrid_model_path)
    full = {
        "block_count": 48, "full_attention_interval": 4, "attention.head_count_kv": 2,
        "attention.key_length": 256, "attention.value_length": 256, "ssm.inner_size": 4096,
        "ssm.state_size": 128, "ssm.group_count": 16, "ssm.conv_kernel": 4,
    }  # fmt: skip
    header.metadata.update({f"qwen3next.{key}": value for key, value in full.items()})
    assert state_bytes(header) == 79_036_416
    assert kv_bytes_per_token(header, "f16") == 24_576


def test_no_file_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound):
        read_header(tmp_path / "none.gguf")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGUF",
        b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 1),
        b"GGUF" + struct.pack("<IQQ", 3, 1, 1 << 60),
        b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, 1 << 62),
        b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, 1) + b"k" + struct.pack("<IIQ", 9, 9, 1 << 30),
        b"PK\x03\x04" + bytes(1000),
    ],
)
def test_absurd_figures_are_refused_at_once(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(BadModelFile):
        read_header(path)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_mutated_headers_end_in_a_typed_error_or_a_header(
    seed: int, hybrid_model_path: Path, tmp_path: Path
) -> None:
    rng = random.Random(seed)
    data = bytearray(hybrid_model_path.read_bytes())
    for _ in range(rng.randrange(1, 6)):
        at = rng.randrange(0, min(len(data), 60_000))
        width = rng.choice([1, 4, 8])
        data[at : at + width] = rng.choice(
            [rng.randbytes(width), b"\xff" * width, b"\0" * width, b"\x7f" + b"\xff" * (width - 1)]
        )
    path = tmp_path / "mutated.gguf"
    path.write_bytes(data[: rng.choice([len(data), rng.randrange(len(data))])])
    try:
        header = read_header(path)
    except (BadModelFile, UnsupportedModel):
        return
    assert header.tensor_bytes <= header.size_bytes
