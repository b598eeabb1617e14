"""Keeps our engine process alive and its model loaded, and says in one sentence how it is.

    stopped → starting → idle → loading → ready
                 ↑                  ↓        ↓
                 └── restarting ←───┴── death ┘ → failed (after MAX_DEATHS in DEATH_WINDOW_S)

After a death the engine is started again with a growing pause and the last model is loaded again,
unless that load killed it, or the engine fell MAX_FALLS times soon after: then the model is the
suspect, and the failure stands until the user loads it or another one.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from pathlib import Path
from typing import Any

from app.client.backends import Backends
from app.client.control import ControlClient
from app.client.openai_chat import OpenAIChatEngine
from app.client.process import EngineProcess
from app.client.spawn import SpareEngine
from app.core.control import EngineBoot, EngineStatus, LoadSpec, ModelInfo
from app.core.engine_view import EngineView, Phase
from app.core.errors import (
    EngineDied,
    EngineNotInstalled,
    EngineUnreachable,
    GarretError,
    NoModelLoaded,
    OutOfMemory,
    error_from_json,
)
from app.core.events import TurnEvent
from app.core.ports import TurnRequest
from app.core.tasks import end_tasks

MAX_DEATHS = 5
DEATH_WINDOW_S = 600.0
MAX_FALLS = 3
# A model that has answered for this long did not bring the engine down by being there.
STEADY_S = 120.0
_SETTLE_S = 5.0
_BACK_OFF_S = (0.2, 1.0, 2.0, 5.0, 10.0)


class EngineSupervisor:
    """Owns one engine process.

    Args:
        boot: everything but the token, which is made anew for each start.
        log_path: where the engine's stderr goes.
        on_change: called on the loop's thread with each new EngineView.
        command: another engine command, for tests.
        spare: an engine started early, for the first start.
        backends: the choice of llama.cpp libraries; the built-in ones without.
    """

    def __init__(
        self,
        boot: EngineBoot,
        log_path: Path,
        *,
        on_change: Callable[[EngineView], None] = lambda _view: None,
        command: Sequence[str] | None = None,
        spare: SpareEngine | None = None,
        backends: Backends | None = None,
    ) -> None:
        self._boot = boot
        self._log_path = log_path
        self._on_change = on_change
        self._command = command
        self._spare = spare
        self._backends = backends
        self._process: EngineProcess | None = None
        self._control: ControlClient | None = None
        self._chat: OpenAIChatEngine | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._load_task: asyncio.Task[ModelInfo] | None = None
        self._spec: LoadSpec | None = None
        self._deaths: deque[float] = deque()
        self._falls = 0
        self._ready_at = 0.0
        self._changed = asyncio.Event()
        self.suspect = ""  # id of the model with which the engine died
        self.view = EngineView()

    # -- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Starts the engine and keeps it running until `stop`.

        Raises:
            EngineNotInstalled, EngineDied: the first start failed; the view says so too.
        """
        if self._keeper is not None and not self._keeper.done():
            return
        self._deaths.clear()
        try:
            await self._launch("starting")
        except GarretError as error:
            self._show(phase="failed", error=error)
            raise
        self._keeper = asyncio.create_task(self._keep(), name="engine-keeper")

    async def stop(self) -> None:
        """Ends the engine; waits until it is gone."""
        for task in (self._keeper, self._load_task):
            if task is not None:
                await end_tasks(task, expected=(GarretError,))
        self._keeper = self._load_task = None
        await self._drop()
        self._show(phase="stopped", model=None, error=None, loading_id=None)

    async def restart(self) -> None:
        """A fresh start on request, with the last model unless the engine died of it."""
        spec = self._spec
        await self.stop()
        await self.start()
        if self.suspect:
            self._show(error=_not_again(self.suspect))
        elif spec is not None:
            await self.load(spec)

    # -- models -----------------------------------------------------------------------------

    async def load(self, spec: LoadSpec) -> ModelInfo:
        """Loads a model in place of the one that is loaded. A newer load replaces an older one.

        Raises:
            GarretError: why it could not be loaded; the view says so too.
        """
        if self._load_task is not None and not self._load_task.done():
            await end_tasks(self._load_task, expected=(GarretError,))
        self._falls, self.suspect = 0, ""
        return await asyncio.shield(self._begin_load(spec))

    async def cancel_load(self) -> None:
        """Stops a running load; nothing is loaded then."""
        if self._load_task is not None and not self._load_task.done():
            self._spec = None
            await end_tasks(self._load_task, expected=(GarretError,))
            self._show(phase="idle", loading_id=None, model=None)

    async def unload(self) -> None:
        """Frees the loaded model's memory."""
        model, self._spec = self.view.model, None
        if model is not None and self._control is not None:
            await self._control.unload(model.model_id)
        self._show(phase="idle", model=None)

    async def configure(self, **changes: Any) -> None:
        """Changes the endpoint's switch, keys or models, now and for later starts."""
        names = {field.name for field in dataclasses.fields(EngineBoot)}
        known = {key: value for key, value in changes.items() if key in names}
        self._boot = dataclasses.replace(self._boot, **known)
        if self._control is not None:
            await self._control.configure(changes)

    async def status(self) -> EngineStatus:
        """The engine's own account of itself, memory included."""
        if self._control is None:
            raise EngineUnreachable("The engine is not running.")
        return await self._control.status()

    # -- the engine as others use it ----------------------------------------------------------

    @property
    def chat(self) -> OpenAIChatEngine | None:
        """The client of this start of the engine; None while there is none."""
        return self._chat

    async def until_ready(self) -> OpenAIChatEngine:
        """Waits out a start, a restart or a load.

        Raises:
            NoModelLoaded: nothing is loaded and nothing is being loaded.
            GarretError: the engine or the load failed.
        """
        while True:
            view = self.view
            if view.phase == "ready" and self._chat is not None:
                return self._chat
            if view.phase == "failed":
                raise view.error or EngineDied("The engine is not running.", "Start it again.")
            if view.phase == "stopped":
                raise EngineDied("The engine is not running.", "Start it again.")
            if view.phase == "idle":
                raise view.error or NoModelLoaded(
                    "No model is loaded.", "Choose a model to talk to."
                )
            self._changed.clear()
            await self._changed.wait()

    # -- inside -----------------------------------------------------------------------------

    async def _launch(self, phase: Phase) -> None:
        self._show(phase=phase, model=None, loading_id=None, load_fraction=0.0)
        token = secrets.token_urlsafe(32)
        boot = dataclasses.replace(self._boot, token=token)
        process = await self._start_process(boot)
        self._process = process
        url, socket = process.base_url, process.ready.socket
        self._control = ControlClient(url, token, socket)
        self._chat = OpenAIChatEngine(url, token, own=True, socket=socket)
        self._show(phase="idle", base_url=process.endpoint_url, pid=process.pid)
        if process.ready.problem:
            said = f"Other programs cannot reach your models: {process.ready.problem}"
            self._show(notice=f"{said} Choose another port in Settings.")

    async def _start_process(self, boot: EngineBoot) -> EngineProcess:
        """With the best backend that starts; one that does not is passed over from then on."""
        while True:
            backend = None
            if self._backends is not None:
                backend = await asyncio.to_thread(self._backends.choose)
            libraries = backend.folder if backend is not None else None
            try:
                return await EngineProcess.start(
                    boot,
                    self._log_path,
                    command=self._command,
                    spare=self._spare,
                    libraries=libraries,
                )
            except (EngineDied, EngineNotInstalled) as error:
                if self._backends is None or backend is None or error.facts.get("reason") == "port":
                    raise
                if not self._backends.mark_bad(backend, error.sentence):
                    raise
                self._show(
                    notice=f"The {backend.name} engine did not start; another one is used now."
                )

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            await self._process.wait()
            error: GarretError = self._process.death()
            culprit, spec = self.view.loading_id, self._spec
            if culprit is not None:
                self._blame(culprit)
                error = _load_death(error, culprit)
            elif spec is not None and self._has_fallen_again():
                self._blame(spec.model_id)
                error = _use_death(error, spec.model_id)
            await self._settle_load(error)
            await self._drop()
            if not await self._revive(error):
                return
            if self.suspect:
                self._show(phase="idle", error=error)
            elif self._spec is not None:
                self._begin_load(self._spec).add_done_callback(_retrieve)

    def _has_fallen_again(self) -> bool:
        steady = time.monotonic() - self._ready_at > STEADY_S
        self._falls = 1 if steady else self._falls + 1
        return self._falls >= MAX_FALLS

    def _blame(self, model_id: str) -> None:
        self._spec, self.suspect = None, model_id

    async def _settle_load(self, error: GarretError) -> None:
        task = self._load_task
        if task is not None and not task.done():
            await asyncio.wait({task}, timeout=_SETTLE_S)
            await end_tasks(task, expected=(GarretError,))

    async def _revive(self, error: GarretError) -> bool:
        while True:
            now = time.monotonic()
            self._deaths.append(now)
            while self._deaths and now - self._deaths[0] > DEATH_WINDOW_S:
                self._deaths.popleft()
            if len(self._deaths) >= MAX_DEATHS:
                self._show(phase="failed", model=None, loading_id=None, error=_gave_up(error))
                return False
            self._show(phase="restarting", model=None, loading_id=None, error=error)
            await asyncio.sleep(_BACK_OFF_S[min(len(self._deaths), len(_BACK_OFF_S)) - 1])
            try:
                await self._launch("restarting")
            except GarretError as again:
                error = again
                continue
            return True

    def _begin_load(self, spec: LoadSpec) -> asyncio.Task[ModelInfo]:
        # Shown before the task runs: who waits in until_ready must not see "idle" in between.
        self._spec = spec
        self._show(phase="loading", loading_id=spec.model_id, load_fraction=0.0, model=None)
        self._load_task = asyncio.create_task(self._load(spec), name="engine-load")
        return self._load_task

    async def _load(self, spec: LoadSpec) -> ModelInfo:
        try:
            if self._control is None:
                raise EngineUnreachable("The engine is not running.", "Start it again.")
            model = await self._follow_load(self._control, spec)
        except GarretError as error:
            # A dead process is the keeper's to report: it knows the exit code.
            if not isinstance(error, EngineDied):
                self._spec = None
                self._show(phase="idle", loading_id=None, error=error)
            raise
        self._ready_at = time.monotonic()
        self._show(phase="ready", model=model, loading_id=None, load_fraction=1.0, error=None)
        return model

    async def _follow_load(self, control: ControlClient, spec: LoadSpec) -> ModelInfo:
        async with contextlib.aclosing(control.load(spec)) as events:
            async for event in events:
                if event.error is not None:
                    raise error_from_json(event.error)
                if event.model is not None:
                    return event.model
                self._show(load_fraction=event.fraction)
        raise EngineDied("The engine stopped while it was loading the model.")

    async def _drop(self) -> None:
        for client in (self._control, self._chat):
            if client is not None:
                await client.close()
        self._control = self._chat = None
        if self._process is not None:
            await self._process.stop()
        self._process = None
        self._show(base_url=None, pid=None)

    def _show(self, **changes: Any) -> None:
        view = dataclasses.replace(self.view, **changes)
        if view != self.view:
            self.view = view
            self._changed.set()
            self._on_change(view)


