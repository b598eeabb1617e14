"""A prompt starts from whatever is already known, and the logits are those of a cold run."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from app.engine.context import PARTIAL_ONLY
from app.engine.loaded_model import EngineModel
from app.engine.run import Run
from app.engine.sampler import Candidates, logits_at
from app.engine.sequences import Reuse
from app.engine.types import Sampling, StopReason
from scripts.make_synthetic_model import write_model
from tests.engine.models import GREEDY, ask, cold_logits, opened


class Fixture:
    """A warm model that answers and a cold one that checks it.

    The models have F32 weights and flash attention is off. With quantised weights llama.cpp rounds
    activations to 8 bits, so that another order of the cells or another number of rows in a decode
    moves logits by up to 0.5; without, only the order of float additions is left.
    """

    def __init__(self, warm: EngineModel, cold: EngineModel) -> None:
        self.warm, self.cold = warm, cold

    def check(self, tokens: list[int], boundaries: list[int]) -> int:
        """Asks, compares the logits at the prompt's end with a cold run; evaluated tokens."""
        seen: list[NDArray[np.float32]] = []
        plain = Run.sample

        def spy(
            run: Run, logits: NDArray[np.float32], scratch: Candidates, *, later: bool = False
        ) -> StopReason | None:
            if not run.generated:
                seen.append(logits.copy())
            return plain(run, logits, scratch, later=later)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Run, "sample", spy)
            result = ask(self.warm, tokens, boundaries=boundaries, max_tokens=3)
        (warm,) = seen
        cold = cold_logits(self.cold, tokens, range(64, len(tokens), 64))
        assert float(np.abs(warm - cold).max()) <= 1e-3
        assert float(np.abs(cold).max()) > 0.5
        assert result.cached + result.evaluated == len(tokens)
        return result.evaluated


def _fixture(folder: Path, preset: str) -> Iterator[Fixture]:
    path = write_model(folder / f"{preset}.gguf", preset)
    with opened(path, flash_attention=0) as warm, opened(path, flash_attention=0) as cold:
        yield Fixture(warm, cold)


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fixture]:
    for fixture in _fixture(tmp_path_factory.mktemp("exact"), "exact"):
        assert not fixture.warm.scheduler.sequences.can_forget
        yield fixture


@pytest.fixture(scope="module")
def attention(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fixture]:
    for fixture in _fixture(tmp_path_factory.mktemp("exact"), "exact-llama"):
        assert fixture.warm.scheduler.sequences.can_forget
        yield fixture


def _conversation(rng: random.Random, turns: int) -> list[list[int]]:
    return [[rng.randrange(0, 600) for _ in range(rng.randrange(6, 50))] for _ in range(turns)]


def _flat(turns: list[list[int]]) -> tuple[list[int], list[int]]:
    tokens: list[int] = []
    boundaries = []
    for turn in turns:
        boundaries.append(len(tokens))
        tokens += turn
    return tokens, [n for n in boundaries if n]


def _edit(rng: random.Random, turns: list[list[int]], past: list[list[list[int]]]) -> str:
    kind = rng.choice(["append", "append", "edit last", "edit middle", "go back", "regenerate"])
    if kind == "append":
        turns.append(_conversation(rng, 1)[0])
    elif kind == "edit last":
        turns[-1] = _conversation(rng, 1)[0]
    elif kind == "edit middle":
        at = rng.randrange(len(turns))
        del turns[at:]
        turns.append(_conversation(rng, 1)[0])
    elif kind == "go back":
        turns[:] = [list(turn) for turn in rng.choice(past)]
    return kind


def _random_edits(fixture: Fixture, seed: int, steps: int) -> None:
    rng = random.Random(seed)
    turns = _conversation(rng, 3)
    past: list[list[list[int]]] = []
    for _ in range(steps):
        fixture.check(*_flat(turns))
        past.append([list(turn) for turn in turns])
        _edit(rng, turns, past)


@pytest.mark.parametrize("seed", [1, 2])
def test_random_edits_of_a_hybrid_chat_give_the_logits_of_a_cold_run(
    hybrid: Fixture, seed: int
) -> None:
    _random_edits(hybrid, seed, 24)


@pytest.mark.parametrize("seed", [3, 4])
def test_random_edits_of_an_attention_chat_give_the_logits_of_a_cold_run(
    attention: Fixture, seed: int
) -> None:
    _random_edits(attention, seed, 24)


@pytest.mark.parametrize("name", ["hybrid", "attention"])
def test_each_kind_of_turn_evaluates_no_more_than_it_must(
    name: str, request: pytest.FixtureRequest
) -> None:
    fixture: Fixture = request.getfixturevalue(name)
    rng = random.Random(11)
    system, first, second, third = (
        [rng.randrange(0, 600) for _ in range(n)] for n in (90, 30, 25, 20)
    )
    assert fixture.check(*_flat([system, first])) == 120
    assert fixture.check(*_flat([system, first, second])) <= 25 + 8
    again = 1 if fixture.warm.scheduler.sequences.can_forget else 0
    assert fixture.check(*_flat([system, first, second])) == again
    assert fixture.check(*_flat([system, first, third])) <= 20 + 8
    assert fixture.check(*_flat([system, first, second])) == again
    assert fixture.check(*_flat([system, third])) <= 20 + 8


