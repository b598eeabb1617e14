"""All models of this process: loaded, unloaded, found by name, let go when idle."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from app.core.control import EngineBoot, EngineState, EngineStatus, LoadEvent, LoadSpec, ModelInfo
from app.core.errors import (
    GarretError,
    ModelNotFound,
    NoModelLoaded,
    OutOfMemory,
    error_from_json,
)
from app.core.prompt_states import PromptStates
from app.core.tasks import end_tasks
from app.engine.gguf_header import GgufHeader, read_header
from app.engine.loaded_model import DiskCache, EngineModel
from app.engine.loading import (
    LoadCancelled,
    available_bytes,
    kv_bytes_per_token,
    plan_context,
    state_bytes,
)
from app.engine.native import library

_log = logging.getLogger(__name__)
_IDLE_CHECK_S = 5.0
# What a load needs beyond weights and caches: compute buffers and the rest of the machine.
_MARGIN_BYTES = 256 << 20
_DISK_CACHE_BYTES = 4 << 30


class Service:
    """Implements EngineService. Lives on one event loop; loads run in worker threads."""

    def __init__(self, boot: EngineBoot, *, containment: str = "") -> None:
        self._boot = boot
        self._containment = containment
        self._catalogue: dict[str, LoadSpec] = {}
        self._models: dict[str, EngineModel] = {}
        self._load_lock = asyncio.Lock()
        self._loading: str | None = None
        self._fraction = 0.0
        self._error: dict[str, Any] | None = None
        self._started = time.monotonic()
        self._idle_task: asyncio.Task[None] | None = None
        self._set_catalogue(boot.models)

    def start(self) -> None:
        """Begins to watch for idle models."""
        self._idle_task = asyncio.create_task(self._unload_idle())

    async def close(self) -> None:
        """Stops watching and unloads everything."""
        if self._idle_task is not None:
            await end_tasks(self._idle_task)
        for model_id in list(self._models):
            await self.unload(model_id)

    def status(self) -> EngineStatus:
        models = list(self._models.values())
        state: EngineState = "ready" if models else "failed" if self._error else "idle"
        if self._loading:
            state = "loading"
        return EngineStatus(
            state=state,
            models=tuple(model.info for model in models),
            loading=self._loading,
            load_fraction=self._fraction,
            memory={model.info.model_id: model.memory for model in models},
            active_requests=sum(model.scheduler.n_active for model in models),
            queued_requests=sum(model.scheduler.n_queued for model in models),
            error=self._error,
            backends=library().devices(),
            pid=os.getpid(),
            devices=library().device_list(),
            containment=self._containment,
        )

    def available(self) -> list[ModelInfo]:
        loaded = [model.info for model in self._models.values()]
        others = [ModelInfo(model_id=name) for name in self._catalogue if name not in self._models]
        return loaded + others

    async def model(self, name: str | None) -> EngineModel:
        if not name:
            if self._models:
                # who names none wants an answer, not a vector
                return max(
                    self._models.values(),
                    key=lambda model: (not model.info.is_embedding, model.scheduler.last_used),
                )
            raise NoModelLoaded("No model is loaded.", "Load a model first.")
        if name in self._models:
            return self._models[name]
        spec = self._catalogue.get(name)
        if spec is None:
            raise ModelNotFound(
                f"There is no model called {name[:200]!r} here.",
                "Ask /v1/models for the names of the installed models.",
            )
        failure: dict[str, Any] | None = None
        async for event in self.load(spec):  # to its end: the load lock is held until then
            failure = event.error
        if name in self._models:
            return self._models[name]
        raise (
            error_from_json(failure)
            if failure
            else NoModelLoaded(f"{name} could not be loaded.", "Try again.")
        )

    async def load(self, spec: LoadSpec) -> AsyncIterator[LoadEvent]:
        async with self._load_lock:
            if spec.model_id in self._models:
                if self._models[spec.model_id].spec == spec:
                    yield LoadEvent(1.0, self._models[spec.model_id].info)
                    return
                await self.unload(spec.model_id)
            self._loading, self._fraction = spec.model_id, 0.0
            self._error = None
            try:
                async for event in self._load_now(spec):
                    yield event
            finally:
                self._loading = None

    async def _load_now(self, spec: LoadSpec) -> AsyncIterator[LoadEvent]:
        loop = asyncio.get_running_loop()
        fractions: asyncio.Queue[float] = asyncio.Queue()
        cancelled = False

        def on_progress(fraction: float) -> bool:
            loop.call_soon_threadsafe(fractions.put_nowait, fraction)
            return not cancelled

        task: asyncio.Task[EngineModel] | None = None
        try:
            header = await asyncio.to_thread(read_header, Path(spec.model_path))
            await self._make_room(spec, header)
            task = asyncio.create_task(
                asyncio.to_thread(
                    EngineModel.open,
                    spec,
                    header,
                    on_progress,
                    self._boot.max_queue,
                    cache=self._disk_cache(),
                )
            )
            last = -1.0
            while not task.done():
                getter = asyncio.create_task(fractions.get())
                await asyncio.wait({task, getter}, return_when=asyncio.FIRST_COMPLETED)
                if not getter.done():
                    getter.cancel()
                    continue
                self._fraction = getter.result()
                if self._fraction - last >= 0.01:
                    last = self._fraction
                    yield LoadEvent(min(self._fraction, 0.99))
            model = task.result()
        except GarretError as error:
            self._error = error.to_json()
            _log.warning("loading %s failed: %s", spec.model_id, error)
            yield LoadEvent(self._fraction, error=self._error)
            return
        except (asyncio.CancelledError, GeneratorExit):
            cancelled = True
            if task is not None:
                with suppress(LoadCancelled, GarretError, asyncio.CancelledError):
                    stray = await asyncio.shield(task)
                    await asyncio.to_thread(stray.close)
            raise
        self._models[spec.model_id] = model
        self._catalogue.setdefault(spec.model_id, spec)
        yield LoadEvent(1.0, model.info)

    def _disk_cache(self) -> DiskCache | None:
        if not self._boot.prefix_cache_dir:
            return None
        folder = Path(self._boot.prefix_cache_dir)
        return DiskCache(folder, self._boot.prefix_cache_bytes or _DISK_CACHE_BYTES)

    async def _make_room(self, spec: LoadSpec, header: GgufHeader) -> None:
        """Unloads idle models, least recently used first, until the new one should fit."""
        plan = plan_context(spec, header)
        needed = (
            header.tensor_bytes
            + plan.n_ctx * kv_bytes_per_token(header, spec.kv_type)
            + plan.n_seq_max * state_bytes(header)
            + _MARGIN_BYTES
        )
        while needed > (available := available_bytes()):
            idle = [model for model in self._models.values() if not model.scheduler.n_active]
            if not idle:
                raise OutOfMemory(
                    f"{spec.model_id} needs about {needed / 2**30:.1f} GiB and only "
                    f"{available / 2**30:.1f} GiB are free.",
                    "Close other programs, choose a smaller model or a shorter context.",
                    needed_bytes=needed,
                    available_bytes=available,
                )
            oldest = min(idle, key=lambda model: model.scheduler.last_used)
            await self.unload(oldest.info.model_id)

    async def unload(self, model_id: str) -> None:
        model = self._models.pop(model_id, None)
        if model is not None:
            await asyncio.to_thread(model.close)

    def metrics(self) -> Mapping[str, float]:
        figures: dict[str, float] = {
            "uptime_seconds": time.monotonic() - self._started,
            "models_loaded": float(len(self._models)),
        }
        for model in self._models.values():
            scheduler = model.scheduler
            held = scheduler.sequences.n_held_tokens
            for name, value in {
                **scheduler.totals,
                "requests_active": float(scheduler.n_active),
                "requests_queued": float(scheduler.n_queued),
                "context_tokens_held": float(held),
                "checkpoints": float(len(model.checkpoints)),
                "checkpoint_bytes": float(model.checkpoints.used_bytes),
                "swapped_out_bytes": float(model.saved.used_bytes),
            }.items():
                figures[name] = figures.get(name, 0.0) + value
        return figures

    def configure(self, changes: Mapping[str, Any]) -> None:
        if "models" in changes:
            self._set_catalogue(changes["models"])

    async def clear_states(self) -> int:
        """Removes what conversations left on disk; the bytes that are free again."""
        if not self._boot.prefix_cache_dir:
            return 0
        states = PromptStates(Path(self._boot.prefix_cache_dir))
        freed = await asyncio.to_thread(states.clear)
        for model in self._models.values():
            if model.sequences.disk is not None:
                model.sequences.disk.forget()
        return freed

    def _set_catalogue(self, models: Mapping[str, Any]) -> None:
        self._catalogue = {
            name: LoadSpec.from_json({**data, "model_id": name}) for name, data in models.items()
        }

    async def _unload_idle(self) -> None:
        while True:
            await asyncio.sleep(_IDLE_CHECK_S)
            now = time.monotonic()
            for model_id, model in list(self._models.items()):
                keep = model.spec.keep_alive_s
                scheduler = model.scheduler
                busy = scheduler.n_active or scheduler.n_queued
                if keep is not None and keep > 0 and not busy and now - scheduler.last_used > keep:
                    _log.info("%s was idle for %.0f s: unloading", model_id, keep)
                    await self.unload(model_id)
