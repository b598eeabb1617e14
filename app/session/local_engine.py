"""Our own engine as the window uses it: start, load, offer to other programs."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

from app.client.supervisor import EngineSupervisor
from app.core.control import EngineStatus, LoadSpec
from app.core.engine_view import EngineView, ModelChoice
from app.core.errors import GarretError, OutOfMemory
from app.core.settings import Settings
from app.library.choice import LoadKnowledge, load_spec_for, smaller_spec, smaller_words
from app.library.hardware import detect_hardware, with_devices
from app.library.records import InstalledModel
from app.library.store import Store
from app.session.wishes import wish_of

ViewListener = Callable[[EngineView], None]


class LocalEngine:
    """Loads what the user chose and remembers it. Failures are in the view, not raised.

    Args:
        known: per-model settings, and which plans this machine could not hold.
        folder: where the models are now; asked before each look, because it can be moved.
    """

    def __init__(
        self,
        supervisor: EngineSupervisor,
        store: Store,
        settings: Settings,
        known: LoadKnowledge,
        folder: Callable[[], Path],
    ) -> None:
        self._supervisor = supervisor
        self._store = store
        self._settings = settings
        self._known = known
        self._folder = folder
        self._spec: LoadSpec | None = None
        self._smaller: LoadSpec | None = None
        self._choices: tuple[ModelChoice, ...] = ()
        self._has_card = True

    @property
    def view(self) -> EngineView:
        return self._supervisor.view

    def choices(self) -> Sequence[ModelChoice]:
        """Installed models as of the last `refresh`."""
        return self._choices

    async def refresh(self) -> Sequence[ModelChoice]:
        """Looks at the store again."""
        self._choices = tuple(await asyncio.to_thread(self._read_choices))
        return self._choices

    async def open(self) -> None:
        """Starts the engine and loads the usual model."""
        await self.refresh()
        try:
            await self._supervisor.start()
            if self._settings.flag("models.load_at_start"):
                spec = await self._spec_for(None)
                if spec is not None:
                    await self._load(spec)
        except GarretError:
            return  # the view says what is the matter

    async def load_model(self, model_id: str) -> None:
        """Loads it in place of the one that is loaded."""
        try:
            spec = await self._spec_for(model_id)
            if spec is not None:
                await self._load(spec)
        except GarretError:
            return

    async def load_smaller(self) -> None:
        """The last model again, with the next smaller plan; this machine remembers it.

        Raises: OutOfMemory when there is nothing left to save.
        """
        failed, smaller = self._spec, self._smaller
        if failed is None:
            return
        if smaller is None:
            raise OutOfMemory(
                f"There is no smaller way to load {failed.model_id}.",
                "Choose a smaller model, or close other programs.",
            )
        await asyncio.to_thread(self._known.outcomes.failed, failed)
        try:
            await self._load(smaller)
        except GarretError:
            return

    def smaller_words(self) -> str:
        """What the next smaller plan gives up; '' where there is none."""
        if self._spec is None or self._smaller is None:
            return ""
        return smaller_words(self._spec, self._smaller)

    @property
    def spec(self) -> LoadSpec | None:
        """What the last load was ordered with."""
        return self._spec

    async def unload(self) -> None:
        """Gives the loaded model's memory back."""
        await self._supervisor.unload()

    async def status(self) -> EngineStatus | None:
        """The engine's own account of devices and memory; None while it does not answer."""
        try:
            return await self._supervisor.status()
        except GarretError:
            return None

    async def cancel_load(self) -> None:
        await self._supervisor.cancel_load()

    async def start_engine(self) -> None:
        """A fresh start after a failure. A model of which the engine died is left to the user."""
        try:
            await self._supervisor.restart()
            blamed = self._supervisor.suspect
            if self.view.phase == "idle" and self._spec is not None and not blamed:
                await self._load(self._spec)
        except GarretError:
            return

    async def close(self) -> None:
        await self._supervisor.stop()

    async def _load(self, spec: LoadSpec) -> None:
        self._spec = spec
        self._smaller = await asyncio.to_thread(self._next_smaller, spec)
        try:
            await self._supervisor.load(spec)
        except OutOfMemory:
            await asyncio.to_thread(self._known.outcomes.failed, spec)
            raise
        await asyncio.to_thread(self._remember, spec)

    def _next_smaller(self, spec: LoadSpec) -> LoadSpec | None:
        try:
            facts = self._store.find(spec.model_path).facts
            return smaller_spec(spec, facts, has_gpu=self._has_card)
        except GarretError:
            return None

    def _remember(self, spec: LoadSpec) -> None:
        self._known.outcomes.worked(spec)
        self._settings.set("models.last", spec.model_id)
        try:
            self._store.mark_used(spec.model_id)
        except GarretError:
            return  # a path outside the store has no record to mark

    async def _spec_for(self, model_id: str | None) -> LoadSpec | None:
        status = await self.status()
        return await asyncio.to_thread(self._plan, model_id, status)

    def _plan(self, model_id: str | None, status: EngineStatus | None) -> LoadSpec | None:
        self._store.root = self._folder()
        machine = detect_hardware(self._store.root, measure=False)
        machine = with_devices(machine, status.devices if status else ())
        self._has_card = bool(machine.gpus) and not machine.unified
        spec = load_spec_for(
            model_id,
            self._store,
            last_used=self._settings.text("models.last"),
            wish=wish_of(self._settings),
            hardware=machine,
            freed_bytes=held_bytes(status),
            known=self._known,
        )
        if spec is None:
            return None
        return dataclasses.replace(
            spec,
            n_threads=self._settings.number("engine.threads"),
            keep_alive_s=60.0 * self._settings.number("engine.keep_alive_min") or None,
        )

    def _read_choices(self) -> list[ModelChoice]:
        self._store.root = self._folder()
        return [_choice(model) for model in self._store.installed() if model.is_present]


def held_bytes(status: EngineStatus | None) -> int:
    """What the loaded models give back when another one takes their place: of the graphics
    memory where they hold any, else of main memory."""
    uses = [use for one in status.memory.values() for use in one] if status else []
    beside = [use for use in uses if use.device != "CPU"]
    return sum(use.total_bytes for use in beside or uses)


def _choice(model: InstalledModel) -> ModelChoice:
    size = f"{model.size_bytes / 1e9:.1f} GB"
    note = "A tiny model to try things with" if model.is_starter else size
    return ModelChoice(model.model_id, model.title, note, model.is_starter)
