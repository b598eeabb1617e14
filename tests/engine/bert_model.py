"""A tiny BERT with random weights as a GGUF, and its forward pass in numpy to compare with."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CONTROL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = ("the", "cat", "dog", "sat", "on", "mat", "a", "##s", "##ing", "run", ".", ",")
CLS, SEP = 2, 3
_ALIGNMENT = 32


@dataclass(frozen=True, slots=True)
class Bert:
    """The shape of one model, and its weights by GGUF name."""

    weights: dict[str, NDArray[np.float32]]
    layers: int
    heads: int
    positions: int

    def states(self, tokens: Sequence[int]) -> Floats:
        """The last layer's state at every token."""
        w = {name: value.astype(np.float64) for name, value in self.weights.items()}
        x = w["token_embd.weight"][list(tokens)] + w["token_types.weight"][0]
        x = _norm(x + w["position_embd.weight"][: len(tokens)], w, "token_embd_norm")
        for i in range(self.layers):
            b = f"blk.{i}."
            q, k, v = (_heads(_linear(x, w, f"{b}attn_{n}"), self.heads) for n in "qkv")
            scores = q @ k.transpose(0, 2, 1) / np.sqrt(q.shape[-1])
            share = np.exp(scores - scores.max(-1, keepdims=True))
            mixed = share / share.sum(-1, keepdims=True) @ v
            mixed = mixed.transpose(1, 0, 2).reshape(len(tokens), -1)
            x = _norm(x + _linear(mixed, w, f"{b}attn_output"), w, f"{b}attn_output_norm")
            inner = _gelu(_linear(x, w, f"{b}ffn_up"))
            x = _norm(x + _linear(inner, w, f"{b}ffn_down"), w, f"{b}layer_output_norm")
        return x


def random_bert(
    *, layers: int = 2, embd: int = 64, heads: int = 4, ff: int = 128, positions: int = 64
) -> Bert:
    """The same weights every time."""
    rng = np.random.default_rng(11)

    def draw(*dims: int, scale: float) -> NDArray[np.float32]:
        return (rng.standard_normal(dims) * scale).astype(np.float32)

    w = {
        "token_embd.weight": draw(len(CONTROL) + len(WORDS), embd, scale=1.0),
        "token_types.weight": draw(2, embd, scale=0.1),
        "position_embd.weight": draw(positions, embd, scale=0.5),
    }
    shapes = {f"attn_{n}": (embd, embd) for n in ("q", "k", "v", "output")}
    shapes |= {"ffn_up": (ff, embd), "ffn_down": (embd, ff)}
    norms = ["token_embd_norm"]
    for i in range(layers):
        for name, (n_out, n_in) in shapes.items():
            w[f"blk.{i}.{name}.weight"] = draw(n_out, n_in, scale=n_in**-0.5)
            w[f"blk.{i}.{name}.bias"] = draw(n_out, scale=0.1)
        norms += [f"blk.{i}.attn_output_norm", f"blk.{i}.layer_output_norm"]
    for name in norms:
        w[f"{name}.weight"] = 1 + draw(embd, scale=0.1)
        w[f"{name}.bias"] = draw(embd, scale=0.1)
    return Bert(w, layers, heads, positions)


def write_bert(path: Path, bert: Bert, *, pooling: int, words: Sequence[str] = WORDS) -> Path:
    """The model as llama.cpp's converter writes it; `pooling` is a llama_pooling_type."""
    table = bert.weights["token_embd.weight"]
    listed = [*CONTROL, *(w[2:] if w.startswith("##") else f"\u2581{w}" for w in words)]
    metadata: dict[str, Any] = {
        "general.architecture": "bert",
        "general.name": path.stem,
        "bert.block_count": bert.layers,
        "bert.context_length": bert.positions,
        "bert.embedding_length": table.shape[1],
        "bert.feed_forward_length": len(bert.weights["blk.0.ffn_up.weight"]),
        "bert.attention.head_count": bert.heads,
        "bert.attention.layer_norm_epsilon": 1e-12,
        "bert.attention.causal": False,
        "bert.pooling_type": pooling,
        "tokenizer.ggml.model": "bert",
        "tokenizer.ggml.pre": "bert",
        "tokenizer.ggml.token_type_count": 2,
        "tokenizer.ggml.tokens": listed,
        "tokenizer.ggml.token_type": [3] * len(CONTROL) + [1] * len(words),
        "tokenizer.ggml.padding_token_id": listed.index("[PAD]"),
        "tokenizer.ggml.unknown_token_id": listed.index("[UNK]"),
        "tokenizer.ggml.bos_token_id": listed.index("[CLS]"),
        "tokenizer.ggml.cls_token_id": listed.index("[CLS]"),
        "tokenizer.ggml.seperator_token_id": listed.index("[SEP]"),
        "tokenizer.ggml.eos_token_id": listed.index("[SEP]"),
    }
    header = b"GGUF" + struct.pack("<IQQ", 3, len(bert.weights), len(metadata))
    header += b"".join(_string(key) + _value(value) for key, value in metadata.items())
    offset = 0
    for name, value in bert.weights.items():
        dims = tuple(reversed(value.shape))
        header += _string(name) + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
        header += struct.pack("<IQ", 0, offset)
        offset += -(-value.nbytes // _ALIGNMENT) * _ALIGNMENT
    with path.open("wb") as out:
        out.write(header + b"\0" * (-len(header) % _ALIGNMENT))
        for value in bert.weights.values():
            out.write(value.tobytes() + b"\0" * (-value.nbytes % _ALIGNMENT))
    return path


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: Any) -> bytes:
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + _string(value)
        case [int(), *_]:
            return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
        case _:
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_string, value))


def _linear(x: Floats, w: dict[str, Floats], name: str) -> Floats:
    product: Floats = x @ w[f"{name}.weight"].T + w[f"{name}.bias"]
    return product


def _norm(x: Floats, w: dict[str, Floats], name: str) -> Floats:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    normed: Floats = scaled * w[f"{name}.weight"] + w[f"{name}.bias"]
    return normed


def _heads(x: Floats, heads: int) -> Floats:
    return x.reshape(len(x), heads, -1).transpose(1, 0, 2)


def _gelu(x: Floats) -> Floats:
    """With tanh, as llama.cpp computes it."""
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
