"""Writes a small qwen3next GGUF (Qwen3-Coder-Next's architecture) with random weights.

The weights mean nothing; the layers, memory behaviour, tokenizer and template are real, so the
headline architecture is under test before anyone has its weights. The same preset and seed give
the same bytes.

    python scripts/make_synthetic_model.py OUT.gguf [--preset tiny|mid]
"""

from __future__ import annotations

import argparse
import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_ALIGNMENT = 32
_F32, _Q4_K = 0, 12  # ggml_type
_NORMAL, _CONTROL, _USER_DEFINED = 1, 3, 4  # llama_token_type
_Q4_K_BLOCK, _Q4_K_BYTES = 256, 144


@dataclass(frozen=True, slots=True)
class Shape:
    """The hyper-parameters of one preset, named as llama.cpp names them."""

    layers: int
    embd: int
    heads: int
    kv_heads: int
    head_dim: int
    rope_dims: int
    vocab: int
    experts: int
    experts_used: int
    ff: int
    k_heads: int
    v_heads: int
    state: int
    conv: int = 4
    n_ctx_train: int = 262_144
    attention_interval: int = 4
    exact: bool = False  # F32 weights: no rounding to 8 bits between layers, so runs compare
    arch: str = "qwen3next"

    @property
    def key_dim(self) -> int:
        return self.state * self.k_heads

    @property
    def value_dim(self) -> int:
        return self.state * self.v_heads


PRESETS = {
    "tiny": Shape(8, 256, 4, 2, 64, 16, 2048, 8, 2, 256, 2, 4, 64),
    "mid": Shape(16, 1024, 8, 2, 128, 32, 32_000, 32, 4, 256, 8, 16, 128),
    "exact": Shape(4, 128, 4, 2, 32, 16, 640, 4, 2, 128, 2, 4, 32, exact=True),
    "exact-llama": Shape(4, 128, 4, 2, 32, 32, 640, 0, 0, 256, 0, 0, 0, exact=True, arch="llama"),
}

CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim_pad|>", "<|repo_name|>")
TEXT_TOKENS = ("<tool_call>", "</tool_call>", "<think>", "</think>")

# Enough English and code for prompts to come out as words rather than bytes.
_WORD_TEXT = """
the of and to in is that for it was on are as with his they at be this from have or by one had not
but what all were when we there can an your which their said if do will each about how up out them
then she many some so these would other into has more her two like him see time could no make than
first been its who now people my made over did down only way find use may water long little very
after words called just where most know get through back much before go good new write our used me
man too any day same right look think also around another came come work three word must because
does part even place well such here take why things help put years different away again off went
old number great tell men say small every found still between name should home big give air line
set own under read last never us left end along while might next sound below saw something thought
both few those always looked show large often together asked house world going want school
important until form food keep children feet land side without boy once animals life enough took
sometimes four head above kind began almost live page got earth need far hand high year mother
light parts country father let night following picture being study second eyes soon times story
boys since white days ever paper hard near sentence better best across during today others however
sure means knew try told young miles sun ways thing whole hear example heard several change answer
room sea against top turned learn point city play toward five using himself usually money seen car
morning body upon family later turn move face door cut done group true leave red friends plan
agent user system assistant tool import return class def self print function const let var async
await yield lambda except raise while break continue pass global True False None string integer
boolean object array required type description parameters properties name arguments result error
value index length file path directory command test build run code python javascript json list
dict tuple range open close append
"""

