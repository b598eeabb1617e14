"""POST /v1/chat/completions."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.core.control import ModelInfo
from app.core.events import Usage
from app.core.prompt_states import is_tag
from app.engine.api import sampling
from app.engine.api.answers import (
    WholeAnswer,
    cancelling,
    guarded,
    merge,
    new_call_id,
    started,
    timings_json,
    usage_json,
    whole,
)
from app.engine.api.body import (
    bad,
    flag,
    integer,
    note_unknown,
    read_object,
    stop_strings,
    text,
)
from app.engine.api.errors import error_body
from app.engine.api.models import ModelDirectory, priority_of
from app.engine.api.openai_input import (
    messages_of,
    response_schema_of,
    tool_choice_of,
    tools_of,
)
from app.engine.api.sse import EventStream, data_event, until_gone
from app.engine.chat.answer import Answer
from app.engine.chat.values import (
    AnswerEnded,
    AnswerEvent,
    CallArguments,
    CallBegan,
    ChatRequest,
    TextPiece,
    ThinkingPiece,
)
from app.engine.types import Progress, TokenLogprob

MAX_ANSWERS = 16
_KNOWN = (
    *sampling.FIELDS,
    *("model", "messages", "stream", "stream_options", "tools", "tool_choice", "n", "stop"),
    *("max_tokens", "max_completion_tokens", "parallel_tool_calls", "response_format"),
    *("logprobs", "top_logprobs", "return_progress", "chat_template_kwargs", "functions"),
    *("function_call", "ignore_eos", "reasoning_effort", "timings_per_token", "cache_prompt"),
    *("conversation_tag", "enable_thinking", "thinking", "reasoning"),
)
_FINISH = {"cancelled": "stop"}


def chat_request_of(body: Mapping[str, Any], info: ModelInfo, priority: int) -> ChatRequest:
    """The body as a request.

    Raises:
        ApiError: 400 that names the field.
    """
    tools = tools_of(body)
    options = body.get("chat_template_kwargs")
    if options is not None and not isinstance(options, dict):
        raise bad("chat_template_kwargs", "must be an object")
    template_options = dict(options or {})
    if effort := text(body, "reasoning_effort"):
        template_options.setdefault("reasoning_effort", effort)
        if effort == "none":
            template_options.setdefault("enable_thinking", False)
    if (thinks := _wants_thinking(body)) is not None:
        template_options.setdefault("enable_thinking", thinks)
    for name in ("messages", "tools", "add_generation_prompt", "bos_token", "eos_token"):
        template_options.pop(name, None)
    return ChatRequest(
        messages=messages_of(body),
        tools=tools,
        tool_choice=tool_choice_of(body, tools),
        parallel_calls=flag(body, "parallel_tool_calls", default=True),
        sampling=sampling.sampling_of(body, info, logprobs=_logprobs(body)),
        max_tokens=sampling.max_tokens_of(body, "max_completion_tokens", "max_tokens", "n_predict"),
        stop=stop_strings(body, "stop"),
        json_schema=response_schema_of(body),
        template_options=template_options,
        priority=priority,
        ignore_eos=flag(body, "ignore_eos"),
        tag=_tag(body),
    )


def _wants_thinking(body: Mapping[str, Any]) -> bool | None:
    """The switch in the spellings of DashScope, DeepSeek and OpenRouter; None where it is not."""
    if isinstance(enabled := body.get("enable_thinking"), bool):
        return enabled
    thinking, reasoning = body.get("thinking"), body.get("reasoning")
    if isinstance(thinking, dict) and thinking.get("type") in ("enabled", "disabled"):
        return bool(thinking["type"] == "enabled")
    if isinstance(reasoning, dict):
        if isinstance(enabled := reasoning.get("enabled"), bool):
            return enabled
        return False if reasoning.get("effort") == "none" else None
    return None


def _tag(body: Mapping[str, Any]) -> str:
    tag = text(body, "conversation_tag")
    if tag and not is_tag(tag):
        raise bad("conversation_tag", "is none of ours")
    return tag


def _logprobs(body: Mapping[str, Any]) -> int | None:
    top = integer(body, "top_logprobs", 0, sampling.MAX_TOP_LOGPROBS)
    if flag(body, "logprobs"):
        return top or 0
    if top:
        raise bad("top_logprobs", "needs logprobs to be true")
    return None


class ChatCompletions:
    """The endpoint."""

    def __init__(self, models: ModelDirectory) -> None:
        self._models = models

    async def create(self, request: Request) -> Response:
        """Answers, streamed or whole."""
        body = await read_object(request)
        note_unknown(body, _KNOWN, "chat/completions")
        messages_of(body)  # what is wrong with these does not need the model to be loaded
        chat = await self._models.chat(text(body, "model"))
        info = chat.model.info
        asked = chat_request_of(body, info, priority_of(request))
        count = integer(body, "n", 1, MAX_ANSWERS) or 1
        streamed, progress = flag(body, "stream"), flag(body, "return_progress")
        options = body.get("stream_options")
        usage = isinstance(options, dict) and options.get("include_usage") is True
        prepared = await chat.prepare(asked)
        writer = _Writer(info.model_id, count, asked.sampling.logprobs)
        # from here on nothing may fail but the answers themselves: they are being written
        answers = started(prepared.start(number) for number in range(count))
        if not streamed:
            whole_answers = _whole(writer, answers)
            return JSONResponse(await until_gone(request, whole_answers, cancelling(answers)))
        events = writer.stream(answers, progress=progress, usage=usage)
        return EventStream(
            guarded(events, lambda error: data_event(error_body(error, "openai"))),
            at_end=cancelling(answers),
        )

    async def count(self, request: Request) -> Response:
        """Tokens the prompt of this body would take; the model is not asked."""
        body = await read_object(request)
        chat = await self._models.chat(text(body, "model"))
        asked = chat_request_of(body, chat.model.info, 2)
        return JSONResponse(
            {
                "object": "chat.completion.count",
                "prompt_tokens": await chat.count_tokens(asked),
                "n_ctx": chat.model.info.n_ctx,
            }
        )


async def _whole(writer: _Writer, answers: Sequence[Answer]) -> dict[str, Any]:
    results = [WholeAnswer() for _ in answers]
    if len(answers) == 1:
        results[0] = await whole(answers[0])
    else:
        async with aclosing(merge(answers)) as events:
            async for number, event in events:
                results[number].add(event)
    return writer.completion(results)


@dataclass(slots=True)
class _Started:
    """What was already sent of one choice."""

    role: bool = False


class _Writer:
    """Writes one completion."""

    def __init__(self, model_id: str, count: int, logprobs: int | None) -> None:
        self._id = f"chatcmpl-{secrets.token_hex(12)}"
        self._created_s = int(time.time())
        self._model = model_id
        self._choices = [_Started() for _ in range(count)]
        self._logprobs = logprobs

    async def stream(
        self, answers: Sequence[Answer], *, progress: bool, usage: bool
    ) -> AsyncGenerator[bytes, None]:
        ended: dict[int, Usage] = {}
        last: AnswerEnded | None = None
        async with aclosing(merge(answers)) as events:
            async for number, event in events:
                if isinstance(event, Progress):
                    if progress:
                        yield data_event(self._progress(number, event))
                    continue
                if isinstance(event, AnswerEnded):
                    ended[number], last = event.usage, event
                if (chunk := self._chunk(number, event)) is not None:
                    yield data_event(chunk)
        if usage:
            final = self._envelope([])
            final["usage"] = usage_json([ended[number] for number in sorted(ended)])
            if last is not None:
                final["timings"] = timings_json(last.timings)
            yield data_event(final)
        yield b"data: [DONE]\n\n"

    def completion(self, results: Sequence[WholeAnswer]) -> dict[str, Any]:
        body = self._envelope([self._choice(n, result) for n, result in enumerate(results)])
        body["object"] = "chat.completion"
        body["usage"] = usage_json([result.ended.usage for result in results])
        body["timings"] = timings_json(results[0].ended.timings)
        return body

    def _envelope(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created_s,
            "model": self._model,
            "system_fingerprint": "garret",
            "choices": choices,
        }

    def _progress(self, number: int, event: Progress) -> dict[str, Any]:
        chunk = self._envelope([{"index": number, "delta": {}, "finish_reason": None}])
        chunk["prompt_progress"] = {
            "total": event.total,
            "cache": event.cached,
            "processed": event.processed,
            "time_ms": round(event.elapsed_ms, 3),
        }
        return chunk

    def _chunk(self, number: int, event: AnswerEvent) -> dict[str, Any] | None:
        delta: dict[str, Any] = {}
        choice: dict[str, Any] = {"index": number, "delta": delta, "finish_reason": None}
        match event:
            case TextPiece(text=piece, logprobs=logprobs):
                delta["content"] = piece
                if self._logprobs is not None:
                    choice["logprobs"] = _logprobs_json(logprobs, self._logprobs)
            case ThinkingPiece(text=piece):
                delta["reasoning_content"] = piece
            case CallBegan(index=index, name=name, call_id=call_id):
                function: dict[str, Any] = {"name": name, "arguments": ""}
                call = {"index": index, "id": call_id or new_call_id(), "type": "function"}
                delta["tool_calls"] = [{**call, "function": function}]
            case CallArguments(index=index, delta=more):
                delta["tool_calls"] = [{"index": index, "function": {"arguments": more}}]
            case AnswerEnded(reason=reason):
                choice["finish_reason"] = _FINISH.get(reason, reason)
            case _:
                return None
        if not self._choices[number].role:
            self._choices[number].role = True
            delta.update({"role": "assistant", "content": delta.get("content", "")})
        chunk = self._envelope([choice])
        if isinstance(event, AnswerEnded):
            chunk["timings"] = timings_json(event.timings)
        return chunk

    def _choice(self, number: int, result: WholeAnswer) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": result.text if result.text or not result.calls else None,
            "refusal": None,
        }
        if result.reasoning:
            message["reasoning_content"] = result.reasoning
        if result.calls:
            message["tool_calls"] = [
                {
                    "id": call.call_id,
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.arguments},
                }
                for call in result.calls
            ]
        logprobs = None
        if self._logprobs is not None:
            logprobs = _logprobs_json(tuple(result.logprobs), self._logprobs)
        return {
            "index": number,
            "message": message,
            "logprobs": logprobs,
            "finish_reason": _FINISH.get(result.ended.reason, result.ended.reason),
        }


def _logprobs_json(logprobs: tuple[TokenLogprob, ...], top: int) -> dict[str, Any]:
    return {
        "content": [
            {
                **_token_json(item.token, item.logprob),
                "top_logprobs": [
                    _token_json(token, logprob) for _, token, logprob in item.top[:top]
                ],
            }
            for item in logprobs
        ],
        "refusal": None,
    }


def _token_json(token: bytes, logprob: float) -> dict[str, Any]:
    return {
        "token": token.decode("utf-8", "replace"),
        "logprob": max(logprob, -9999.0),
        "bytes": list(token),
    }
