"""What happens while an engine answers, as `client` reports it and `ui` draws it.

Order of one answer: PromptProgress* (TextDelta | ThinkingDelta | ToolCallDelta | ToolCallReady)*
TurnEnded. A failure is a raised `app.core.errors.GarretError`, never an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.core.messages import ToolCallPart

FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one answer; `cached_tokens` of the prompt were not read again."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Timings:
    """llama-server's `timings` object: tokens reused, read and written, with milliseconds."""

    cache_n: int = 0
    prompt_n: int = 0
    prompt_ms: float = 0.0
    predicted_n: int = 0
    predicted_ms: float = 0.0

    @property
    def predicted_per_s(self) -> float:
        """Writing speed in tokens per second; 0 before the second token."""
        return 1000.0 * self.predicted_n / self.predicted_ms if self.predicted_ms > 0 else 0.0

    @property
    def prompt_per_s(self) -> float:
        """Reading speed in tokens per second; 0 when nothing was read."""
        return 1000.0 * self.prompt_n / self.prompt_ms if self.prompt_ms > 0 else 0.0


@dataclass(frozen=True, slots=True)
class PromptProgress:
    """How far the engine has read the prompt. `read_tokens` includes `reused_tokens`."""

    read_tokens: int
    reused_tokens: int
    total_tokens: int
    elapsed_s: float

    @property
    def tokens_per_s(self) -> float:
        """Reading speed over the tokens that were not reused."""
        fresh = self.read_tokens - self.reused_tokens
        return fresh / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """Time to the first token at the present speed; None while the speed is unknown."""
        speed = self.tokens_per_s
        return (self.total_tokens - self.read_tokens) / speed if speed > 0 else None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More prose."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """More reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A call that is still being written; call_id and name are set on its first delta."""

    index: int
    call_id: str | None
    name: str | None
    arguments_delta: str


@dataclass(frozen=True, slots=True)
class ToolCallReady:
    """A call that is complete and may be decided on."""

    index: int
    call: ToolCallPart


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The answer is over; nothing follows."""

    finish_reason: FinishReason
    usage: Usage
    timings: Timings | None = None


TurnEvent = PromptProgress | TextDelta | ThinkingDelta | ToolCallDelta | ToolCallReady | TurnEnded
