"""Vectors from an embedding model, on its decode thread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import llama_cpp.llama_cpp as lib
import numpy as np

from app.core.errors import ContextFull, EngineError
from app.engine.context import Context, DecodeFailed

_POOLING_NONE = 0


class Embedder:
    """Evaluates one input at a time; pooled by the model's own rule, else by the mean.

    An input must fit into one micro-batch (pooling sees nothing else) and into the positions the
    model was trained with: beyond them, models with learned positions end the process.
    """

    def __init__(self, context: Context, model: Any, context_tokens: int) -> None:
        self._context = context
        self._limit = min(context.batch.capacity, context.n_ubatch, context_tokens)
        self._n_embd = int(lib.llama_model_n_embd(model))
        self._pooled = int(lib.llama_pooling_type(context.handle)) != _POOLING_NONE

    def embed(self, tokens: Sequence[int]) -> list[float]:
        """Raises: ContextFull when the input is too long."""
        context = self._context
        if not 0 < len(tokens) <= self._limit:
            raise ContextFull(
                f"An input of {len(tokens):,} tokens does not fit into {self._limit:,}.",
                "Split it into shorter pieces.",
                prompt_tokens=len(tokens),
                context_tokens=self._limit,
            )
        context.clear(0)
        context.batch.clear()
        context.batch.add(tokens, 0, 0, output=True)
        context.batch.output_all()
        try:
            decoded = context.decode()
        except DecodeFailed:
            decoded = False
        if not decoded:
            raise EngineError("The input could not be embedded.", "Try a shorter one.")
        context.synchronize()
        if self._pooled:
            pointer = lib.llama_get_embeddings_seq(context.handle, 0)
            vector = np.ctypeslib.as_array(pointer, (self._n_embd,)).astype(np.float64)
        else:
            rows = [
                np.ctypeslib.as_array(
                    lib.llama_get_embeddings_ith(context.handle, i), (self._n_embd,)
                )
                for i in range(len(tokens))
            ]
            vector = np.mean(rows, axis=0, dtype=np.float64)
        context.clear(0)
        return [float(value) for value in vector]
