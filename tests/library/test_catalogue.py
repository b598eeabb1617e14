"""The catalogue is sound, and its recommendations are ones an expert would sign."""

from __future__ import annotations

import re

import pytest

from app.core.errors import LibraryError
from app.library.catalogue import load_catalogue
from app.library.fit.memory import kv_bytes_per_token, state_bytes
from app.library.fit.plan import GIB, MIB, Wish, make_plan
from app.library.fit.shape import Shape
from app.library.names import check_repo, is_safe_file
from app.library.recommend import nearest_machine, plan_table, recommend

CATALOGUE = load_catalogue()
CODER = "qwen3-coder-next"
SIGNED = {
    "mac-mini-m4-16": {"qwen3.5-9b:Q4_K_M", "granite-4.2-8b:Q4_K_M"},
    "mac-mini-m4-24": {"qwen3.6-35b-a3b:UD-Q3_K_S", "gpt-oss-20b:MXFP4"},
    "mac-mini-m4-32": {"qwen3.6-35b-a3b:UD-Q4_K_M", "qwen3.6-35b-a3b:UD-Q3_K_XL"},
    "mac-mini-m4-pro-48": {f"{CODER}:UD-Q3_K_XL", f"{CODER}:UD-IQ3_XXS"},
    "mac-mini-m4-pro-64": {f"{CODER}:UD-Q4_K_XL", f"{CODER}:UD-IQ4_XS"},
    "rtx-4090-64": {f"{CODER}:UD-Q4_K_XL"},
    "2x-rtx-5090-64": {f"{CODER}:UD-Q4_K_XL"},
    "cpu-16": {"qwen3.5-4b:Q4_K_M"},
}


@pytest.mark.parametrize(("machine", "allowed"), SIGNED.items(), ids=SIGNED.keys())
def test_recommendations_are_what_an_expert_would_say(machine: str, allowed: set[str]) -> None:
    found = recommend(CATALOGUE, CATALOGUE.machine(machine), machine)
    assert found.choice is not None
    assert f"{found.choice.model.id}:{found.choice.file.quant}" in allowed
    assert found.choice.plan.verdict == "fits"
    assert found.reason.endswith(".")
    for other in (found.faster, found.better):
        assert other is None or other.file != found.choice.file
        assert other is None or other.plan.verdict == "fits"


def test_every_tier_holds_under_the_plan() -> None:
    rows = list(plan_table(CATALOGUE))
    assert len(rows) == len(CATALOGUE.machines)
    for machine, tier, choice in rows:
        assert choice is not None, machine
        assert choice.plan.verdict == "fits", machine
        assert choice.plan.shape.n_ctx == tier.context, machine


def test_the_headline_model_has_its_published_memory() -> None:
    model = CATALOGUE.model(CODER)
    assert model is not None
    assert model.is_exact
    for file in model.files:
        facts = model.facts(file)
        assert kv_bytes_per_token(facts) == 24_576
        assert kv_bytes_per_token(facts, "q8_0") == 13_056
        assert facts.state_bytes_per_sequence == 79_036_416
        assert state_bytes(facts, Shape(4096, 1)) == 5 * 79_036_416
        assert facts.weights_bytes == file.size_bytes
        assert facts.attention_layers == 12


def test_no_machine_is_promised_more_than_it_has() -> None:
    for _, hardware in CATALOGUE.machines:
        for model in CATALOGUE.models:
            for file in model.files:
                plan = make_plan(model.facts(file), hardware)
                if plan.verdict == "fits":
                    assert all(pool.spare_bytes >= 0 for pool in plan.pools)


def test_this_machine_is_compared_with_a_smaller_one() -> None:
    for machine_id, hardware in CATALOGUE.machines:
        nearest = nearest_machine(CATALOGUE, hardware)
        assert nearest, machine_id
        other = CATALOGUE.machine(nearest)
        assert other.ram_total_bytes <= hardware.ram_total_bytes * 1.04


def test_a_machine_too_small_is_told_so_kindly() -> None:
    tiny = CATALOGUE.machine("cpu-8")
    small = type(tiny)(title="tiny", ram_total_bytes=2 * GIB, ram_available_bytes=GIB)
    found = recommend(CATALOGUE, small)
    assert found.choice is None
    assert "too little memory" in found.reason


def test_unknown_machines_name_the_known_ones() -> None:
    with pytest.raises(LibraryError, match="mac-mini-m4-16"):
        CATALOGUE.machine("abacus")


def test_every_entry_can_be_downloaded_by_name() -> None:
    for model in CATALOGUE.models:
        assert model.summary.endswith(".")
        for file in model.files:
            check_repo(file.repo)
            assert file.size_bytes > 100 * MIB
            assert all(is_safe_file(path) for path in file.paths)
            assert all(sha == "" or re.fullmatch("[0-9a-f]{64}", sha) for sha in file.sha256)
            assert file.revision == "" or re.fullmatch("[0-9a-f]{40}", file.revision)


def test_coder_next_has_its_sampling_and_revision() -> None:
    model = CATALOGUE.model(CODER)
    assert model is not None
    assert dict(model.sampling) == {
        "temperature": 1.0,
        "top_p": 0.95,
        "top_k": 40,
        "min_p": 0.01,
    }
    assert {file.revision for file in model.files} == {"ce09c67b53bc8739eef83fe67b2f5d293c270632"}


def test_a_wish_is_kept_or_the_plan_says_it_cannot_be() -> None:
    model = CATALOGUE.model(CODER)
    assert model is not None
    facts = model.facts(model.file("UD-Q4_K_XL") or model.files[0])
    mac = CATALOGUE.machine("mac-mini-m4-pro-64")
    assert make_plan(facts, mac, Wish(n_ctx=262_144, kv_type="q8_0")).verdict == "fits"
    assert make_plan(facts, mac, Wish(n_ctx=262_144, kv_type="f16")).verdict == "too big"
    assert make_plan(facts, CATALOGUE.machine("cpu-16")).verdict == "too big"


def test_alternatives_are_what_their_names_say() -> None:
    for machine_id, hardware in CATALOGUE.machines:
        found = recommend(CATALOGUE, hardware, machine_id)
        assert found.choice is not None, machine_id
        if found.faster is not None:
            assert sum(found.faster.tokens_s) >= 1.1 * sum(found.choice.tokens_s), machine_id
        if found.better is not None and found.better.model.id == found.choice.model.id:
            assert found.better.tokens_s[1] <= found.choice.tokens_s[1], machine_id


def test_a_small_card_is_not_promised_what_nobody_measured() -> None:
    machine = CATALOGUE.machine("rtx-4060-16")
    found = recommend(CATALOGUE, machine, "rtx-4060-16")
    assert found.better is not None
    assert found.better.model.id == "qwen3.6-35b-a3b"
    assert found.better.tokens_s[1] < 50  # 25 to 35 are published for the same card
    assert found.better.plan.pools[-1].spare_bytes > GIB  # it cannot give way


def test_table_quantizations_are_slower_beside_a_card() -> None:
    machine = CATALOGUE.machine("cpu-64")
    model = CATALOGUE.model(CODER)
    assert model is not None
    speeds = {}
    for quant in ("UD-IQ4_XS", "UD-Q4_K_XL"):
        file = model.file(quant)
        assert file is not None
        speeds[quant] = make_plan(model.facts(file), machine).tokens_s
    assert speeds["UD-IQ4_XS"] < speeds["UD-Q4_K_XL"]
