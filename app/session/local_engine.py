"""Our own engine as the window uses it: start, load, offer to other programs."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Sequence

from app.client.supervisor import EngineSupervisor
from app.core.control import LoadSpec
from app.core.engine_view import EngineView, ModelChoice
from app.core.errors import GarretError
from app.core.settings import Settings
from app.library.choice import load_spec_for, smaller_spec
from app.library.records import InstalledModel
from app.library.store import Store
from app.session.wishes import wish_of

ViewListener = Callable[[EngineView], None]


class LocalEngine:
    """Loads what the user chose and remembers it. Failures are in the view, not raised."""

    def __init__(self, supervisor: EngineSupervisor, store: Store, settings: Settings) -> None:
        self._supervisor = supervisor
        self._store = store
        self._settings = settings
        self._spec: LoadSpec | None = None
        self._choices: tuple[ModelChoice, ...] = ()

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
                spec = await asyncio.to_thread(self._spec_for, None)
                if spec is not None:
                    await self._load(spec)
        except GarretError:
            return  # the view says what is the matter

    async def load_model(self, model_id: str) -> None:
        """Loads it in place of the one that is loaded."""
        try:
            spec = await asyncio.to_thread(self._spec_for, model_id)
            if spec is not None:
                await self._load(spec)
        except GarretError:
            return

    async def load_smaller(self) -> None:
        """The last model again, with the next smaller plan."""
        if self._spec is None:
            return
        try:
            model = await asyncio.to_thread(self._store.find, self._spec.model_path)
            smaller = smaller_spec(self._spec, model.facts)
            if smaller is not None:
                await self._load(smaller)
        except GarretError:
            return

    async def cancel_load(self) -> None:
        await self._supervisor.cancel_load()

    async def start_engine(self) -> None:
        """A fresh start after a failure."""
        try:
            await self._supervisor.restart()
            if self.view.phase == "idle" and self._spec is not None:
                await self._load(self._spec)
        except GarretError:
            return

    async def close(self) -> None:
        await self._supervisor.stop()

    async def _load(self, spec: LoadSpec) -> None:
        self._spec = spec
        await self._supervisor.load(spec)
        await asyncio.to_thread(self._remember, spec.model_id)

    def _remember(self, model_id: str) -> None:
        self._settings.set("models.last", model_id)
        try:
            self._store.mark_used(model_id)
        except GarretError:
            return  # a path outside the store has no record to mark

    def _spec_for(self, model_id: str | None) -> LoadSpec | None:
        spec = load_spec_for(
            model_id,
            self._store,
            last_used=self._settings.text("models.last"),
            wish=wish_of(self._settings),
            freed_bytes=self.view.model.size_bytes if self.view.model else 0,
        )
        if spec is None:
            return None
        return dataclasses.replace(spec, n_threads=self._settings.number("engine.threads"))

    def _read_choices(self) -> list[ModelChoice]:
        return [_choice(model) for model in self._store.installed() if model.is_present]


def _choice(model: InstalledModel) -> ModelChoice:
    size = f"{model.size_bytes / 1e9:.1f} GB"
    note = "A tiny model to try things with" if model.is_starter else size
    return ModelChoice(model.model_id, model.title, note, model.is_starter)
