"""What a GGUF header says about a model: its layers, what each one caches, and what it weighs.

The rules are llama.cpp's own (llama-hparams.cpp, llama-kv-cache.cpp, llama-memory-recurrent.cpp):
only attention layers keep keys and values, recurrent layers keep a fixed state per sequence, layers
of the multi-token-prediction head are not loaded.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.library.activations import graph_width, scan_width
from app.library.ggml_types import FILE_TYPES
from app.library.gguf import GgufArray, GgufHeader, TensorInfo

_BLOCK = re.compile(r"blk\.(\d{1,4})\.(.+)")
_EXPERTS = re.compile(r"ffn_(up|down|gate|gate_up)_(ch|)exps\b")
_QUANT_IN_NAME = re.compile(
    r"(?:^|[-._])((?:UD-)?(?:I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4|BF16|F16|F32))"
    r"(?=[-._]|$)",
    re.IGNORECASE,
)
# Period of windowed attention where the file does not say (llama.cpp, load_arch_hparams).
_WINDOW_PERIODS = {"gpt-oss": 2, "gemma2": 2, "gemma3": 6, "gemma3n": 5, "cohere2": 4}
_NOT_CHAT = {
    "clip",
    "mmproj",
    "adapter",
    "whisper",
    "bert",
    "nomic-bert",
    "modern-bert",
    "t5encoder",
}


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One transformer block. Widths are values per token; a width of 0 means: caches nothing."""

    weights_bytes: int
    expert_bytes: int
    k_width: int
    v_width: int
    windowed: bool
    recurrent: bool


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """The parts of a header that decide memory, speed and how the model is talked to."""

    architecture: str
    name: str
    quantization: str
    context_train: int
    n_embd: int
    n_heads: int
    n_vocab: int
    n_params: int
    n_experts: int
    n_experts_used: int
    window_tokens: int
    state_bytes_per_layer: int
    input_bytes: int
    output_bytes: int
    tied_output: bool
    layers: tuple[LayerFacts, ...] = field(repr=False)
    unused_bytes: int
    license: str
    template_sha256: str
    split_count: int
    legacy_layout: bool
    matrix_bytes: tuple[tuple[str, int], ...] = ()
    """Bytes of the matrices a processor multiplies with, by tensor type: what it may repack."""
    last_matrices: tuple[tuple[str, int], ...] = ()
    """Such matrices at the file's very end, the last first: once repacked they are not mapped."""
    graph_width: int = 0
    """Numbers per token that the widest moment of its graph holds (activations.py); 0 unknown."""
    scan_width: int = 0
    """The same for recurrent layers."""

    @property
    def weights_bytes(self) -> int:
        """Everything that is loaded, once."""
        return self.input_bytes + self.output_bytes + sum(one.weights_bytes for one in self.layers)

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    @property
    def attention_layers(self) -> int:
        return sum(1 for layer in self.layers if layer.k_width)

    @property
    def recurrent_layers(self) -> int:
        return sum(1 for layer in self.layers if layer.recurrent)

    @property
    def state_bytes_per_sequence(self) -> int:
        return self.recurrent_layers * self.state_bytes_per_layer

    @property
    def expert_bytes(self) -> int:
        return sum(layer.expert_bytes for layer in self.layers)

    @property
    def bytes_read_per_token(self) -> int:
        """Weights touched for one generated token: all but the experts not chosen and the
        embedding table, of which one row is read (unless it is the output too)."""
        used = self.n_experts_used / self.n_experts if self.n_experts else 1.0
        dense = self.weights_bytes - self.expert_bytes - self.input_bytes
        return int(dense + self.expert_bytes * used + (self.input_bytes if self.tied_output else 0))

    @property
    def answers_chats(self) -> bool:
        """False for projectors, adapters and encoders: files one cannot talk to."""
        return self.architecture not in _NOT_CHAT and bool(self.layers)


def quantization_of(file_name: str, file_type: int | None = None) -> str:
    """The quantization a file name states, else what its header states, else ''."""
    stem = re.sub(r"(-\d{5}-of-\d{5})?\.gguf$", "", file_name.rsplit("/", 1)[-1], flags=re.I)
    found = _QUANT_IN_NAME.findall(stem)
    if found:
        return str(found[-1]).upper()
    return FILE_TYPES.get(-1 if file_type is None else file_type, "")