# Same wire format as Qwen3-Coder-Next (ChatML turns, XML tool calls), written for this model.
CHAT_TEMPLATE = """\
{%- set ns = namespace(system='') -%}
{%- if messages and messages[0].role == 'system' -%}
    {%- set ns.system = messages[0].content -%}
    {%- set rest = messages[1:] -%}
{%- else -%}
    {%- set rest = messages -%}
{%- endif -%}
{%- if ns.system or tools -%}
    {{- '<|im_start|>system\\n' + (ns.system or 'You are a helpful assistant.') -}}
    {%- if tools -%}
        {{- '\\n\\n# Tools\\n\\n<tools>' -}}
        {%- for item in tools -%}
            {%- set tool = item.function if item.function is defined else item -%}
            {{- '\\n<function>\\n<name>' ~ tool.name ~ '</name>' -}}
            {%- if tool.description is defined -%}
                {{- '\\n<description>' ~ (tool.description | trim) ~ '</description>' -}}
            {%- endif -%}
            {{- '\\n<parameters>' ~ ((tool.parameters or {}) | tojson) ~ '</parameters>' -}}
            {{- '\\n</function>' -}}
        {%- endfor -%}
        {{- '\\n</tools>\\n\\nTo call a function reply in this format:\\n' -}}
        {{- '<tool_call>\\n<function=name>\\n<parameter=key>\\nvalue\\n</parameter>\\n' -}}
        {{- '</function>\\n</tool_call>' -}}
    {%- endif -%}
    {{- '<|im_end|>\\n' -}}
{%- endif -%}
{%- for message in rest -%}
    {%- if message.role == 'assistant' -%}
        {{- '<|im_start|>assistant\\n' + (message.content or '') -}}
        {%- for item in message.tool_calls or [] -%}
            {%- set call = item.function if item.function is defined else item -%}
            {{- ('\\n' if message.content or not loop.first else '') -}}
            {{- '<tool_call>\\n<function=' ~ call.name ~ '>\\n' -}}
            {%- for key, value in (call.arguments or {}) | items -%}
                {{- '<parameter=' ~ key ~ '>\\n' -}}
                {{- (value if value is string else value | tojson) ~ '\\n</parameter>\\n' -}}
            {%- endfor -%}
            {{- '</function>\\n</tool_call>' -}}
        {%- endfor -%}
        {{- '<|im_end|>\\n' -}}
    {%- elif message.role == 'tool' -%}
        {%- if loop.first or loop.previtem.role != 'tool' -%}
            {{- '<|im_start|>user' -}}
        {%- endif -%}
        {{- '\\n<tool_response>\\n' + message.content + '\\n</tool_response>' -}}
        {%- if loop.last or loop.nextitem.role != 'tool' -%}
            {{- '<|im_end|>\\n' -}}
        {%- endif -%}
    {%- else -%}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
    {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{- '<|im_start|>assistant\\n' -}}
{%- endif -%}
"""


def _byte_alphabet() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes, in byte order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def vocabulary(n_vocab: int) -> tuple[list[str], list[int], list[str]]:
    """Tokens, their types, and the BPE merges: bytes, runs of spaces, prefixes of common words."""
    tokens = _byte_alphabet()
    known = set(tokens)
    merges: list[str] = []
    room = n_vocab - len(tokens) - len(CONTROL_TOKENS) - len(TEXT_TOKENS)

    def merge(left: str, right: str) -> str:
        nonlocal room
        joined = left + right
        if joined not in known and room > 0:
            known.add(joined)
            tokens.append(joined)
            merges.append(f"{left} {right}")
            room -= 1
        return joined

    run = "Ġ"
    for _ in range(6):  # 64 spaces in one token: longer than 32 bytes, as Qwen's vocabulary has
        run = merge(run, run)
    for word in _WORD_TEXT.split():
        piece = "Ġ"
        for letter in word:
            if room <= 0 and piece + letter not in known:
                break
            piece = merge(piece, letter)
    tokens += [f"Ġunused{i}" for i in range(room)]
    types = [_NORMAL] * len(tokens)
    types += [_CONTROL] * len(CONTROL_TOKENS) + [_USER_DEFINED] * len(TEXT_TOKENS)
    return [*tokens, *CONTROL_TOKENS, *TEXT_TOKENS], types, merges


