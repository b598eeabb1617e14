"""What the window needs from the composition root besides storage and a chat engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from app.core.engine_view import EngineView, ModelChoice
from app.core.ports import ChatEngine
from app.storage.storage import Storage

__all__ = ["ChatOptions", "ChatServices", "EngineControl", "ModelChoice", "TakesEscape"]


class EngineControl(Protocol):
    """What the user can do to the engine from the chat page."""

    @property
    def view(self) -> EngineView: ...

    def choices(self) -> Sequence[ModelChoice]:
        """Installed models that can be loaded."""
        ...

    async def load_model(self, model_id: str) -> None:
        """Loads it; progress and failure arrive as EngineViews."""
        ...

    async def load_smaller(self) -> None:
        """The last model again, with the next smaller plan."""
        ...

    async def cancel_load(self) -> None: ...

    async def start_engine(self) -> None:
        """A fresh start after a failure."""
        ...


@dataclass(frozen=True, slots=True)
class ChatServices:
    """What the chat part works with. New chats begin with the standing instructions; “@” offers
    files of the workspace ("" for none)."""

    storage: Storage
    engine: ChatEngine
    control: EngineControl
    standing_instructions: Callable[[], str] = str
    workspace: Callable[[], str] = str


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """The settings of section "chat", and the code font ("" is the system's), as values."""

    enter_sends: bool = True
    show_thinking: bool = False
    show_speed: bool = True
    code_font: str = ""


@runtime_checkable
class TakesEscape(Protocol):
    """A page with something of its own that Esc stops or refuses."""

    def escape(self) -> None: ...
