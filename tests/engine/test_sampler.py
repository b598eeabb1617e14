"""The short way to a token gives the token of the long way."""

from __future__ import annotations

from typing import Any

import llama_cpp.llama_cpp as lib
import numpy as np
import pytest
from numpy.typing import NDArray

from app.engine.sampler import Candidates, Sampler
from app.engine.types import Sampling

_N_VOCAB = 5_003


class _Vocabulary:
    n_tokens = _N_VOCAB
    handle = None


def _whole(sampler: Sampler, scratch: Candidates, logits: NDArray[np.float32]) -> int:
    """What the chain picks when it sees every token."""
    rows = scratch.fill(logits)
    lib.llama_sampler_apply(sampler._chain, rows)
    token = sampler._selected(rows)
    lib.llama_sampler_accept(sampler._chain, token)
    return token


def _rows(seed: int) -> list[NDArray[np.float32]]:
    """Distributions of one model: flat, peaked, shifted, with forbidden tokens."""
    rng = np.random.default_rng(seed)
    flat = [rng.normal(0, 3, _N_VOCAB) for _ in range(20)]
    peaked = [row + 40 * (np.arange(_N_VOCAB) == 17 * i) for i, row in enumerate(flat)]
    shifted = [row + 25 * i for i, row in enumerate(flat)]
    forbidden = [np.where(row > 4, -np.inf, row) for row in flat]
    order = rng.permutation(80)
    every = [*flat, *peaked, *shifted, *forbidden]
    return [every[i].astype(np.float32) for i in order]


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0, top_p=0.95, top_k=40, min_p=0.01, seed=1),
        Sampling(temperature=0.7, top_p=0.8, top_k=20, min_p=0.0, seed=5, repeat_penalty=1.05),
        Sampling(temperature=1.0, top_p=1.0, top_k=256, min_p=0.0, seed=9),
        Sampling(temperature=0.0),
        Sampling(temperature=0.0, presence_penalty=1.5),
    ],
)
def test_the_likeliest_tokens_alone_give_the_same_choice(
    sampling: Sampling,
) -> None:
    rows = _rows(3)
    scratch, vocabulary = Candidates(_N_VOCAB), _Vocabulary()
    narrow, whole = (Sampler(vocabulary, sampling) for _ in range(2))  # type: ignore[arg-type]
    assert narrow._narrow_k
    try:
        picked = [narrow.sample(row, scratch) for row in rows]
        assert picked == [_whole(whole, scratch, row) for row in rows]
        assert len(set(picked)) > 10
    finally:
        narrow.close()
        whole.close()


def test_a_biased_request_sees_the_whole_vocabulary() -> None:
    sampler = Sampler(
        _Vocabulary(),  # type: ignore[arg-type]
        Sampling(temperature=0.0, logit_bias=((4_000, 100.0),)),
    )
    assert not sampler._narrow_k
    sampler.close()


@pytest.mark.parametrize("value", [np.nan, -np.inf, 0.0])
def test_a_row_without_any_likeliest_token_still_gives_one(value: float) -> None:
    row: Any = np.full(_N_VOCAB, value, np.float32)
    sampler = Sampler(_Vocabulary(), Sampling(temperature=0.0))  # type: ignore[arg-type]
    try:
        assert 0 <= sampler.sample(row, Candidates(_N_VOCAB)) < _N_VOCAB
    finally:
        sampler.close()
