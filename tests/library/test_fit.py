"""Memory follows llama.cpp's rules, layer by layer; plans keep what they promise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.control import LoadSpec
from app.library.choice import smaller_spec
from app.library.facts import LayerFacts, ModelFacts, quantization_of, read_facts
from app.library.fit.memory import demands, kv_bytes, kv_bytes_per_token, state_bytes
from app.library.fit.plan import GIB, MIB, Wish, make_plan
from app.library.fit.shape import Shape, sequences
from app.library.gguf import parse_header
from app.library.hardware import Gpu, Hardware
from app.library.outcomes import Outcomes
from tests.library.ggufs import TINY, gguf_bytes

CPU = Hardware("cpu", 32 * GIB, 30 * GIB, 60e9)
CARD = Gpu("card", "discrete", 12 * GIB, 12 * GIB, 500e9)
PC = replace(CPU, title="pc", gpus=(CARD,))
MAC = Hardware(
    "mac", 32 * GIB, 30 * GIB, 120e9, gpus=(Gpu("M4", "integrated", 25 * GIB, 25 * GIB, 120e9),)
)


def moe(n_layers: int = 40, layer_mib: int = 500, expert_share: float = 0.95) -> ModelFacts:
    size = layer_mib * MIB
    layer = LayerFacts(size, int(size * expert_share), 512, 512, windowed=False, recurrent=False)
    empty = replace(layer, k_width=0, v_width=0, recurrent=True)
    layers = tuple(layer if i % 4 == 3 else empty for i in range(n_layers))
    base = read_facts([parse_header(gguf_bytes())])
    return replace(
        base,
        context_train=262_144,
        n_embd=2048,
        n_params=30_000_000_000,
        n_experts=256,
        n_experts_used=8,
        state_bytes_per_layer=2 * MIB,
        input_bytes=300 * MIB,
        output_bytes=300 * MIB,
        layers=layers,
    )


def test_only_attention_layers_cache_keys_and_values() -> None:
    tensors = [
        ("token_embd.weight", (32, 3)),
        ("blk.0.ssm_conv1d.weight", (4, 64)),
        ("blk.0.attn_qkv.weight", (32, 64)),
        ("blk.1.attn_k.weight", (32, 16)),
    ]
    meta = {
        **TINY,
        "general.architecture": "qwen3next",
        **{key.replace("llama", "qwen3next"): TINY[key] for key in TINY if "llama." in key},
        "qwen3next.attention.key_length": 256,
        "qwen3next.attention.value_length": 256,
        "qwen3next.ssm.conv_kernel": 4,
        "qwen3next.ssm.inner_size": 4096,
        "qwen3next.ssm.state_size": 128,
        "qwen3next.ssm.group_count": 16,
    }  # fmt: skip
    facts = read_facts([parse_header(gguf_bytes(meta, tensors))])
    assert (facts.attention_layers, facts.recurrent_layers) == (1, 1)
    assert kv_bytes_per_token(facts) == 2 * (256 + 256) * 2
    assert facts.state_bytes_per_sequence == 2_195_456


def test_windowed_layers_stop_growing() -> None:
    meta = {
        **{key.replace("llama", "gpt-oss"): value for key, value in TINY.items()},
        "general.architecture": "gpt-oss",
        "gpt-oss.attention.sliding_window": 128,
    }
    facts = read_facts([parse_header(gguf_bytes(meta))])
    assert [layer.windowed for layer in facts.layers] == [True, False]
    short, long = (kv_bytes(facts, Shape(n_ctx)) for n_ctx in (65_536, 131_072))
    full = 65_536 * 2 * (16 + 16)
    assert long - short == full


def test_latent_attention_keeps_one_row_and_no_values() -> None:
    meta = {
        **{key.replace("llama", "deepseek2"): value for key, value in TINY.items()},
        "general.architecture": "deepseek2",
        "deepseek2.attention.head_count_kv": 1,
        "deepseek2.attention.key_length": 576,
        "deepseek2.attention.key_length_mla": 192,
        "deepseek2.attention.value_length_mla": 128,
    }
    facts = read_facts([parse_header(gguf_bytes(meta))])
    assert {(layer.k_width, layer.v_width) for layer in facts.layers} == {(576, 0)}


def test_layers_for_prediction_ahead_are_not_loaded() -> None:
    facts = read_facts([parse_header(gguf_bytes({**TINY, "llama.nextn_predict_layers": 1}))])
    assert facts.n_layers == 1
    assert facts.unused_bytes > 0
    plain = read_facts([parse_header(gguf_bytes())])
    assert facts.weights_bytes + facts.unused_bytes == plain.weights_bytes


@pytest.mark.parametrize(
    ("name", "quant"),
    [
        ("Qwen3-Coder-Next-UD-Q4_K_XL-00001-of-00003.gguf", "UD-Q4_K_XL"),
        ("Q8_0/model-Q8_0-00001-of-00002.gguf", "Q8_0"),
        ("gpt-oss-20b-mxfp4.gguf", "MXFP4"),
        ("x.IQ3_XXS.gguf", "IQ3_XXS"),
        ("nothing.gguf", ""),
    ],
)
def test_quantization_comes_from_the_name(name: str, quant: str) -> None:
    assert quantization_of(name) == quant


def test_nothing_is_lost_between_card_and_memory() -> None:
    facts = moe()
    for shape in (Shape(8192), Shape(8192, n_cpu_moe=17), Shape(8192, n_gpu_layers=9)):
        gpu, cpu = demands(facts, shape, n_gpus=1)
        assert gpu.weights_bytes + cpu.weights_bytes == facts.weights_bytes
        assert gpu.kv_bytes + cpu.kv_bytes == kv_bytes(facts, shape)
        assert gpu.state_bytes + cpu.state_bytes == state_bytes(facts, shape)
    gpu, cpu = demands(facts, Shape(8192), n_gpus=0)
    assert gpu.total_bytes == 0
    assert cpu.weights_bytes == facts.weights_bytes


def test_experts_go_beside_the_card_before_whole_layers_do() -> None:
    plan = make_plan(moe(), PC)
    assert plan.verdict == "fits"
    assert 0 < plan.shape.n_cpu_moe < 40
    assert plan.shape.n_gpu_layers == -1
    one_less = replace(plan.shape, n_cpu_moe=plan.shape.n_cpu_moe - 1)
    gpu, _ = demands(moe(), one_less, n_gpus=1)
    assert gpu.total_bytes > plan.pools[0].capacity_bytes


def test_a_dense_model_is_split_by_layers() -> None:
    facts = replace(moe(expert_share=0), n_experts=0, n_experts_used=0)
    plan = make_plan(facts, PC)
    assert plan.verdict == "fits"
    assert 0 < plan.shape.n_gpu_layers < 40


def test_a_loaded_model_gives_its_memory_back() -> None:
    busy = replace(CPU, ram_available_bytes=4 * GIB)
    facts = moe(layer_mib=400)
    assert make_plan(facts, busy, now=True).verdict == "too big" or (
        make_plan(facts, busy, now=True).verdict == "tight"
    )
    assert make_plan(facts, busy, now=True, freed_bytes=24 * GIB).verdict == "fits"


@settings(max_examples=60, deadline=None)
@given(
    n_layers=st.integers(1, 60),
    layer_mib=st.integers(1, 1500),
    share=st.floats(0, 0.97),
    hardware=st.sampled_from([CPU, PC, MAC]),
    n_ctx=st.sampled_from([0, 4096, 32_768, 262_144]),
)
def test_a_plan_that_fits_stays_within_every_pool(
    n_layers: int, layer_mib: int, share: float, hardware: Hardware, n_ctx: int
) -> None:
    plan = make_plan(moe(n_layers, layer_mib, share), hardware, Wish(n_ctx=n_ctx))
    assert plan.tokens_s > 0
    assert plan.shape.n_ctx >= 4096
    if plan.verdict == "fits":
        assert all(pool.spare_bytes >= 0 for pool in plan.pools)
    if n_ctx:
        assert plan.shape.n_ctx == n_ctx


def test_more_memory_never_means_a_worse_verdict() -> None:
    order = {"too big": 0, "tight": 1, "fits": 2}
    last = 0
    for gib in (4, 8, 12, 16, 20, 24, 32, 48):
        verdict = make_plan(moe(), Hardware("x", gib * GIB, gib * GIB)).verdict
        assert order[verdict] >= last
        last = order[verdict]
    assert last == 2


def test_spare_sequences_are_counted_as_the_engine_counts_them() -> None:
    facts = moe()
    assert facts.state_bytes_per_sequence == 60 * MIB
    assert sequences(facts, 4) == 4 + 1 + 4
    assert sequences(replace(facts, state_bytes_per_layer=0), 4) == 17


def test_every_smaller_plan_is_smaller_until_nothing_is_left() -> None:
    facts = moe()
    spec = make_plan(facts, PC).spec("/m.gguf", "m")
    seen = [spec]
    while (smaller := smaller_spec(seen[-1], facts)) is not None:
        assert smaller not in seen
        seen.append(smaller)
        assert len(seen) < 40
    assert seen[-1].n_gpu_layers == 0
    assert seen[-1].n_ctx == 4096


def test_the_machine_remembers_what_worked(tmp_path: Path) -> None:
    outcomes = Outcomes(tmp_path / "data" / "plans.json")
    wanted = LoadSpec("/m.gguf", "m", n_ctx=65_536)
    smaller = replace(wanted, n_ctx=32_768, kv_type="q8_0")
    outcomes.worked(wanted)
    assert outcomes.apply(wanted) == wanted
    outcomes.failed(wanted)
    assert outcomes.apply(wanted) == wanted
    outcomes.worked(smaller)
    again = Outcomes(tmp_path / "data" / "plans.json")
    assert again.apply(wanted) == smaller
    again.forget("m")
    assert again.apply(wanted) == wanted
    (tmp_path / "data" / "plans.json").write_text('{"m": {"n_ctx": "x", "kv_type": []}}')
    assert again.apply(wanted) == wanted
