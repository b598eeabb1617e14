"""POST /v1/messages and /v1/messages/count_tokens."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.core.control import ModelInfo
from app.core.events import Usage
from app.engine.api import anthropic_input as given
from app.engine.api import sampling
from app.engine.api.answers import WholeAnswer, guarded, whole
from app.engine.api.body import flag, note_unknown, read_object, stop_strings, text
from app.engine.api.errors import ApiError, error_body
from app.engine.api.models import ModelDirectory, priority_of
from app.engine.api.sse import EventStream, named_event, until_gone
from app.engine.chat.answer import Answer
from app.engine.chat.template_input import parse_arguments
from app.engine.chat.values import (
    AnswerEnded,
    AnswerEvent,
    CallArguments,
    CallBegan,
    CallEnded,
    ChatRequest,
    TextPiece,
    ThinkingPiece,
)
from app.engine.types import Progress

_KNOWN = (
    *("model", "messages", "system", "max_tokens", "stream", "stop_sequences", "tools"),
    *("tool_choice", "temperature", "top_p", "top_k", "thinking", "output_config"),
    *("output_format", "metadata"),
)
_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
_SIDE_REQUEST_TOKENS = 1024


def chat_request_of(body: Mapping[str, Any], info: ModelInfo, priority: int) -> ChatRequest:
    """The body as a request.

    Raises:
        ApiError: 400 that names the field.
    """
    tools, deferred = given.tools_of(body)
    choice, parallel = given.tool_choice_of(body, (*tools, *deferred))
    messages = given.messages_of(body, (*tools, *deferred))
    prefill = ""
    if messages[-1].role == "assistant" and not messages[-1].tool_calls and len(messages) > 1:
        prefill = messages[-1].content.rstrip()
        messages = messages[:-1]
    schema = given.response_schema_of(body)
    limit = sampling.max_tokens_of(body, "max_tokens")
    # titles and the like: short, without tools; the conversation must not wait for them
    aside = not tools and not flag(body, "stream") and (limit or 0) <= _SIDE_REQUEST_TOKENS
    return ChatRequest(
        messages=messages,
        tools=tools,
        deferred_tools=deferred,
        tool_choice=choice,
        parallel_calls=parallel,
        sampling=sampling.sampling_of(_sampling_fields(body), info),
        max_tokens=limit,
        stop=stop_strings(body, "stop_sequences"),
        json_schema=schema,
        template_options={} if wants_thinking(body) else {"enable_thinking": False},
        prefill=prefill,
        priority=max(priority, 2) if aside else priority,
    )


def _sampling_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body}


def wants_thinking(body: Mapping[str, Any]) -> bool:
    """Whether the client asked to see reasoning."""
    thinking = body.get("thinking")
    return isinstance(thinking, dict) and thinking.get("type") in ("enabled", "adaptive")


class Messages:
    """The endpoint."""

    def __init__(self, models: ModelDirectory) -> None:
        self._models = models

    async def create(self, request: Request) -> Response:
        """Answers, streamed or whole."""
        body = await read_object(request)
        note_unknown(body, _KNOWN, "messages")
        given.messages_of(body, ())
        name = text(body, "model")
        chat = await self._models.claude(name)
        asked = chat_request_of(body, chat.model.info, priority_of(request))
        streamed = flag(body, "stream")
        prepared = await chat.prepare(asked)
        writer = _Writer(
            name or chat.model.info.model_id,
            prepared.prompt_tokens,
            thinking=wants_thinking(body),
        )
        answer = prepared.start()
        if not streamed:
            result = await until_gone(request, whole(answer), answer.cancel)
            return JSONResponse(writer.message(result), headers=_headers())
        stream = EventStream(
            guarded(writer.stream(answer), _error_event),
            ping=lambda: named_event("ping", {"type": "ping"}),
            at_end=answer.cancel,
        )
        stream.headers.update(_headers())
        return stream

    async def count(self, request: Request) -> Response:
        """Tokens of the prompt; neither queued nor shown to the model."""
        body = await read_object(request)
        chat = await self._models.claude(text(body, "model"))
        asked = chat_request_of(body, chat.model.info, 2)
        return JSONResponse(
            {"input_tokens": await chat.count_tokens(asked)},
            headers=_headers(),
        )


def _headers() -> dict[str, str]:
    return {"request-id": f"req_{secrets.token_hex(12)}"}


def _error_event(error: ApiError) -> bytes:
    return named_event("error", error_body(error, "anthropic"))


class _Writer:
    """Writes one message: blocks one after the other, each opened and closed."""

    def __init__(self, model: str, prompt_tokens: int, *, thinking: bool) -> None:
        self._id = f"msg_{secrets.token_hex(12)}"
        self._model = model
        self._prompt_tokens = prompt_tokens
        self._thinking = thinking
        self._index = -1
        self._open = ""

    def message(self, result: WholeAnswer) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        if result.reasoning and self._thinking:
            content.append(
                {"type": "thinking", "thinking": result.reasoning, "signature": _signature()}
            )
        if result.text.strip() or not result.calls:
            content.append({"type": "text", "text": result.text})
        content.extend(
            {
                "type": "tool_use",
                "id": _tool_id(),
                "name": call.name,
                "input": parse_arguments(call.arguments),
            }
            for call in result.calls
        )
        return {
            **self._envelope(content),
            **_stopped(result.ended),
            "usage": _usage(result.ended.usage),
        }

    async def stream(self, answer: Answer) -> AsyncGenerator[bytes, None]:
        started = False
        async with aclosing(answer.events()) as events:
            async for event in events:
                if not started:
                    started = True
                    cached = event.cached if isinstance(event, Progress) else 0
                    usage = Usage(self._prompt_tokens, 0, cached)
                    yield self._start(usage)
                for name, data in self._events(event):
                    yield named_event(name, {"type": name, **data})

    def _start(self, usage: Usage) -> bytes:
        message = {
            **self._envelope([]),
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage(usage),
        }
        return named_event("message_start", {"type": "message_start", "message": message})

    def _envelope(self, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": content,
        }

    def _events(self, event: AnswerEvent) -> list[tuple[str, dict[str, Any]]]:
        match event:
            case TextPiece(text=piece) if piece:
                return [
                    *self._block("text", {"type": "text", "text": ""}),
                    self._delta({"type": "text_delta", "text": piece}),
                ]
            case ThinkingPiece(text=piece) if self._thinking:
                block = {"type": "thinking", "thinking": "", "signature": ""}
                return [
                    *self._block("thinking", block),
                    self._delta({"type": "thinking_delta", "thinking": piece}),
                ]
            case CallBegan(name=name):
                call: dict[str, Any] = {"type": "tool_use", "id": _tool_id(), "name": name}
                return [*self._close(), *self._block("tool_use", {**call, "input": {}})]
            case CallArguments(delta=delta):
                return [self._delta({"type": "input_json_delta", "partial_json": delta})]
            case CallEnded():
                return self._close()
            case AnswerEnded():
                opened: list[tuple[str, dict[str, Any]]] = []
                if self._index < 0:  # clients expect at least one block
                    opened = self._block("text", {"type": "text", "text": ""})
                end = {"delta": _stopped(event), "usage": _usage(event.usage)}
                return [*opened, *self._close(), ("message_delta", end), ("message_stop", {})]
        return []

    def _block(self, kind: str, block: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        if self._open == kind:
            return []
        closed = self._close()
        self._index += 1
        self._open = kind
        start = {"index": self._index, "content_block": block}
        return [*closed, ("content_block_start", start)]

    def _close(self) -> list[tuple[str, dict[str, Any]]]:
        if not self._open:
            return []
        out = []
        if self._open == "thinking":
            out.append(self._delta({"type": "signature_delta", "signature": _signature()}))
        self._open = ""
        return [*out, ("content_block_stop", {"index": self._index})]

    def _delta(self, delta: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        return ("content_block_delta", {"index": self._index, "delta": delta})


def _stopped(ended: AnswerEnded) -> dict[str, Any]:
    if ended.stop_text is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": ended.stop_text}
    return {"stop_reason": _STOP.get(ended.reason, "end_turn"), "stop_sequence": None}


def _usage(usage: Usage) -> dict[str, Any]:
    """Anthropic counts what came from the cache apart from the rest of the input."""
    return {
        "input_tokens": max(usage.prompt_tokens - usage.cached_tokens, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }


def _tool_id() -> str:
    return f"toolu_{secrets.token_hex(12)}"


def _signature() -> str:
    """Local reasoning is not signed; clients only want the field to be there."""
    return "garret"
