"""How the engine is, as values: what the supervisor reports and the window draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.core.control import ModelInfo
from app.core.errors import GarretError

Phase = Literal["stopped", "starting", "idle", "loading", "ready", "restarting", "failed"]


@dataclass(frozen=True, slots=True)
class EngineView:
    """The engine as the user sees it.

    `error` says what happened last, also while it recovers; `notice` what is worth saying once.
    `base_url` is where other programs reach it; None while no port of ours is open.
    """

    phase: Phase = "stopped"
    model: ModelInfo | None = None
    loading_id: str | None = None
    load_fraction: float = 0.0
    error: GarretError | None = None
    base_url: str | None = None
    pid: int | None = None
    notice: str = ""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """An installed model as a picker lists it. `note` is one short line (size, speed)."""

    model_id: str
    name: str
    note: str = ""
    is_tiny: bool = False