def _metadata(shape: Shape, name: str) -> dict[str, object]:
    arch = shape.arch
    tokens, types, merges = vocabulary(shape.vocab)
    hybrid = {} if arch == "llama" else _hybrid_metadata(shape)
    return {
        "general.architecture": arch,
        "general.name": f"Synthetic qwen3next {name}",
        "general.alignment": _ALIGNMENT,
        f"{arch}.block_count": shape.layers,
        f"{arch}.context_length": shape.n_ctx_train,
        f"{arch}.embedding_length": shape.embd,
        f"{arch}.feed_forward_length": shape.ff,
        f"{arch}.attention.head_count": shape.heads,
        f"{arch}.attention.head_count_kv": shape.kv_heads,
        f"{arch}.attention.key_length": shape.head_dim,
        f"{arch}.attention.value_length": shape.head_dim,
        f"{arch}.attention.layer_norm_rms_epsilon": 1e-6,
        f"{arch}.rope.freq_base": 5e6,
        f"{arch}.rope.dimension_count": shape.rope_dims,
        **hybrid,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "qwen2",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": tokens.index("<|endoftext|>"),
        "tokenizer.ggml.eos_token_id": tokens.index("<|im_end|>"),
        "tokenizer.ggml.padding_token_id": tokens.index("<|endoftext|>"),
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": CHAT_TEMPLATE,
    }


def _hybrid_metadata(shape: Shape) -> dict[str, object]:
    arch = shape.arch
    return {
        f"{arch}.expert_count": shape.experts,
        f"{arch}.expert_used_count": shape.experts_used,
        f"{arch}.expert_feed_forward_length": shape.ff,
        f"{arch}.expert_shared_feed_forward_length": shape.ff,
        f"{arch}.ssm.conv_kernel": shape.conv,
        f"{arch}.ssm.state_size": shape.state,
        f"{arch}.ssm.group_count": shape.k_heads,
        f"{arch}.ssm.time_step_rank": shape.v_heads,
        f"{arch}.ssm.inner_size": shape.value_dim,
        f"{arch}.full_attention_interval": shape.attention_interval,
    }


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def _value(value: object) -> bytes:
    """One GGUF value with its type tag (u32 4, i32 5, f32 6, bool 7, string 8, array 9)."""
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + _string(value)
        case list() if value and isinstance(value[0], int):
            return struct.pack("<IIQ", 9, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
        case list():
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_string, value))
    raise TypeError(type(value))


