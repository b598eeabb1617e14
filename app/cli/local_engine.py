"""Our own engine for a headless command: which model, started, loaded, and gone afterwards."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from app.client.backends import installation
from app.client.supervisor import EngineSupervisor
from app.core.control import EngineBoot, LoadSpec
from app.core.engine_view import EngineView
from app.core.errors import ModelNotFound
from app.core.paths import Paths
from app.core.settings import Settings
from app.library.choice import load_spec_for
from app.library.fit.plan import Wish
from app.library.store import Store
from app.session.engines import load_knowledge, models_folder
from app.session.wishes import wish_of

__all__ = ["EngineOptions", "LoadLine", "choose_spec", "local_engine", "models_folder"]


@dataclasses.dataclass(frozen=True, slots=True)
class EngineOptions:
    """What a command line may say about a load; 0 leaves it to the plan."""

    model: str | None = None
    n_ctx: int = 0
    n_parallel: int = 0


def choose_spec(
    options: EngineOptions, models: Path, settings: Settings, paths: Paths | None = None
) -> LoadSpec:
    """The load plan for an installed model's id, a path to a GGUF, or the usual model.

    Raises:
        ModelNotFound: no such model, or none installed at all.
    """
    spec = load_spec_for(
        options.model,
        Store(models),
        last_used=settings.text("models.last"),
        wish=wish_of(settings),
        known=load_knowledge(paths) if paths else None,
        ordered=Wish(n_ctx=options.n_ctx, n_parallel=options.n_parallel),
    )
    if spec is None:
        raise ModelNotFound(
            "No model is installed yet.",
            "Run: python3 scripts/run.py, or garret models pull REPOSITORY/FILE.",
        )
    return dataclasses.replace(spec, n_threads=settings.number("engine.threads"))


@contextlib.asynccontextmanager
async def local_engine(
    spec: LoadSpec,
    paths: Paths,
    *,
    boot: EngineBoot | None = None,
    on_change: Callable[[EngineView], None] = lambda _view: None,
) -> AsyncGenerator[EngineSupervisor, None]:
    """A running engine with the model loaded; stopped on the way out.

    Raises:
        GarretError: it could not be started or the model not loaded.
    """
    paths.make()
    supervisor = EngineSupervisor(
        boot or EngineBoot(token="", prefix_cache_dir=str(paths.prefix_cache)),
        paths.logs / "engine.log",
        on_change=on_change,
        backends=installation(paths.backends_file),
    )
    try:
        await supervisor.start()
        await supervisor.load(spec)
        yield supervisor
    finally:
        await supervisor.stop()


class LoadLine:
    """One line on stderr that says how far the load is; silent where nobody watches."""

    def __init__(self) -> None:
        self._active = sys.stderr.isatty()
        self._written = False

    def __call__(self, view: EngineView) -> None:
        if not self._active:
            return
        if view.phase == "loading":
            name = view.loading_id or "the model"
            sys.stderr.write(f"\r\x1b[2KLoading {name}: {view.load_fraction:4.0%}")
            self._written = True
        elif self._written:
            sys.stderr.write("\r\x1b[2K")
            self._written = False
        sys.stderr.flush()