class SupervisedChatEngine:
    """A ChatEngine that stays valid across restarts: each call finds the engine of the moment."""

    def __init__(self, supervisor: EngineSupervisor) -> None:
        self._supervisor = supervisor

    async def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        chat = await self._supervisor.until_ready()
        pid = self._supervisor.view.pid
        try:
            async with contextlib.aclosing(chat.stream(request)) as events:
                async for event in events:
                    yield event
        except (EngineDied, EngineUnreachable) as error:
            raise await self._cause(pid, error) from error

    async def _cause(self, pid: int | None, error: GarretError) -> GarretError:
        """The supervisor knows why the process ended; give it a moment to notice."""
        for _ in range(20):
            view = self._supervisor.view
            if view.pid != pid and view.error is not None:
                return view.error
            await asyncio.sleep(0.05)
        return error

    async def models(self) -> list[str]:
        return await (await self._supervisor.until_ready()).models()

    async def count_tokens(self, request: TurnRequest) -> int | None:
        return await (await self._supervisor.until_ready()).count_tokens(request)

    async def context_tokens(self, model: str) -> int | None:
        await self._supervisor.until_ready()
        loaded = self._supervisor.view.model
        return loaded.n_ctx if loaded is not None else None


def _load_death(error: GarretError, model_id: str) -> GarretError:
    if error.facts.get("reason") in ("killed", "memory"):
        return OutOfMemory(
            f"There was not enough memory to load {model_id}.",
            "Choose a smaller model or context, or close other programs.",
            **error.facts,
        )
    return EngineDied(
        f"The engine stopped while it was loading {model_id}; the file may be damaged.",
        "Verify the model, or choose another one.",
        **error.facts,
    )


def _use_death(error: GarretError, model_id: str) -> EngineDied:
    return EngineDied(
        f"The engine stopped {MAX_FALLS} times soon after {model_id} was loaded.",
        "Load it with a shorter context, verify its file, or choose another model.",
        **error.facts,
    )


def _not_again(model_id: str) -> EngineDied:
    return EngineDied(
        f"{model_id} was not loaded again, because the engine stopped with it.",
        "Choose another model, or load this one once more.",
        model_id=model_id,
    )


def _gave_up(error: GarretError) -> GarretError:
    """A crash says that the engine is started again by itself, which is over now."""
    if error.facts.get("reason") != "crash" or not isinstance(error, EngineDied):
        return error
    return EngineDied(
        "The engine stopped again and again, so it stays off now.",
        "Start it again with another model or a shorter context; its log says more.",
        **error.facts,
    )


def _retrieve(task: asyncio.Task[Any]) -> None:
    """The view already shows what failed; this only marks the exception as seen."""
    if not task.cancelled():
        task.exception()