def read_facts(headers: Sequence[GgufHeader], file_name: str = "") -> ModelFacts:
    """Facts of one model; for a split model pass every part's header, part 1 first."""
    meta = headers[0].metadata
    arch = _text(meta.get("general.architecture"))
    tensors = [tensor for header in headers for tensor in header.tensors]
    hparams = _Hparams(meta, arch)
    per_layer: dict[int, list[TensorInfo]] = {}
    loose: list[TensorInfo] = []
    for tensor in tensors:
        match = _BLOCK.match(tensor.name)
        if match:
            per_layer.setdefault(int(match[1]), []).append(tensor)
        else:
            loose.append(tensor)
    n_all = min(hparams.number("block_count") or (max(per_layer, default=-1) + 1), 4_096)
    n_trunk = max(0, n_all - hparams.number("nextn_predict_layers"))
    layers = tuple(_layer(hparams, i, per_layer.get(i, [])) for i in range(n_trunk))
    unused = sum(t.size_bytes for i, ts in per_layer.items() if i >= n_trunk for t in ts)
    inputs = [t for t in loose if t.name.startswith(("token_embd.", "per_layer_token_embd."))]
    input_bytes = sum(tensor.size_bytes for tensor in inputs)
    template = meta.get("tokenizer.chat_template")
    file_type = meta.get("general.file_type")
    vocab = meta.get("tokenizer.ggml.tokens")
    return ModelFacts(
        architecture=arch,
        name=_text(meta.get("general.name")) or _text(meta.get("general.basename")),
        quantization=quantization_of(file_name, file_type if type(file_type) is int else None),
        context_train=hparams.number("context_length"),
        n_embd=hparams.number("embedding_length"),
        n_heads=hparams.per_layer("attention.head_count", 0),
        n_vocab=vocab.count if isinstance(vocab, GgufArray) else hparams.number("vocab_size"),
        n_params=sum(tensor.n_values for tensor in tensors),
        n_experts=hparams.number("expert_count"),
        n_experts_used=hparams.per_layer("expert_used_count", 0),
        window_tokens=hparams.window_tokens,
        state_bytes_per_layer=hparams.state_bytes(),
        input_bytes=input_bytes,
        output_bytes=sum(t.size_bytes for t in loose) - input_bytes,
        tied_output=not any(tensor.name == "output.weight" for tensor in loose),
        layers=layers,
        unused_bytes=unused,
        license=_text(meta.get("general.license")),
        template_sha256=(
            hashlib.sha256(template.encode()).hexdigest() if isinstance(template, str) else ""
        ),
        split_count=max(1, _whole(meta.get("split.count"))),
        legacy_layout=any(tensor.name.endswith("ssm_in.weight") for tensor in tensors)
        and arch == "qwen3next",
        matrix_bytes=_matrix_bytes(t for t in tensors if not _is_unused(t, n_trunk)),
        last_matrices=_last_matrices(headers[-1].tensors, n_trunk),
        graph_width=graph_width(
            hparams.number("embedding_length"),
            hparams.per_layer("expert_used_count", 0),
            hparams.heads_width(),
            tensors,
        ),
        scan_width=scan_width(
            hparams.number("embedding_length"),
            hparams.number("ssm.inner_size"),
            hparams.number("ssm.group_count"),
            hparams.number("ssm.state_size"),
        ),
    )


def _is_unused(tensor: TensorInfo, n_trunk: int) -> bool:
    match = _BLOCK.match(tensor.name)
    return match is not None and int(match[1]) >= n_trunk


def _is_matrix(tensor: TensorInfo) -> bool:
    """Rows are repacked eight at a time; the embedding table is looked up, not multiplied."""
    table = tensor.name.startswith(("token_embd.", "per_layer_token_embd."))
    return len(tensor.shape) >= 2 and tensor.shape[1] % 8 == 0 and not table


def _last_matrices(tensors: Sequence[TensorInfo], n_trunk: int) -> tuple[tuple[str, int], ...]:
    run: list[tuple[str, int]] = []
    for tensor in sorted(tensors, key=lambda one: -one.offset):
        if _is_unused(tensor, n_trunk):
            continue
        if not _is_matrix(tensor) or len(run) >= 64:
            break
        run.append((tensor.type_name, tensor.size_bytes))
    return tuple(run)


def _matrix_bytes(tensors: Iterable[TensorInfo]) -> tuple[tuple[str, int], ...]:
    sums: dict[str, int] = {}
    for tensor in tensors:
        if _is_matrix(tensor):
            sums[tensor.type_name] = sums.get(tensor.type_name, 0) + tensor.size_bytes
    return tuple(sorted(sums.items()))


