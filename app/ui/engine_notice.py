"""The engine's state as one sentence with a remedy. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.core.engine_view import EngineView
from app.core.errors import BadModelFile, GarretError, OutOfMemory, UnsupportedModel

Action = Literal[
    "",
    "start_engine",
    "choose_model",
    "cancel_load",
    "smaller_plan",
    "pause_download",
    "resume_download",
]


@dataclass(frozen=True, slots=True)
class EngineNotice:
    """What the strip over the composer says. `fraction` None: no bar."""

    sentence: str = ""
    remedy: str = ""
    action: Action = ""
    action_label: str = ""
    fraction: float | None = None
    is_problem: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.sentence


def engine_notice(view: EngineView, model_name: str = "") -> EngineNotice:
    """Nothing while all is well; otherwise what is the matter and what to do."""
    name = model_name or view.loading_id or (view.model.model_id if view.model else "")
    match view.phase:
        case "ready":
            return EngineNotice()
        case "loading":
            percent = round(view.load_fraction * 100)
            return EngineNotice(
                f"Loading {name}… {percent} %" if percent else f"Loading {name}…",
                action="cancel_load",
                action_label="Cancel",
                fraction=view.load_fraction,
            )
        case "starting":
            return EngineNotice("Starting the engine…")
        case "restarting":
            return EngineNotice(
                view.error.sentence if view.error else "The engine stopped.",
                "It is being started again.",
                is_problem=True,
            )
        case "failed":
            return _problem(view.error, "The engine could not be started.", "start_engine")
        case "stopped":
            return _problem(view.error, "The engine is not running.", "start_engine")
        case "idle":
            if view.error is not None:
                return _problem(view.error, "", "choose_model")
            return EngineNotice(
                "No model is loaded.", action="choose_model", action_label="Choose a model"
            )


def model_state(view: EngineView, name: str) -> str:
    """The model's name for the composer, with its state where it does not answer yet."""
    match view.phase:
        case "ready":
            return name
        case "loading":
            return f"{name} · {round(view.load_fraction * 100)} %"
        case "starting" | "restarting":
            return "Starting…"
        case "failed" | "stopped":
            return "Engine stopped"
        case "idle":
            return "No model"


def _problem(error: GarretError | None, fallback: str, action: Action) -> EngineNotice:
    label = "Start again" if action == "start_engine" else "Choose a model"
    if isinstance(error, OutOfMemory):
        action, label = "smaller_plan", "Try a smaller plan"
    elif isinstance(error, BadModelFile | UnsupportedModel):
        action, label = "choose_model", "Choose another model"
    return EngineNotice(
        error.sentence if error else fallback,
        error.remedy if error else "",
        action,
        label,
        is_problem=True,
    )
