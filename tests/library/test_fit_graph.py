"""Working memory is predicted a little above what llama.cpp reports, never below.

Reported figures: llama-cpp-python 0.3.36 with no_alloc on a processor, and the full-size synthetic
qwen3next model on an H100; micro-batches of 512, flash attention, as the engine loads.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.library.activations import graph_width, scan_width
from app.library.facts import LayerFacts, ModelFacts, read_facts
from app.library.fit.graph import cpu_graph_bytes, gpu_graph_bytes
from app.library.fit.shape import Shape
from app.library.gguf import TensorInfo, parse_header
from tests.library.ggufs import gguf_bytes

MIB = 1 << 20
NEXT_EXPERTS = 906 * 1_000_000  # of one layer: 3 × 512 × 512 × 2048 weights in Q4_K


def tensor(name: str, *shape: int) -> TensorInfo:
    return TensorInfo(f"blk.0.{name}.weight", shape, "Q4_K", 0, 0)


def facts(n_embd: int, n_vocab: int, graph: int, scan: int = 0, state: int = 0) -> ModelFacts:
    base = read_facts([parse_header(gguf_bytes())])
    recurrent = LayerFacts(NEXT_EXPERTS, NEXT_EXPERTS, 0, 0, windowed=False, recurrent=True)
    attention = replace(recurrent, k_width=512, v_width=512, recurrent=False)
    plain = LayerFacts(30 * MIB, 0, 512, 512, windowed=False, recurrent=False)
    layers = (recurrent,) * 36 + (attention,) * 12 if state else (plain,) * 28
    return replace(
        base,
        n_embd=n_embd,
        n_vocab=n_vocab,
        n_experts=512 if state else 0,
        n_experts_used=10 if state else 0,
        graph_width=graph,
        scan_width=scan,
        state_bytes_per_layer=state,
        layers=layers,
    )


def dense(n_embd: int, n_vocab: int, ff: int) -> ModelFacts:
    up, gate = tensor("ffn_up", n_embd, ff), tensor("ffn_gate", n_embd, ff)
    return facts(n_embd, n_vocab, graph_width(n_embd, 0, n_embd, [up, gate]))


def coder_next() -> ModelFacts:
    tensors = [tensor("ffn_up_exps", 2048, 512, 512), tensor("ffn_up_shexp", 2048, 512)]
    width = graph_width(2048, 10, 16 * 256, tensors)
    return facts(2048, 151_936, width, scan_width(2048, 4096, 16, 128), 2_195_456)


SMOL, CODER, LLAMA_8B = (
    dense(576, 49_152, 1536),
    dense(1536, 151_936, 8960),
    dense(4096, 128_256, 14_336),
)


@pytest.mark.parametrize(
    ("model", "n_ctx", "reported_mib"),
    [
        (SMOL, 8_192, 21.76 + 2.62),
        (SMOL, 131_072, 143.17 + 2.62),
        (CODER, 8_192, 73.36 + 8.11),
        (CODER, 32_768, 97.64 + 8.11),
        (LLAMA_8B, 32_768, 149.75 + 6.85),
        (coder_next(), 32_768, 118.70 + 2.90),
        (coder_next(), 262_144, 344.02 + 2.90),
    ],
)
def test_a_processor_needs_what_was_predicted(
    model: ModelFacts, n_ctx: int, reported_mib: float
) -> None:
    predicted = cpu_graph_bytes(model, Shape(n_ctx), 0) / MIB
    assert reported_mib <= predicted <= 1.25 * reported_mib


@pytest.mark.parametrize(
    ("n_ctx", "n_cpu_moe", "reported_mib"),
    [(32_768, 0, 201), (262_144, 0, 652), (32_768, 24, 703)],
)
def test_a_gpu_needs_what_was_predicted(n_ctx: int, n_cpu_moe: int, reported_mib: float) -> None:
    shape = Shape(n_ctx, n_cpu_moe=n_cpu_moe)
    model = coder_next()
    predicted = (gpu_graph_bytes(model, shape, 1) + cpu_graph_bytes(model, shape, 1)) / MIB
    assert reported_mib <= predicted <= 1.25 * reported_mib


def test_a_quantized_cache_is_unpacked_on_a_gpu_only() -> None:
    half, eight = Shape(65_536), Shape(65_536, kv_type="q8_0")
    grown = gpu_graph_bytes(CODER, eight, 1) - gpu_graph_bytes(CODER, half, 1)
    assert grown == 65_536 * 1024 * 2
    on_metal = [gpu_graph_bytes(CODER, shape, 1, unified=True) for shape in (half, eight)]
    assert on_metal[0] == on_metal[1]
    assert cpu_graph_bytes(CODER, eight, 0) == cpu_graph_bytes(CODER, half, 0)


def test_gpus_that_work_in_turns_hold_the_mask_four_times_each() -> None:
    shape = Shape(131_072)
    one, two = (gpu_graph_bytes(CODER, shape, n) for n in (1, 2))
    assert two >= 2 * one + 6 * 131_072 * 512 * 2
    assert gpu_graph_bytes(CODER, replace(shape, n_gpu_layers=9), 2) < two


def test_unknown_shapes_are_taken_for_the_widest_known() -> None:
    unknown = replace(CODER, graph_width=0)
    shape = Shape(8_192)
    assert cpu_graph_bytes(unknown, shape, 0) > cpu_graph_bytes(CODER, shape, 0)
    assert graph_width(1536, 0, 1536, [tensor("attn_q", 1536, 1536)]) == 0


def test_one_matrix_for_gate_and_up_counts_once() -> None:
    apart = [tensor("ffn_up", 4096, 14_336), tensor("ffn_gate", 4096, 14_336)]
    together = [tensor("ffn_up", 4096, 28_672)]
    assert graph_width(4096, 0, 4096, apart) == graph_width(4096, 0, 4096, together)
    gates = [tensor("ffn_gate_up_exps", 2048, 1536, 128)]
    halves = [tensor("ffn_up_exps", 2048, 768, 128), tensor("ffn_gate_exps", 2048, 768, 128)]
    assert graph_width(2048, 8, 4096, gates) == graph_width(2048, 8, 4096, halves)