def test_a_restore_without_the_trim_is_impossible_to_reach_and_would_be_wrong(
    hybrid: Fixture,
) -> None:
    """The trap itself, so that a change of llama.cpp's behaviour is noticed."""
    model = hybrid.cold
    rng = random.Random(5)
    tokens = [rng.randrange(0, 600) for _ in range(96)]

    def job() -> tuple[bool, bool, int, float, float]:
        context = model.context
        n_vocab = model.vocabulary.n_tokens

        def decode(part: list[int], at: int) -> NDArray[np.float32]:
            context.batch.clear()
            context.batch.add(part, at, 0, output=True)
            assert context.decode()
            return logits_at(context.handle, -1, n_vocab).copy()

        context.clear(0)
        decode(tokens[:64], 0)
        blob = context.read_state(0, PARTIAL_ONLY)
        assert blob is not None
        right = decode(tokens[64:70], 64)
        decode(tokens[70:], 70)
        refused = context.trim(0, 64)
        assert context.write_state(blob, 0, PARTIAL_ONLY)
        length = context.length(0)
        wrong = decode(tokens[64:70], 64)
        assert context.write_state(blob, 0, PARTIAL_ONLY)
        trimmed = context.trim(0, 64)
        again = decode(tokens[64:70], 64)
        context.clear(0)
        return (
            refused,
            trimmed,
            length,
            float(np.abs(wrong - right).max()),
            float(np.abs(again - right).max()),
        )

    refused, trimmed, length, off_without_trim, off_with_trim = model.scheduler.call(job).result()
    assert not refused
    assert trimmed
    assert length == 64
    assert off_without_trim > 0.01
    assert off_with_trim == 0.0


def test_a_checkpoint_is_not_loaded_where_its_attention_cells_are_gone(hybrid: Fixture) -> None:
    model = hybrid.warm
    tokens = [400 + i for i in range(80)]
    ask(model, tokens, boundaries=[40])

    def job() -> int:
        sequences = model.scheduler.sequences
        (mark, *_) = sequences.checkpoints.matching(np.asarray(tokens, np.int32), 79)
        victim = next(item for item in sequences.all if not item.busy)
        sequences.forget(victim)
        prompt = np.asarray(tokens, np.int32)
        sequences.acquire_as(Reuse(victim, mark.n_tokens, mark), prompt, 1)
        held = len(victim.tokens)
        sequences.release(victim)
        return held

    assert model.scheduler.call(job).result() == 0


def test_a_damaged_checkpoint_means_reading_again_not_wrong_answers(hybrid: Fixture) -> None:
    rng = random.Random(77)
    turns = _conversation(rng, 3)
    tokens, boundaries = _flat(turns)
    fixture = hybrid
    fixture.check(tokens, boundaries)
    for mark in fixture.warm.checkpoints:
        mark.blob = mark.blob[: len(mark.blob) // 2]
    other = [*tokens[: boundaries[-1]], *range(500, 540)]
    assert fixture.check(other, boundaries) == len(other)
    fixture.warm.checkpoints.clear()


def test_one_prompt_is_never_answered_from_another_ones_logits(hybrid: Fixture) -> None:
    model = hybrid.warm
    tokens = list(range(500, 560))
    first = ask(model, tokens, sampling=GREEDY, max_tokens=6)
    again = ask(model, tokens, sampling=GREEDY, max_tokens=6)
    assert again.ids == first.ids
    assert again.evaluated == 0  # its logits were kept with the state
    assert again.cached == len(tokens)


def test_another_answer_to_the_same_prompt_is_as_free_as_the_first(hybrid: Fixture) -> None:
    model = hybrid.warm
    tokens = list(range(300, 380))
    many = Sampling(temperature=1.0, top_k=40, seed=None)
    answers = [tuple(ask(model, tokens, sampling=many, max_tokens=8).ids) for _ in range(6)]
    assert len(set(answers)) > 1
    odds = ask(model, tokens, sampling=Sampling(temperature=0, logprobs=3), max_tokens=2)
    cold = cold_logits(hybrid.cold, tokens, [64])
    best = float(cold.max() - np.log(np.exp(cold - cold.max()).sum()) - cold.max())
    (first, _) = [found for chunk in odds.chunks for found in chunk.logprobs]
    assert first.logprob == pytest.approx(best, abs=1e-3)


def test_an_evicted_checkpoint_means_reading_again(
    hybrid: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = list(range(200, 270))
    ask(hybrid.warm, tokens)
    monkeypatch.setattr(hybrid.warm.scheduler.sequences, "known_logits", lambda _prompt: None)
    assert hybrid.check(tokens, []) == len(tokens)
