"""The part of Ollama's API by which clients find models and chat with them."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.core.control import ModelInfo
from app.engine.api import sampling
from app.engine.api.answers import WholeAnswer, WholeCall, guarded, whole
from app.engine.api.body import bad, flag, note_unknown, read_object, stop_strings, text
from app.engine.api.errors import error_body
from app.engine.api.models import ModelDirectory, priority_of
from app.engine.api.openai_input import messages_of, no_media, tools_of
from app.engine.api.sse import EventStream, json_line, until_gone
from app.engine.chat.answer import Answer
from app.engine.chat.template_input import parse_arguments
from app.engine.chat.values import AnswerEnded, ChatRequest, TextPiece, ThinkingPiece

_VERSION = "0.12.0"  # of the API as spoken here; some clients refuse older ones
_KNOWN = ("model", "messages", "tools", "stream", "options", "format", "think", "keep_alive")
_NS_PER_MS = 1_000_000


class Ollama:
    """Discovery and chat. Names may carry Ollama's `:latest`."""

    def __init__(self, models: ModelDirectory) -> None:
        self._models = models

    async def version(self, request: Request) -> Response:
        del request
        return JSONResponse({"version": _VERSION})

    async def tags(self, request: Request) -> Response:
        """The list of models."""
        del request
        return JSONResponse({"models": [_entry(info) for info in self._models.listed()]})

    async def show(self, request: Request) -> Response:
        """What is known about one model."""
        body = await read_object(request)
        info = self._models.find(_plain(text(body, "model") or text(body, "name")))
        architecture = info.architecture or "unknown"
        return JSONResponse(
            {
                **_entry(info),
                "modelfile": "",
                "parameters": "\n".join(f"{k} {v:g}" for k, v in sorted(info.sampling.items())),
                "template": "",
                "model_info": {
                    "general.architecture": architecture,
                    "general.parameter_count": info.n_params,
                    f"{architecture}.context_length": info.n_ctx or info.n_ctx_train,
                },
                "capabilities": ["embedding"] if info.is_embedding else ["completion", "tools"],
            }
        )

    async def chat(self, request: Request) -> Response:
        """Answers; a stream of JSON lines unless `stream` is false."""
        body = await read_object(request)
        note_unknown(body, _KNOWN, "api/chat")
        chat = await self._models.chat(_plain(text(body, "model")))
        info = chat.model.info
        streamed = flag(body, "stream", default=True)
        name = text(body, "model") or info.model_id
        prepared = await chat.prepare(_request(body, info, priority_of(request)))
        answer = prepared.start()
        if not streamed:
            result = await until_gone(request, whole(answer), answer.cancel)
            return JSONResponse(_last(name, result, result.ended))
        return EventStream(
            guarded(_stream(name, answer), lambda error: _line(error_body(error, "ollama"))),
            ping=lambda: b"\n",
            media_type="application/x-ndjson",
            at_end=answer.cancel,
        )


def _request(body: Mapping[str, Any], info: ModelInfo, priority: int) -> ChatRequest:
    options = body.get("options")
    if options is not None and not isinstance(options, dict):
        raise bad("options", "must be an object")
    options = options or {}
    raw = body.get("messages")
    for index, message in enumerate(raw if isinstance(raw, list) else ()):
        if isinstance(message, dict) and message.get("images"):
            raise no_media(f"messages[{index}].images")
    form = body.get("format")
    if form not in (None, "", "json") and not isinstance(form, dict):
        raise bad("format", "must be json or a schema")
    think = body.get("think")
    template: dict[str, Any] = {"enable_thinking": bool(think)} if think is not None else {}
    if isinstance(think, str):
        template["reasoning_effort"] = think
    return ChatRequest(
        messages=messages_of(body),
        tools=tools_of(body),
        sampling=sampling.sampling_of(options, info),
        max_tokens=sampling.max_tokens_of(options, "num_predict"),
        stop=stop_strings(options, "stop"),
        json_schema={} if form == "json" else form if isinstance(form, dict) else None,
        template_options=template,
        priority=priority,
    )


async def _stream(name: str, answer: Answer) -> AsyncGenerator[bytes, None]:
    result = WholeAnswer()
    async with aclosing(answer.events()) as events:
        async for event in events:
            result.add(event)
            if isinstance(event, TextPiece) and event.text:
                yield _line(_part(name, {"content": event.text}))
            elif isinstance(event, ThinkingPiece):
                yield _line(_part(name, {"content": "", "thinking": event.text}))
            elif isinstance(event, AnswerEnded):
                if result.calls:
                    yield _line(_part(name, {"content": "", "tool_calls": _calls(result.calls)}))
                yield _line(_last(name, WholeAnswer(), event))


def _line(value: Any) -> bytes:
    return json_line(value) + b"\n"


def _part(name: str, message: dict[str, Any]) -> dict[str, Any]:
    return {
        "model": name,
        "created_at": _now(),
        "message": {"role": "assistant", **message},
        "done": False,
    }


def _last(name: str, result: WholeAnswer, ended: AnswerEnded) -> dict[str, Any]:
    message: dict[str, Any] = {"content": result.text}
    if result.reasoning:
        message["thinking"] = result.reasoning
    if result.calls:
        message["tool_calls"] = _calls(result.calls)
    timings = ended.timings
    return {
        **_part(name, message),
        "done": True,
        "done_reason": "length" if ended.reason == "length" else "stop",
        "total_duration": int((timings.prompt_ms + timings.predicted_ms) * _NS_PER_MS),
        "load_duration": 0,
        "prompt_eval_count": ended.usage.prompt_tokens,
        "prompt_eval_duration": int(timings.prompt_ms * _NS_PER_MS),
        "eval_count": ended.usage.completion_tokens,
        "eval_duration": int(timings.predicted_ms * _NS_PER_MS),
    }


def _calls(calls: list[WholeCall]) -> list[dict[str, Any]]:
    return [
        {"function": {"name": call.name, "arguments": parse_arguments(call.arguments)}}
        for call in calls
    ]


def _entry(info: ModelInfo) -> dict[str, Any]:
    return {
        "name": info.model_id,
        "model": info.model_id,
        "modified_at": _now(),
        "size": info.size_bytes,
        "digest": hashlib.sha256(info.model_id.encode()).hexdigest(),
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": info.architecture,
            "families": [info.architecture],
            "parameter_size": f"{info.n_params / 1e9:.1f}B",
            "quantization_level": info.description,
        },
    }


def _plain(name: str) -> str:
    return name.removesuffix(":latest")


def _now() -> str:
    return datetime.now(tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