@dataclass(frozen=True, slots=True)
class _Tensor:
    name: str
    dims: tuple[int, ...]  # row-major; GGUF stores them reversed
    kind: int
    scale: float = 0.02
    base: float = 0.0

    @property
    def n_bytes(self) -> int:
        n = int(np.prod(self.dims))
        return n * 4 if self.kind == _F32 else n // _Q4_K_BLOCK * _Q4_K_BYTES

    def data(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        if self.kind == _F32:
            values = self.base + rng.standard_normal(self.dims, dtype=np.float32) * self.scale
            if self.name.endswith("ssm_a"):
                values = -np.abs(values)  # the decay must not grow
            return values.astype(np.float32).reshape(-1).view(np.uint8)
        blocks = rng.integers(0, 256, (self.n_bytes // _Q4_K_BYTES, _Q4_K_BYTES), dtype=np.uint8)
        blocks[:, 0:2] = np.frombuffer(np.float16(0.0006).tobytes(), np.uint8)
        blocks[:, 2:4] = np.frombuffer(np.float16(0.0045).tobytes(), np.uint8)
        return blocks.reshape(-1)


def _tensors(s: Shape) -> Iterator[_Tensor]:
    def quantised(name: str, *dims: int) -> _Tensor:
        kind, scale = (_F32, dims[-1] ** -0.5) if s.exact else (_Q4_K, 0.0)
        return _Tensor(f"{name}.weight", dims, kind, scale=scale)

    def norm(name: str, n: int) -> _Tensor:
        return _Tensor(f"{name}.weight", (n,), _F32, base=1.0)

    def plain(name: str, *dims: int, scale: float = 0.02) -> _Tensor:
        return _Tensor(name, dims, _F32, scale=scale)

    yield quantised("token_embd", s.vocab, s.embd)
    yield quantised("output", s.vocab, s.embd)
    yield norm("output_norm", s.embd)
    for i in range(s.layers):
        b = f"blk.{i}."
        yield norm(b + "attn_norm", s.embd)
        if s.arch == "llama":
            yield norm(b + "ffn_norm", s.embd)
            yield quantised(b + "attn_q", s.head_dim * s.heads, s.embd)
            yield quantised(b + "attn_k", s.head_dim * s.kv_heads, s.embd)
            yield quantised(b + "attn_v", s.head_dim * s.kv_heads, s.embd)
            yield quantised(b + "attn_output", s.embd, s.head_dim * s.heads)
            yield quantised(b + "ffn_gate", s.ff, s.embd)
            yield quantised(b + "ffn_up", s.ff, s.embd)
            yield quantised(b + "ffn_down", s.embd, s.ff)
            continue
        yield norm(b + "post_attention_norm", s.embd)
        if (i + 1) % s.attention_interval == 0:
            yield quantised(b + "attn_q", s.head_dim * s.heads * 2, s.embd)
            yield quantised(b + "attn_k", s.head_dim * s.kv_heads, s.embd)
            yield quantised(b + "attn_v", s.head_dim * s.kv_heads, s.embd)
            yield quantised(b + "attn_output", s.embd, s.head_dim * s.heads)
            yield norm(b + "attn_q_norm", s.head_dim)
            yield norm(b + "attn_k_norm", s.head_dim)
        else:
            channels = s.key_dim * 2 + s.value_dim
            yield quantised(b + "attn_qkv", channels, s.embd)
            yield quantised(b + "attn_gate", s.value_dim, s.embd)
            yield plain(b + "ssm_conv1d.weight", channels, s.conv, scale=0.2)
            yield plain(b + "ssm_dt.bias", s.v_heads)
            yield plain(b + "ssm_a", s.v_heads, scale=1.0)
            yield plain(b + "ssm_ba.weight", 2 * s.v_heads, s.embd)
            yield norm(b + "ssm_norm", s.state)
            yield quantised(b + "ssm_out", s.embd, s.value_dim)
        yield plain(b + "ffn_gate_inp.weight", s.experts, s.embd)
        yield plain(b + "ffn_gate_inp_shexp.weight", s.embd)
        yield quantised(b + "ffn_gate_exps", s.experts, s.ff, s.embd)
        yield quantised(b + "ffn_up_exps", s.experts, s.ff, s.embd)
        yield quantised(b + "ffn_down_exps", s.experts, s.embd, s.ff)
        yield quantised(b + "ffn_gate_shexp", s.ff, s.embd)
        yield quantised(b + "ffn_up_shexp", s.ff, s.embd)
        yield quantised(b + "ffn_down_shexp", s.embd, s.ff)


def write_model(path: Path, preset: str = "tiny", seed: int = 7) -> Path:
    """Writes the preset to `path` ("tiny" 10 MB, "mid" 440 MB, the exact ones 3 MB); returns it."""
    shape = PRESETS[preset]
    rng = np.random.default_rng(seed)
    metadata = _metadata(shape, preset)
    tensors = list(_tensors(shape))
    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    header += b"".join(_string(key) + _value(value) for key, value in metadata.items())
    offset = 0
    for tensor in tensors:
        dims = tuple(reversed(tensor.dims))
        header += _string(tensor.name) + struct.pack(f"<I{len(dims)}Q", len(dims), *dims)
        header += struct.pack("<IQ", tensor.kind, offset)
        offset += -(-tensor.n_bytes // _ALIGNMENT) * _ALIGNMENT
    part = path.with_suffix(".part")
    with part.open("wb") as out:
        out.write(header)
        out.write(b"\0" * (-len(header) % _ALIGNMENT))
        for tensor in tensors:
            out.write(tensor.data(rng).tobytes())
            out.write(b"\0" * (-tensor.n_bytes % _ALIGNMENT))
    return part.replace(path)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args(argv)
    path = write_model(args.out, args.preset, args.seed)
    print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
