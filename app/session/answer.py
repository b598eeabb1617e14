"""An answer as it grows: the engine's events gathered into parts and details."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from app.core.events import (
    TextDelta,
    ThinkingDelta,
    ToolCallReady,
    TurnEnded,
    TurnEvent,
)
from app.core.messages import Part, TextPart, ThinkingPart, ToolCallPart
from app.storage.values import AnswerDetails


class AnswerBuilder:
    """Pure bookkeeping for one answer. `clock` is monotonic, in seconds."""

    def __init__(self, details: AnswerDetails, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._started_s = clock()
        self._details = details
        self._closed: list[Part] = []
        self._open: list[str] = []
        self._open_is_thinking = False
        self._open_since_s = 0.0
        self.version = 0
        self.ended: TurnEnded | None = None

    def add(self, event: TurnEvent) -> None:
        """Takes one event; `version` changes when there is something new to store."""
        match event:
            case TextDelta(text):
                self._append(text, thinking=False)
            case ThinkingDelta(text):
                self._append(text, thinking=True)
            case ToolCallReady(call=call):
                self._close_open()
                self._closed.append(call)
                self._note_first_token()
            case TurnEnded():
                self.ended = event
            case _:
                return
        self.version += 1

    @property
    def parts(self) -> tuple[Part, ...]:
        """Everything so far."""
        return (*self._closed, *self._open_part())

    @property
    def calls(self) -> tuple[ToolCallPart, ...]:
        return tuple(part for part in self._closed if isinstance(part, ToolCallPart))

    def details(self) -> AnswerDetails:
        """What is known so far; token counts and speeds come with the end."""
        details = replace(self._details, duration_s=self._clock() - self._started_s)
        if self.ended is None:
            return details
        usage, timings = self.ended.usage, self.ended.timings
        details = replace(
            details,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            finish_reason=self.ended.finish_reason,
        )
        if timings is not None:
            details = replace(
                details,
                read_tokens_per_s=timings.prompt_per_s or None,
                write_tokens_per_s=timings.predicted_per_s or None,
            )
        return details

    def _append(self, text: str, *, thinking: bool) -> None:
        if not text:
            return
        self._note_first_token()
        if self._open and thinking != self._open_is_thinking:
            self._close_open()
        if not self._open:
            self._open_is_thinking = thinking
            self._open_since_s = self._clock()
        self._open.append(text)

    def _open_part(self) -> tuple[Part, ...]:
        if not self._open:
            return ()
        if len(self._open) > 1:  # joined once, so that asking again is cheap
            self._open = ["".join(self._open)]
        if self._open_is_thinking:
            return (ThinkingPart(self._open[0], self._clock() - self._open_since_s),)
        return (TextPart(self._open[0]),)

    def _close_open(self) -> None:
        self._closed.extend(self._open_part())
        self._open = []

    def _note_first_token(self) -> None:
        if self._details.ttft_s is None:
            self._details = replace(self._details, ttft_s=self._clock() - self._started_s)
