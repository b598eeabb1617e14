"""A model that answers: weights, context, tokenizer and decode thread, opened and closed as one."""

from __future__ import annotations

import asyncio
import ctypes
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as lib
import psutil

from app.core.control import LoadSpec, MemoryUse, ModelInfo
from app.core.errors import UnsupportedModel
from app.engine.checkpoints import CheckpointStore
from app.engine.context import Context
from app.engine.disk_states import DiskStates, model_fingerprint
from app.engine.embeddings import Embedder
from app.engine.generation import GenerationHandle
from app.engine.gguf_header import GgufHeader
from app.engine.loading import (
    ContextPlan,
    LoadedWeights,
    load_weights,
    make_context,
    plan_context,
    report_memory,
    state_bytes,
)
from app.engine.native import build_name
from app.engine.saved_states import SavedStates
from app.engine.scheduler import Scheduler
from app.engine.sequences import Sequences
from app.engine.types import GenerationRequest
from app.engine.vocabulary import Vocabulary

_MIN_BUDGET, _MAX_BUDGET = 64 << 20, 1 << 30


_CLOSING_SAVE_S = 0.8


@dataclass(frozen=True, slots=True)
class DiskCache:
    """Where conversation states may be kept, and how many bytes in all."""

    folder: Path
    budget_bytes: int


class EngineModel:
    """One loaded model. Close it exactly once; nothing of it works afterwards."""

    def __init__(
        self,
        spec: LoadSpec,
        weights: LoadedWeights,
        plan: ContextPlan,
        max_queue: int,
        cache: DiskCache | None = None,
    ) -> None:
        self.spec = spec
        self.weights = weights
        self.plan = plan
        handle, lines = make_context(weights, plan, Path(spec.model_path).name)
        self.memory: tuple[MemoryUse, ...] = report_memory(weights, lines)
        self.context = Context(handle, plan.n_batch)
        self.vocabulary = Vocabulary(weights.handle, self)
        self.chat_template = _template(weights.handle, None)
        self.tool_template = _template(weights.handle, b"tool_use")
        budget = spec.checkpoint_budget_bytes or default_budget()
        remembers = lib.llama_model_is_hybrid(weights.handle) or lib.llama_model_is_recurrent(
            weights.handle
        )
        can_forget = not remembers
        if remembers:
            self.context.stage_states(state_bytes(weights.header))
        # Recurrent models share the budget between checkpoints and swapped-out conversations.
        self.checkpoints = CheckpointStore(0 if can_forget else budget * 3 // 4)
        self.saved = SavedStates(budget - self.checkpoints.budget_bytes)
        self.sequences = Sequences(
            self.context,
            self.checkpoints,
            can_forget=can_forget,
            saved=self.saved,
            disk=self._disk(cache) if cache and not plan.embedding else None,
        )
        self.info = self._describe()
        self.scheduler = Scheduler(
            self.context,
            self.vocabulary,
            self.sequences,
            n_parallel=plan.n_parallel,
            n_threads=plan.n_threads,
            context_tokens=self.info.n_ctx,
            max_queue=max_queue,
            name=f"decode {spec.model_id}",
        )
        self._embedder = (
            Embedder(self.context, weights.handle, self.info.n_ctx) if plan.embedding else None
        )
        self.scheduler.start()

    @classmethod
    def open(
        cls,
        spec: LoadSpec,
        header: GgufHeader,
        on_progress: Callable[[float], bool],
        max_queue: int = 64,
        plan: ContextPlan | None = None,
        cache: DiskCache | None = None,
    ) -> EngineModel:
        """Blocks until the model answers; `plan` replaces the one made from the spec.

        Raises:
            LoadCancelled, BadModelFile, UnsupportedModel, OutOfMemory.
        """
        started = time.perf_counter()
        # Planned first: afterwards the weights no longer count as free memory.
        plan = plan or plan_context(spec, header)
        weights = load_weights(spec, header, on_progress)
        try:
            model = cls(spec, weights, plan, max_queue, cache)
        except BaseException:
            lib.llama_model_free(weights.handle)
            raise
        object.__setattr__(model.info, "load_s", time.perf_counter() - started)
        return model

    def close(self) -> None:
        """Frees in the only safe order: samplers (with the thread), context, model."""
        self.scheduler.close()
        started = time.monotonic()
        while time.monotonic() - started < _CLOSING_SAVE_S and self.sequences.save_to_disk():
            pass
        self.context.close()
        lib.llama_model_free(self.weights.handle)

    @property
    def tokenizer(self) -> Vocabulary:
        return self.vocabulary

    def submit(self, request: GenerationRequest) -> GenerationHandle:
        if self._embedder is not None:
            raise UnsupportedModel(
                f"{self.spec.model_id} makes embeddings and cannot write text.",
                "Load a chat model.",
            )
        return self.scheduler.submit(request)

    async def embed(self, inputs: Sequence[Sequence[int]]) -> list[list[float]]:
        embedder = self._embedder
        if embedder is None:
            raise UnsupportedModel(
                f"{self.spec.model_id} makes no embeddings.", "Load an embedding model."
            )
        call = self.scheduler.call
        # one call for each, so that a client that goes away does not leave thousands to be read
        return [
            await asyncio.wrap_future(call(partial(embedder.embed, tokens))) for tokens in inputs
        ]

    def _disk(self, cache: DiskCache) -> DiskStates:
        parts = (
            model_fingerprint(Path(self.spec.model_path)),
            build_name(),
            self.plan.kv_type,
            str(self.plan.flash_attention),
            "unified",
        )
        return DiskStates(cache.folder, "\n".join(parts), cache.budget_bytes)

    def _describe(self) -> ModelInfo:
        model, header = self.weights.handle, self.weights.header
        buffer = ctypes.create_string_buffer(256)
        lib.llama_model_desc(model, buffer, 256)
        n_train = int(lib.llama_model_n_ctx_train(model))
        return ModelInfo(
            model_id=self.spec.model_id,
            architecture=header.architecture,
            description=buffer.value.decode("utf-8", "replace"),
            n_params=int(lib.llama_model_n_params(model)),
            size_bytes=int(lib.llama_model_size(model)),
            memory_bytes=sum(use.total_bytes for use in self.memory),
            n_ctx=min(self.context.n_ctx, n_train) if n_train > 0 else self.context.n_ctx,
            n_ctx_train=n_train,
            n_parallel=self.plan.n_parallel,
            n_vocab=self.vocabulary.n_tokens,
            is_hybrid=bool(lib.llama_model_is_hybrid(model)),
            has_chat_template=self.chat_template is not None,
            is_embedding=self.plan.embedding,
            sampling=dict(self.spec.sampling),
        )


def default_budget() -> int:
    """Host memory for checkpoints and swapped-out chats: a twentieth of it, within 64 MiB–1 GiB."""
    return min(_MAX_BUDGET, max(_MIN_BUDGET, int(psutil.virtual_memory().total) // 20))


def _template(model: Any, name: bytes | None) -> str | None:
    raw = lib.llama_model_chat_template(model, name)
    return raw.decode("utf-8", "replace") if raw else None
