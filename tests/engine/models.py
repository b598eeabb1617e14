"""Helpers for tests that decode with a real context: open a model, run requests to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.core.control import LoadSpec
from app.engine.gguf_header import read_header
from app.engine.loaded_model import EngineModel
from app.engine.loading import plan_context
from app.engine.sampler import logits_at
from app.engine.types import Boundary, Chunk, Finished, GenerationRequest, Prompt, Sampling

GREEDY = Sampling(temperature=0)


@contextmanager
def opened(path: Path, *, flash_attention: int = -1, **spec: object) -> Iterator[EngineModel]:
    """A loaded model with one compute thread (two stall each other on a busy machine)."""
    values = {"n_ctx": 4096, "n_threads": 1, **spec}
    load = LoadSpec(model_path=str(path), model_id=path.stem, **values)  # type: ignore[arg-type]
    header = read_header(path)
    plan = replace(plan_context(load, header), flash_attention=flash_attention)
    model = EngineModel.open(load, header, lambda _fraction: True, plan=plan)
    try:
        yield model
    finally:
        model.close()


@dataclass
class Result:
    text: str = ""
    ids: list[int] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    finished: Finished | None = None

    @property
    def evaluated(self) -> int:
        assert self.finished is not None
        return self.finished.timings.prompt_n

    @property
    def cached(self) -> int:
        assert self.finished is not None
        return self.finished.usage.cached_tokens


async def generate(model: EngineModel, request: GenerationRequest) -> Result:
    result = Result()
    async for event in model.submit(request):
        if isinstance(event, Chunk):
            result.text += event.text
            result.ids += event.token_ids
            result.chunks.append(event)
        elif isinstance(event, Finished):
            result.finished = event
    return result


def ask(
    model: EngineModel,
    tokens: Sequence[int],
    *,
    boundaries: Sequence[int] = (),
    sampling: Sampling = GREEDY,
    max_tokens: int = 4,
    **more: object,
) -> Result:
    """One request on a loop of its own."""
    marks = tuple(Boundary(n, "message") for n in boundaries)
    request = GenerationRequest(
        Prompt(tuple(tokens), marks),
        sampling,
        max_tokens=max_tokens,
        **more,  # type: ignore[arg-type]
    )
    return asyncio.run(generate(model, request))


def last_logits(model: EngineModel) -> NDArray[np.float32]:
    """The logits of the newest decoded token, copied."""
    n_vocab = model.vocabulary.n_tokens
    return model.scheduler.call(
        lambda: logits_at(model.context.handle, -1, n_vocab).copy()
    ).result()


def cold_logits(
    model: EngineModel, tokens: Sequence[int], splits: Sequence[int]
) -> NDArray[np.float32]:
    """Logits after `tokens` read into an empty sequence, one decode for each split end."""

    def job() -> NDArray[np.float32]:
        context = model.context
        for sequence in model.scheduler.sequences.all:
            model.scheduler.sequences.forget(sequence)
        start = 0
        for end in [*splits, len(tokens)]:
            if end > start:
                context.batch.clear()
                context.batch.add(list(tokens[start:end]), start, 0, output=end == len(tokens))
                assert context.decode()
                start = end
        logits = logits_at(context.handle, -1, model.vocabulary.n_tokens).copy()
        context.clear(0)
        return logits

    return model.scheduler.call(job).result()
