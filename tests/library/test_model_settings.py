"""What the user fixed for one model, and what a shortage of memory taught, shape the next load."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from app.library.choice import LoadKnowledge, load_spec_for, smaller_spec, smaller_words
from app.library.fit.plan import Wish
from app.library.hardware import Hardware
from app.library.model_settings import ModelSettings, ModelSettingsFile
from app.library.outcomes import Outcomes
from app.library.store import Store
from tests.library.ggufs import write_tiny

GIB = 1 << 30
MACHINE = Hardware("m", 32 * GIB, 28 * GIB)
MINE = ModelSettings(
    n_ctx=512 * 4, kv_type="q8_0", sampling={"temperature": 0.3}, system_prompt="Be brief."
)


@pytest.fixture
def known(tmp_path: Path) -> LoadKnowledge:
    return LoadKnowledge(
        ModelSettingsFile(tmp_path / "config" / "models.json"),
        Outcomes(tmp_path / "data" / "outcomes.json"),
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "models")
    store.add_file(write_tiny(tmp_path / "tiny.gguf", **{"llama.context_length": 4096}))
    return store


def test_they_come_back_as_they_were_put_and_go_without_a_trace(known: LoadKnowledge) -> None:
    known.settings.put("tiny", MINE)
    assert known.settings.get("tiny") == MINE
    assert known.settings.get("other").is_recommended
    known.settings.put("tiny", ModelSettings())
    assert known.settings.get("tiny").is_recommended


@pytest.mark.parametrize(
    "spoiled",
    [
        "not json",
        "[]",
        '{"tiny": 3}',
        json.dumps({"tiny": {"n_ctx": -5, "kv_type": "q2", "sampling": {"temperature": 99}}}),
        json.dumps({"tiny": {"n_ctx": True, "n_gpu_layers": "all", "sampling": [], "x": 1}}),
        json.dumps({"tiny": {"system_prompt": 7, "n_cpu_moe": 1e9, "sampling": {"top_k": True}}}),
    ],
)
def test_what_is_not_sound_counts_as_not_there(
    known: LoadKnowledge, tmp_path: Path, spoiled: str
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "models.json").write_text(spoiled)
    assert known.settings.get("tiny").is_recommended


def test_a_model_loads_as_its_settings_say(store: Store, known: LoadKnowledge) -> None:
    known.settings.put("tiny", MINE)
    spec = load_spec_for("tiny", store, hardware=MACHINE, known=known, wish=Wish(n_ctx=4096))
    assert spec is not None
    assert (spec.n_ctx, spec.kv_type) == (2048, "q8_0")
    assert spec.sampling["temperature"] == 0.3
    ordered = load_spec_for("tiny", store, hardware=MACHINE, known=known, ordered=Wish(n_ctx=1024))
    assert ordered is not None
    assert (ordered.n_ctx, ordered.kv_type) == (1024, "q8_0")


def test_more_than_a_model_can_is_bounded(store: Store) -> None:
    facts = store.find("tiny").facts
    bounded = ModelSettings(n_ctx=1_000_000, n_gpu_layers=900, n_cpu_moe=5).bounded(facts)
    assert bounded == ModelSettings(n_ctx=4096, n_gpu_layers=facts.n_layers + 1)


def test_after_a_shortage_the_machine_loads_what_worked(store: Store, known: LoadKnowledge) -> None:
    first = load_spec_for("tiny", store, hardware=MACHINE, known=known)
    assert first is not None
    smaller = smaller_spec(first, store.find("tiny").facts)
    assert smaller is not None
    assert smaller_words(first, smaller)
    known.outcomes.failed(first)
    known.outcomes.worked(smaller)
    again = load_spec_for("tiny", store, hardware=MACHINE, known=known)
    assert again is not None
    assert replace(again, sampling={}) == replace(smaller, sampling={})
    known.outcomes.forget("tiny")
    assert load_spec_for("tiny", store, hardware=MACHINE, known=known) == first
