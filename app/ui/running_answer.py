"""What the chat controller remembers of answers on their way, and of messages without room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from app.core.errors import GarretError
from app.core.events import PromptProgress
from app.core.messages import AttachmentPart
from app.session.chat import ChatSession
from app.session.context import WhenFull
from app.storage.values import StoredMessage
from app.ui.speedometer import Speedometer


@dataclass
class RunningAnswer:
    """What an answer has said so far, to show it again. `making_room`: words of a summary."""

    session: ChatSession
    message: StoredMessage | None = None
    pieces: list[tuple[bool, str]] = field(default_factory=list)  # (is thinking, text)
    progress: PromptProgress | None = None
    speed: Speedometer = field(default_factory=Speedometer)
    making_room: int | None = None
    unsaved: GarretError | None = None  # why it is not on disk


@dataclass(frozen=True, slots=True)
class Refused:
    """A message that found no room, and how to ask again once there is some."""

    text: str
    attachments: tuple[AttachmentPart, ...]
    again: Callable[[WhenFull], object]
