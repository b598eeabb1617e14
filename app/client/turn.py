"""Turns the chunks of one streamed chat completion into `app.core.events`.

Tolerant of what engines do differently: usage with or after the last choice, reasoning under three
names, tool calls without an index or an id, whole calls in one delta.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, get_args

from app.core.errors import EngineDied
from app.core.events import (
    FinishReason,
    PromptProgress,
    TextDelta,
    ThinkingDelta,
    Timings,
    ToolCallDelta,
    ToolCallReady,
    TurnEnded,
    TurnEvent,
    Usage,
)
from app.core.messages import ToolCallPart

_REASONS = set(get_args(FinishReason))


@dataclass(slots=True)
class _OpenCall:
    call_id: str
    name: str
    arguments: list[str] = field(default_factory=list)


class TurnReader:
    """State of one answer while it streams."""

    def __init__(self) -> None:
        self.started = False
        self._calls: dict[int, _OpenCall] = {}
        self._finish: FinishReason | None = None
        self._usage = Usage()
        self._timings: Timings | None = None

    def feed(self, chunk: dict[str, Any] | None) -> Iterator[TurnEvent]:
        """Events of one chunk; None is the stream's own end mark."""
        if chunk is None:
            if self.started and self._finish is None:
                self._finish = "stop"  # some engines mark the end but never say why
            yield from self.end()
            return
        self.started = True
        if isinstance(progress := chunk.get("prompt_progress"), dict):
            yield _progress(progress)
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = _usage(usage)
        if isinstance(timings := chunk.get("timings"), dict):
            self._timings = _timings(timings)
        choices = chunk.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            yield from self._choice(choices[0], "delta")

    def whole(self, body: dict[str, Any]) -> Iterator[TurnEvent]:
        """Events of an answer that came in one piece, from an engine that does not stream."""
        self.started = True
        self._usage = _usage(body.get("usage") or {})
        choices = body.get("choices")
        if isinstance(choices, list) and choices and isinstance(choices[0], dict):
            yield from self._choice(choices[0], "message")
        yield from self.end()

    def end(self) -> Iterator[TurnEvent]:
        """The closing events.

        Raises:
            EngineDied: the stream ended before the engine said why.
        """
        if self._finish is None:
            raise EngineDied("The engine stopped in the middle of its answer.", "Ask again.")
        reason: FinishReason = self._finish
        for index, call in sorted(self._calls.items()):
            yield ToolCallReady(
                index, ToolCallPart(call.call_id, call.name, "".join(call.arguments) or "{}")
            )
        if self._calls and reason == "stop":
            reason = "tool_calls"
        yield TurnEnded(reason, self._usage, self._timings)

    def _choice(self, choice: dict[str, Any], key: str) -> Iterator[TurnEvent]:
        delta = choice.get(key)
        if isinstance(delta, dict):
            for name in ("reasoning_content", "reasoning", "thinking"):
                if isinstance(text := delta.get(name), str) and text:
                    yield ThinkingDelta(text)
                    break
            if isinstance(text := delta.get("content"), str) and text:
                yield TextDelta(text)
            calls = delta.get("tool_calls")
            for position, call in enumerate(calls if isinstance(calls, list) else ()):
                if isinstance(call, dict):
                    yield from self._call(call, position)
        reason = choice.get("finish_reason")
        if isinstance(reason, str):
            self._finish = _finish_reason(reason)

    def _call(self, call: dict[str, Any], position: int) -> Iterator[TurnEvent]:
        raw_index = call.get("index")
        index = raw_index if isinstance(raw_index, int) else len(self._calls) + position
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        name = function.get("name") if isinstance(function.get("name"), str) else None
        arguments = function.get("arguments")
        text = arguments if isinstance(arguments, str) else ""
        known = self._calls.get(index)
        if known is None:
            call_id = call.get("id")
            known = _OpenCall(
                call_id if isinstance(call_id, str) and call_id else f"call_{secrets.token_hex(8)}",
                name or "",
            )
            self._calls[index] = known
            known.arguments.append(text)
            yield ToolCallDelta(index, known.call_id, known.name, text)
            return
        if name and not known.name:
            known.name = name
        known.arguments.append(text)
        if text:
            yield ToolCallDelta(index, None, None, text)


def _finish_reason(reason: str) -> FinishReason:
    if reason == "function_call":
        return "tool_calls"
    if reason in _REASONS:
        return reason  # type: ignore[return-value]  # checked against the Literal's own arguments
    return "stop"


def _usage(usage: dict[str, Any]) -> Usage:
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    return Usage(
        _int(usage.get("prompt_tokens")),
        _int(usage.get("completion_tokens")),
        _int(details.get("cached_tokens")),
    )


def _timings(timings: dict[str, Any]) -> Timings:
    return Timings(
        _int(timings.get("cache_n")),
        _int(timings.get("prompt_n")),
        _float(timings.get("prompt_ms")),
        _int(timings.get("predicted_n")),
        _float(timings.get("predicted_ms")),
    )


def _progress(progress: dict[str, Any]) -> PromptProgress:
    return PromptProgress(
        read_tokens=_int(progress.get("processed")),
        reused_tokens=_int(progress.get("cache")),
        total_tokens=_int(progress.get("total")),
        elapsed_s=_float(progress.get("time_ms")) / 1000.0,
    )


def _int(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _float(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else 0.0
