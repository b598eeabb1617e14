"""Mixed requests, eight at a time: every one answered or refused, nothing left behind."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import psutil
import pytest

from app.core.errors import ContextFull, EngineBusy, EngineRefused
from app.engine.loaded_model import EngineModel
from app.engine.types import Boundary, Chunk, Finished, GenerationRequest, Grammar, Prompt, Sampling
from scripts.make_synthetic_model import write_model
from tests.engine.models import opened

AT_ONCE = 8


def _request(rng: random.Random, heads: list[tuple[int, ...]]) -> GenerationRequest:
    kind = rng.random()
    head = rng.choice(heads)
    tail = tuple(rng.randrange(0, 600) for _ in range(rng.randrange(1, 60)))
    tokens = head + tail
    grammar = None
    if kind < 0.03:
        tokens = tuple([1] * 5000)  # oversized
    elif kind < 0.06:
        grammar = Grammar("root ::= (")  # malformed
    elif kind < 0.12:
        grammar = Grammar('root ::= [a-z ]{1,5} "."')
    sampling = Sampling(
        temperature=rng.choice([0.0, 0.7, 1.5]),
        seed=rng.randrange(1000),
        repeat_penalty=rng.choice([1.0, 1.2]),
        logprobs=rng.choice([None, None, 2]),
    )
    return GenerationRequest(
        Prompt(tokens, (Boundary(len(head), "message"),)),
        sampling,
        max_tokens=rng.randrange(1, 20),
        stop=rng.choice([(), ("e", "\n"), ("never this",)]),
        grammar=grammar,
        priority=rng.randrange(3),
    )


async def _one(model: EngineModel, request: GenerationRequest, cancel_after: int | None) -> str:
    try:
        handle = model.submit(request)
        seen = 0
        last = None
        async for event in handle:
            seen += isinstance(event, Chunk)
            if cancel_after is not None and seen >= cancel_after:
                handle.cancel()
            last = event
    except ContextFull:
        return "too long"
    except EngineRefused:
        return "bad grammar"
    except EngineBusy:
        return "busy"
    assert isinstance(last, Finished)
    return last.reason


async def _soak(model: EngineModel, n_requests: int) -> tuple[dict[str, int], int, int]:
    rng = random.Random(2026)
    heads = [tuple(rng.randrange(0, 600) for _ in range(n)) for n in (40, 200, 350)]
    outcomes: dict[str, int] = {}
    gate = asyncio.Semaphore(AT_ONCE)
    process = psutil.Process()
    warm_bytes = 0

    async def run(i: int) -> None:
        nonlocal warm_bytes
        async with gate:
            if i == n_requests // 3:
                warm_bytes = process.memory_info().rss
            cancel = rng.randrange(0, 4) if rng.random() < 0.2 else None
            outcome = await _one(model, _request(rng, heads), cancel)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1

    await asyncio.gather(*(run(i) for i in range(n_requests)))
    return outcomes, warm_bytes, process.memory_info().rss


@pytest.mark.slow
@pytest.mark.parametrize(("preset", "n_requests"), [("exact", 1000), ("exact-llama", 400)])
def test_mixed_requests_leave_nothing_behind(preset: str, n_requests: int, tmp_path: Path) -> None:
    path = write_model(tmp_path / f"{preset}.gguf", preset)
    budget = 24 << 20
    with opened(path, n_ctx=2048, n_parallel=4, checkpoint_budget_bytes=budget) as model:
        outcomes, warm_bytes, end_bytes = asyncio.run(_soak(model, n_requests))
        assert sum(outcomes.values()) == n_requests
        assert outcomes["too long"] > 2
        assert outcomes["bad grammar"] > 2
        assert outcomes["cancelled"] > 10
        assert outcomes["length"] > 80
        assert model.scheduler.n_active == 0
        assert model.scheduler.n_queued == 0
        assert not any(sequence.busy for sequence in model.sequences.all)
        assert model.checkpoints.used_bytes + model.saved.used_bytes <= budget
        for sequence in model.sequences.all:
            assert model.context.length(sequence.seq_id) == len(sequence.tokens)
    assert end_bytes <= warm_bytes * 1.03, (warm_bytes, end_bytes)
