"""One answer of the model: streamed, tolerant of a dying engine, stopped at once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace

from app.agent import guard, text_calls
from app.agent.events import (
    AgentEvent,
    AnswerDiscarded,
    Reading,
    Text,
    Thinking,
    TokenCount,
    WaitingForEngine,
    WritingCall,
)
from app.core.errors import EngineBusy, EngineDied, EngineError, EngineRefused, EngineUnreachable
from app.core.events import (
    FinishReason,
    PromptProgress,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
    ToolCallReady,
    TurnEnded,
    TurnEvent,
)
from app.core.messages import Message, Part, TextPart, ThinkingPart, ToolCallPart
from app.core.ports import ChatEngine, TurnRequest

Emit = Callable[[AgentEvent], None]

CHARS_PER_TOKEN = 3.2  # code, measured low so that estimates err on the full side
FIRST_WAIT_S = 0.25
LONGEST_WAIT_S = 8.0
MOST_DEATHS = 5  # an engine that dies on the same prompt again and again will not recover
_REPEAT_CHECK_CHARS = 200
_WRITING_EVERY_CHARS = 100
_COMING_BACK = (502, 503, 504)  # a proxy before, or a model still loading in, an engine


@dataclass(slots=True)
class ModelAnswer:
    """A complete answer. `repeating` means it was cut short because it went in circles."""

    text: str = ""
    thinking: str = ""
    calls: list[ToolCallPart] = field(default_factory=list)
    finish: FinishReason = "stop"
    tokens: TokenCount = field(default_factory=TokenCount)
    repeating: bool = False

    @property
    def prompt_tokens(self) -> int:
        return self.tokens.evaluated + self.tokens.reused

    def message(self, calls: Sequence[ToolCallPart]) -> Message:
        """The answer as it goes into the conversation, byte for byte what was written."""
        parts: list[Part] = []
        if self.thinking:
            parts.append(ThinkingPart(self.thinking))
        if self.text or not calls:
            parts.append(TextPart(self.text))
        return Message("assistant", (*parts, *calls))


class Asker:
    """Asks one engine, again after it died or could not be reached.

    Args:
        retry_for_s: how long to keep asking an engine that does not answer at all.
        hide_calls_of: tool names whose calls inside the text are not shown as text.
    """

    def __init__(
        self, engine: ChatEngine, emit: Emit, *, retry_for_s: float, hide_calls_of: Sequence[str]
    ) -> None:
        self._engine = engine
        self._emit = emit
        self._retry_for_s = retry_for_s
        self._names = tuple(hide_calls_of)
        self._has_answered = False
        self._answer = ModelAnswer()

    async def ask(
        self, request: TurnRequest, enough: Callable[[str], bool] = lambda text: False
    ) -> ModelAnswer:
        """The answer, ended early when `enough` says so of its text.

        Raises:
            GarretError: the engine refused, or stayed away for too long.
        """
        waited_s = 0.0
        deaths = 0
        attempt = 0
        while True:
            try:
                answer = await self._once(request, enough)
            except (EngineDied, EngineUnreachable, EngineBusy) as error:
                attempt += 1
                deaths += isinstance(error, EngineDied)
                wait_s = _wait_s(error, attempt)
                patience_s = self._retry_for_s if self._has_answered or deaths else 3.0
                if isinstance(error, EngineBusy):
                    patience_s = max(self._retry_for_s, 600.0)
                if deaths >= MOST_DEATHS or waited_s + wait_s > patience_s:
                    raise
                if self._answer.text or self._answer.thinking:
                    self._emit(AnswerDiscarded(error.sentence))
                self._emit(WaitingForEngine(error.sentence, attempt, wait_s))
                await asyncio.sleep(wait_s)
                waited_s += wait_s
            except EngineRefused as error:
                if error.facts.get("status") in _COMING_BACK and waited_s < self._retry_for_s:
                    attempt += 1
                    wait_s = _wait_s(error, attempt)
                    self._emit(WaitingForEngine(error.sentence, attempt, wait_s))
                    await asyncio.sleep(wait_s)
                    waited_s += wait_s
                    continue
                if request.tool_choice in ("auto", "none"):
                    raise
                # Not every engine can force a call; asking plainly is the next best thing.
                request = replace(request, tool_choice="auto")
            else:
                self._has_answered = True
                return answer

    async def _once(self, request: TurnRequest, enough: Callable[[str], bool]) -> ModelAnswer:
        answer = self._answer = ModelAnswer()
        state = _Streaming(answer, self._emit, self._names, enough)
        stream: AsyncIterator[TurnEvent] = self._engine.stream(request)
        try:
            async for event in stream:
                if state.take(event):
                    break
        finally:
            # Closing the stream is what makes the engine stop generating.
            if (close := getattr(stream, "aclose", None)) is not None:
                with contextlib.suppress(RuntimeError):
                    await close()
        state.finish()
        return answer


class _Streaming:
    """Folds stream events into an answer and shows them on the way."""

    def __init__(
        self,
        answer: ModelAnswer,
        emit: Emit,
        names: Sequence[str],
        enough: Callable[[str], bool],
    ) -> None:
        self._answer = answer
        self._enough = enough
        self._emit = emit
        self._names = names
        self._shown = 0
        self._checked = 0
        self._calls: dict[int, tuple[str, str, list[str]]] = {}
        self._ready: dict[int, ToolCallPart] = {}
        self._written = 0
        self._said = 0

    def take(self, event: TurnEvent) -> bool:
        """Adds one event; True when enough has been heard."""
        if isinstance(event, PromptProgress):
            self._emit(Reading(event))
            # What is known if the answer is ended before the engine counts it.
            fresh = event.total_tokens - event.reused_tokens
            self._answer.tokens = TokenCount(fresh, event.reused_tokens)
        elif isinstance(event, TextDelta):
            return self._take_text(event.text)
        elif isinstance(event, ThinkingDelta):
            self._answer.thinking += event.text
            self._emit(Thinking(event.text))
        elif isinstance(event, ToolCallDelta):
            return self._take_call(event)
        elif isinstance(event, ToolCallReady):
            self._ready[event.index] = event.call
        elif isinstance(event, TurnEnded):
            self._answer.finish = event.finish_reason
            self._answer.tokens = _tokens(event)
        return False

    def finish(self) -> None:
        """Shows what was held back and puts the calls in order."""
        self._show(len(self._answer.text) if not self._holds_call() else self._shown)
        for index, (call_id, name, pieces) in self._calls.items():
            self._ready.setdefault(index, ToolCallPart(call_id, name, "".join(pieces) or "{}"))
        calls = [call for _, call in sorted(self._ready.items())]
        self._answer.calls = _unique_ids(calls[: text_calls.MAX_CALLS])

    def _holds_call(self) -> bool:
        return text_calls.visible_length(self._answer.text + " ", self._names) < len(
            self._answer.text
        )

    def _take_text(self, text: str) -> bool:
        self._answer.text += text
        self._show(text_calls.visible_length(self._answer.text, self._names))
        # Only where the engine has said what it read: its closing count will not be heard.
        if "\n" in text and self._answer.prompt_tokens and self._enough(self._answer.text):
            written = round(len(self._answer.text) / CHARS_PER_TOKEN)
            self._answer.tokens = replace(self._answer.tokens, written=written)
            return True
        if len(self._answer.text) - self._checked >= _REPEAT_CHECK_CHARS:
            self._checked = len(self._answer.text)
            self._answer.repeating = guard.repeats_itself(self._answer.text)
        return self._answer.repeating

    def _show(self, length: int) -> None:
        if length > self._shown:
            self._emit(Text(self._answer.text[self._shown : length]))
            self._shown = length

    def _take_call(self, event: ToolCallDelta) -> bool:
        if event.index not in self._calls:
            if len(self._calls) >= text_calls.MAX_CALLS:
                self._answer.finish = "tool_calls"
                return True
            self._calls[event.index] = (event.call_id or "", event.name or "", [])
            self._said = self._written - _WRITING_EVERY_CHARS
        _, name, pieces = self._calls[event.index]
        pieces.append(event.arguments_delta)
        self._written += len(event.arguments_delta)
        if self._written - self._said >= _WRITING_EVERY_CHARS:
            self._said = self._written
            self._emit(WritingCall(name, self._written))
        return False


def _unique_ids(calls: list[ToolCallPart]) -> list[ToolCallPart]:
    """Calls whose ids differ; some engines number each answer's calls from zero."""
    seen: set[str] = set()
    result: list[ToolCallPart] = []
    for number, call in enumerate(calls):
        call_id = call.call_id or f"call_{time.time_ns():x}_{number}"
        if call_id in seen:
            call_id = f"{call_id}_{number}"
        seen.add(call_id)
        result.append(ToolCallPart(call_id, call.name, call.arguments))
    return result


def _tokens(event: TurnEnded) -> TokenCount:
    """What was read, reused and written, from the engine's timings or else its usage."""
    usage, timings = event.usage, event.timings
    if timings is not None and (timings.prompt_n or timings.cache_n):
        return TokenCount(
            timings.prompt_n, timings.cache_n, timings.predicted_n or usage.completion_tokens
        )
    return TokenCount(
        max(0, usage.prompt_tokens - usage.cached_tokens),
        usage.cached_tokens,
        usage.completion_tokens,
    )


def _wait_s(error: EngineError, attempt: int) -> float:
    after = error.facts.get("retry_after_s")
    if isinstance(after, int | float) and after > 0:
        return min(float(after), 60.0)
    return float(min(FIRST_WAIT_S * 2 ** (attempt - 1), LONGEST_WAIT_S))
