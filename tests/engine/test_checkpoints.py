from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from app.engine.checkpoints import CheckpointStore, Tokens


def _tokens(*values: int) -> Tokens:
    return np.asarray(values, np.int32)


def _blob(n: int) -> NDArray[np.uint8]:
    return np.zeros(n, np.uint8)


def test_the_budget_is_never_exceeded() -> None:
    rng = random.Random(3)
    store = CheckpointStore(10_000)
    for _ in range(400):
        store.tick()
        length = rng.randrange(1, 60)
        store.add(_tokens(*(rng.randrange(3) for _ in range(length))), _blob(700), "message")
        assert store.used_bytes <= store.budget_bytes
        assert store.used_bytes == sum(item.size_bytes for item in store)


def test_a_blob_beyond_the_budget_is_not_kept() -> None:
    store = CheckpointStore(100)
    assert not store.add(_tokens(1), _blob(200), "end")
    assert len(store) == 0


def test_only_prefixes_of_the_prompt_match_longest_first() -> None:
    store = CheckpointStore(10_000)
    for tokens in (_tokens(1, 2), _tokens(1, 2, 3, 4), _tokens(1, 9, 3), _tokens(1, 2, 3, 4, 5)):
        store.add(tokens, _blob(10), "message")
    found = store.matching(_tokens(1, 2, 3, 4, 5, 6), 4)
    assert [item.n_tokens for item in found] == [4, 2]


def test_the_system_prefix_outlives_the_turns() -> None:
    store = CheckpointStore(8_000)
    store.add(_tokens(*range(100)), _blob(1000), "prefix")
    for n in range(110, 400, 10):
        store.tick()
        store.add(_tokens(*range(n)), _blob(500), "message")
    assert store.after(_tokens(*range(100)))
    assert store.after(_tokens(*range(390)))


def test_close_neighbours_go_before_lonely_ones() -> None:
    store = CheckpointStore(3 * (1000 + 4 * 1000))
    store.add(_tokens(*range(500)), _blob(1000), "message")
    store.add(_tokens(*range(504)), _blob(1000), "end")
    store.add(_tokens(*range(900)), _blob(1000), "message")
    store.add(_tokens(*range(1000)), _blob(1000), "message")
    store.add(_tokens(*range(1400)), _blob(1000), "message")
    assert not store.after(_tokens(*range(504)))
    assert store.after(_tokens(*range(500)))


def test_logits_join_a_checkpoint_that_had_none_and_count_in_its_bytes() -> None:
    store = CheckpointStore(10_000)
    tokens, logits = _tokens(1, 2, 3), np.ones(50, np.float32)
    store.add(tokens, _blob(100), "prefix")
    before = store.used_bytes
    store.add(tokens, _blob(100), "end", logits)
    store.add(tokens, _blob(100), "end")
    assert len(store) == 1
    found = store.after(tokens)
    assert found is not None
    assert found.logits is logits
    assert found.kind == "prefix"
    assert store.used_bytes == before + logits.nbytes


def test_only_a_checkpoint_with_logits_serves_a_prompt_that_ends_where_it_is() -> None:
    store = CheckpointStore(10_000)
    tokens, longer = _tokens(1, 2, 3), _tokens(1, 2, 3, 4)
    store.add(tokens, _blob(100), "message")
    (plain,) = store
    assert not plain.serves(tokens, 3)
    assert plain.serves(longer, 3)
    store.add(tokens, _blob(100), "end", np.ones(5, np.float32))
    (told,) = store
    assert told.serves(tokens, 3)
    assert told.serves(longer, 3)
    assert not told.serves(_tokens(1, 2, 9), 2)
