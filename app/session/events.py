"""What a chat session reports while it works, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.errors import GarretError
from app.core.events import TurnEvent
from app.storage.values import StoredMessage


@dataclass(frozen=True, slots=True)
class MessageStored:
    """The user's message is on disk; show it."""

    message: StoredMessage


@dataclass(frozen=True, slots=True)
class AnswerStarted:
    """An empty answer is on disk; what streams from now on belongs to it."""

    message: StoredMessage


@dataclass(frozen=True, slots=True)
class AnswerProgress:
    """One event of the engine."""

    message_id: int
    event: TurnEvent


@dataclass(frozen=True, slots=True)
class NotSaved:
    """The answer goes on but could not be written; it is tried again until it succeeds."""

    message_id: int
    error: GarretError


@dataclass(frozen=True, slots=True)
class SavedAgain:
    """After `NotSaved`: everything is on disk now."""

    message_id: int


@dataclass(frozen=True, slots=True)
class AnswerEnded:
    """The answer as it is stored: complete, stopped, or failed with `details.error`."""

    message: StoredMessage


@dataclass(frozen=True, slots=True)
class MakingRoom:
    """The context is full: a summary of the older messages is being written. `text` so far."""

    text: str


@dataclass(frozen=True, slots=True)
class RoomMade:
    """The model reads the chat only from this message on, after `summary` ("" for none).

    `left_out` counts the messages before it; they stay in the chat.
    """

    message_id: int
    left_out: int
    summary: str


SessionEvent = (
    MessageStored
    | MakingRoom
    | RoomMade
    | AnswerStarted
    | AnswerProgress
    | NotSaved
    | SavedAgain
    | AnswerEnded
)
