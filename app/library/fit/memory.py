"""Bytes a loaded model takes, by llama.cpp's own rules (engine.md §2.1, §4.1).

Weights, keys and values, and recurrent state are exact. Working memory errs on the safe side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.control import KvType
from app.library.facts import LayerFacts, ModelFacts
from app.library.fit.graph import cpu_graph_bytes, gpu_graph_bytes
from app.library.fit.shape import CELL_PAD, Shape, padded, sequences

_KV_BLOCK: dict[KvType, tuple[int, int]] = {"f16": (1, 2), "q8_0": (32, 34), "q4_0": (32, 18)}


@dataclass(frozen=True, slots=True)
class Demand:
    """Bytes in one place, by what they are."""

    weights_bytes: int = 0
    kv_bytes: int = 0
    state_bytes: int = 0
    compute_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        return self.weights_bytes + self.kv_bytes + self.state_bytes + self.compute_bytes

    def plus(self, other: Demand) -> Demand:
        return Demand(
            self.weights_bytes + other.weights_bytes,
            self.kv_bytes + other.kv_bytes,
            self.state_bytes + other.state_bytes,
            self.compute_bytes + other.compute_bytes,
        )


def layer_kv_bytes(facts: ModelFacts, layer: LayerFacts, shape: Shape) -> int:
    """Keys and values of one layer: all cells, or a window's worth (llama-kv-cache-iswa.cpp)."""
    cells = padded(shape.n_ctx)
    if layer.windowed:
        cells = min(
            cells, padded(facts.window_tokens * sequences(facts, shape.n_parallel) + shape.n_ubatch)
        )
    values, size = _KV_BLOCK[shape.kv_type]
    return cells * sum(-(-width // values) * size for width in (layer.k_width, layer.v_width))


def kv_bytes(facts: ModelFacts, shape: Shape) -> int:
    """The whole KV cache; all sequences share it."""
    return sum(layer_kv_bytes(facts, layer, shape) for layer in facts.layers)


def kv_bytes_per_token(facts: ModelFacts, kv_type: KvType = "f16") -> int:
    """What one more token of context costs, windows aside."""
    shape = Shape(CELL_PAD, kv_type=kv_type)
    full = [layer for layer in facts.layers if not layer.windowed]
    return sum(layer_kv_bytes(facts, layer, shape) for layer in full) // CELL_PAD


def state_bytes(facts: ModelFacts, shape: Shape) -> int:
    """Recurrent state: the same for every context length, once per sequence, always float32."""
    return facts.state_bytes_per_sequence * sequences(facts, shape.n_parallel)


def repacked_bytes(facts: ModelFacts, isa: Sequence[str]) -> int:
    """Weights held twice because llama.cpp reorders them for this processor (ggml-cpu/repack.cpp).

    With a mapped file they are reported twice. The mapped pages are clean and not touched again,
    so the system takes them back when it needs to: a plan counts weights once.
    """
    kinds: set[str] = set()
    if "avx2" in isa:
        kinds = {"Q4_0", "Q4_K", "IQ4_NL", "MXFP4"} | ({"Q2_K"} if "avx512f" in isa else set())
    elif "asimddp" in isa or "i8mm" in isa:
        kinds = {"Q4_0", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "MXFP4", "Q8_0", "Q1_0"}
    total = sum(size for kind, size in facts.matrix_bytes if kind in kinds)
    for kind, size in facts.last_matrices:  # beyond the last tensor that stays mapped
        if kind not in kinds:
            break
        total -= size
    return total


def demands(
    facts: ModelFacts, shape: Shape, *, n_gpus: int, unified: bool = False
) -> tuple[Demand, Demand]:
    """(on the GPUs, in main memory). Without a GPU everything is in main memory.

    llama.cpp puts the *last* `n_gpu_layers` layers on the GPU, keeps the embedding table in main
    memory, and the experts of the *first* `n_cpu_moe` layers.
    """
    n = facts.n_layers
    on_gpu = n + 1 if shape.n_gpu_layers < 0 else min(shape.n_gpu_layers, n + 1)
    if not n_gpus:
        on_gpu = 0
    first = n - min(on_gpu, n)
    per_layer = layer_costs(facts, shape)
    gpu_weights = gpu_kv = gpu_state = cpu_weights = cpu_kv = cpu_state = 0
    for index, (layer, (kv, state)) in enumerate(zip(facts.layers, per_layer, strict=True)):
        experts = layer.expert_bytes if index < shape.n_cpu_moe else 0
        if index >= first:
            gpu_weights += layer.weights_bytes - experts
            gpu_kv += kv
            gpu_state += state
            cpu_weights += experts
        else:
            cpu_weights += layer.weights_bytes
            cpu_kv += kv
            cpu_state += state
    cpu_weights += facts.input_bytes
    if on_gpu > n:
        gpu_weights += facts.output_bytes + (facts.input_bytes if facts.tied_output else 0)
    else:
        cpu_weights += facts.output_bytes
    gpu_compute = gpu_graph_bytes(facts, shape, n_gpus, unified=unified) if on_gpu else 0
    cpu_compute = cpu_graph_bytes(facts, shape, n_gpus if on_gpu else 0)
    return (
        Demand(gpu_weights, gpu_kv, gpu_state, gpu_compute),
        Demand(cpu_weights, cpu_kv, cpu_state, cpu_compute),
    )


def layer_costs(facts: ModelFacts, shape: Shape) -> list[tuple[int, int]]:
    """(keys and values, recurrent state) in bytes, layer by layer."""
    state = facts.state_bytes_per_layer * sequences(facts, shape.n_parallel)
    known: dict[tuple[int, int, bool], int] = {}
    costs = []
    for layer in facts.layers:
        kind = (layer.k_width, layer.v_width, layer.windowed)
        if kind not in known:
            known[kind] = layer_kv_bytes(facts, layer, shape)
        costs.append((known[kind], state if layer.recurrent else 0))
    return costs