def _layer(hparams: _Hparams, index: int, tensors: Sequence[TensorInfo]) -> LayerFacts:
    names = {tensor.name.split(".", 2)[2] for tensor in tensors}
    recurrent = any(name.startswith(("ssm_", "shortconv.", "time_mix_")) for name in names)
    attends = bool(names & {"attn_k.weight", "attn_kv_a_mqa.weight"}) or (
        "attn_qkv.weight" in names and not recurrent
    )
    windowed = hparams.windowed(index)
    k_width, v_width = hparams.kv_widths(index, windowed) if attends else (0, 0)
    return LayerFacts(
        weights_bytes=sum(tensor.size_bytes for tensor in tensors),
        expert_bytes=sum(t.size_bytes for t in tensors if _EXPERTS.search(t.name)),
        k_width=k_width,
        v_width=v_width,
        windowed=windowed,
        recurrent=recurrent,
    )


class _Hparams:
    """Hyper-parameters by llama.cpp's key names, with its defaults; never trusts a type."""

    def __init__(self, metadata: dict[str, Any], architecture: str) -> None:
        self._meta = metadata
        self._arch = architecture
        window = self.number("attention.sliding_window")
        pattern = self.value("attention.sliding_window_pattern")
        self._pattern = pattern
        known = pattern is not None or architecture in _WINDOW_PERIODS
        self.window_tokens = window if known else 0

    def value(self, key: str) -> Any:
        return self._meta.get(f"{self._arch}.{key}")

    def number(self, key: str) -> int:
        return _whole(self.value(key))

    def per_layer(self, key: str, layer: int) -> int:
        value = self.value(key)
        if isinstance(value, GgufArray):
            return _whole(value.values[layer]) if layer < len(value.values) else 0
        return _whole(value)

    def windowed(self, layer: int) -> bool:
        if not self.window_tokens:
            return False
        if isinstance(self._pattern, GgufArray):
            values = self._pattern.values
            return layer < len(values) and bool(values[layer])
        period = _whole(self._pattern) or _WINDOW_PERIODS.get(self._arch, 0)
        return period == 0 or layer % period < period - 1

    def kv_widths(self, layer: int, windowed: bool) -> tuple[int, int]:
        shared = self.number("attention.shared_kv_layers")
        if self._arch == "gemma4" and layer >= self.number("block_count") - shared:
            return 0, 0
        if self._arch == "gemma3n" and layer >= 20:
            return 0, 0
        heads = self.per_layer("attention.head_count", layer)
        kv_heads = self.per_layer("attention.head_count_kv", layer) or heads
        default = self.number("embedding_length") // heads if heads else 0
        suffix = "_swa" if windowed and self.number("attention.key_length_swa") else ""
        k = self.number(f"attention.key_length{suffix}") or default
        v = self.number(f"attention.value_length{suffix}") or default
        # Latent attention (MLA) stores one compressed row per token and no values.
        mla = self.number("attention.key_length_mla") and self.number("attention.value_length_mla")
        return kv_heads * k, 0 if mla else kv_heads * v

    def heads_width(self) -> int:
        """Width of all query heads of one layer together."""
        n_layers = min(self.number("block_count"), 4_096)
        heads = max((self.per_layer("attention.head_count", i) for i in range(n_layers)), default=0)
        head = self.number("attention.key_length")
        return heads * head if head else self.number("embedding_length")

    def state_bytes(self) -> int:
        """Bytes of float32 state per recurrent layer and sequence: convolution rows + memory."""
        n_embd = self.number("embedding_length")
        if head := self.number("wkv.head_size"):
            shifts = 1 if "qwen2" in self._arch or self._arch == "arwkv7" else 2
            return 4 * (shifts * n_embd + n_embd * head)
        if cache := self.number("shortconv.l_cache"):
            return 4 * n_embd * (cache - 1)
        conv = max(0, self.number("ssm.conv_kernel") - 1)
        if head := self.number("kda.head_dim"):
            inner = self.per_layer("attention.head_count", 0) * head
            return 4 * (3 * (conv or 3) * inner + inner * head)
        inner, state = self.number("ssm.inner_size"), self.number("ssm.state_size")
        return 4 * (conv * (inner + 2 * self.number("ssm.group_count") * state) + state * inner)


def _whole(value: Any) -> int:
    return min(value, 1 << 40) if type(value) is int and value > 0 else 0


def _text(value: Any) -> str:
    return value[:200] if isinstance(value, str) else ""
