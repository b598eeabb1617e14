"""POST /v1/responses, and what was answered there before."""

from __future__ import annotations

import json
import secrets
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.core.control import ModelInfo
from app.engine.api import responses_input as given
from app.engine.api import sampling
from app.engine.api.answers import guarded, whole
from app.engine.api.body import flag, integer, note_unknown, read_object, text
from app.engine.api.errors import ApiError
from app.engine.api.models import ModelDirectory, priority_of
from app.engine.api.openai_input import tool_choice_of
from app.engine.api.responses_writer import ResponseWriter
from app.engine.api.sse import EventStream, named_event, until_gone
from app.engine.chat.answer import Answer
from app.engine.chat.values import ChatRequest

_KNOWN = (
    *("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "stream"),
    *("max_output_tokens", "temperature", "top_p", "text", "reasoning", "store", "include"),
    *("previous_response_id", "metadata", "truncation", "user", "prompt_cache_key", "top_logprobs"),
)
MAX_STORED = 256
MAX_STORED_CHARS = 16_000_000


@dataclass(frozen=True, slots=True)
class _Stored:
    """A finished response and all items that led to it."""

    response: dict[str, Any]
    items: list[dict[str, Any]]
    size: int


class ResponseStore:
    """The last responses, in memory only."""

    def __init__(self) -> None:
        self._stored: OrderedDict[str, _Stored] = OrderedDict()
        self._items: dict[str, dict[str, Any]] = {}  # all output of the stored responses, by id
        self._size = 0

    def keep(self, response: dict[str, Any], items: list[dict[str, Any]]) -> None:
        """Keeps a response to these items; the oldest make room."""
        known = [*items, *response["output"]]
        size = len(json.dumps(known))
        self._stored[response["id"]] = _Stored(response, known, size)
        self._size += size
        self._items.update({item["id"]: item for item in response["output"]})
        while len(self._stored) > MAX_STORED or self._size > MAX_STORED_CHARS:
            self._forget(next(iter(self._stored)))

    def referred(self, item: dict[str, Any]) -> dict[str, Any]:
        """The item itself, or the one it refers to: clients repeat what is stored here by id.

        Raises:
            ApiError: 404 when nothing of that id is stored.
        """
        if item.get("type") != "item_reference":
            return item
        known = self._items.get(str(item.get("id")))
        if known is None:
            raise ApiError(
                404,
                f"There is no item {str(item.get('id'))[:80]!r} here; send it whole.",
                param="input",
                code="item_not_found",
            )
        return known

    def find(self, response_id: str) -> _Stored:
        """A stored response.

        Raises:
            ApiError: 404.
        """
        stored = self._stored.get(response_id)
        if stored is None:
            raise ApiError(
                404,
                f"There is no response {response_id[:80]!r} here.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return stored

    def drop(self, response_id: str) -> None:
        self.find(response_id)
        self._forget(response_id)

    def _forget(self, response_id: str) -> None:
        dropped = self._stored.pop(response_id)
        self._size -= dropped.size
        for item in dropped.response["output"]:
            self._items.pop(item["id"], None)


class Responses:
    """The endpoint."""

    def __init__(self, models: ModelDirectory) -> None:
        self._models = models
        self._store = ResponseStore()

    async def create(self, request: Request) -> Response:
        """Answers, streamed or whole."""
        body = await read_object(request)
        note_unknown(body, _KNOWN, "responses")
        items = self._all_items(body)
        streamed, keeps = flag(body, "stream"), flag(body, "store", default=True)
        chat = await self._models.chat(text(body, "model"))
        info = chat.model.info
        offered = given.tools_of(body)
        asked = _request(body, info, items, offered.tools, priority_of(request))
        writer = ResponseWriter(_frame(body, info), offered, sealed=_sealed(body))
        prepared = await chat.prepare(asked)
        answer = prepared.start()
        if not streamed:
            result = await until_gone(request, whole(answer), answer.cancel)
            response = writer.response_of(result)
            if keeps:
                self._store.keep(response, items)
            return JSONResponse(response)
        events = self._stream(writer, answer, items, keeps=keeps)
        return EventStream(
            guarded(events, writer.failed),
            ping=lambda: named_event("ping", writer.numbered("ping", {})),
            at_end=answer.cancel,
        )

    def _all_items(self, body: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The conversation: what is stored of it, and what the request brings."""
        given.refuse_unsupported(body)
        items = [self._store.referred(item) for item in given.items_of(body)]
        if previous := text(body, "previous_response_id"):
            return [*self._store.find(previous).items, *items]
        return items

    async def _stream(
        self, writer: ResponseWriter, answer: Answer, items: list[dict[str, Any]], *, keeps: bool
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(writer.stream(answer)) as events:
            async for event in events:
                if keeps and writer.ended:  # whoever reads the last event may refer to it at once
                    self._store.keep(writer.final, items)
                yield event

    async def count(self, request: Request) -> Response:
        """Tokens of the prompt; neither queued nor shown to the model."""
        body = await read_object(request)
        items = self._all_items(body)
        chat = await self._models.chat(text(body, "model"))
        asked = _request(body, chat.model.info, items, given.tools_of(body).tools, 2)
        tokens = await chat.count_tokens(asked)
        return JSONResponse({"object": "response.input_tokens", "input_tokens": tokens})

    async def input_items(self, request: Request) -> Response:
        """What a stored response answered, newest first unless `order` is asc."""
        stored = self._store.find(request.path_params["name"])
        known = stored.items[: len(stored.items) - len(stored.response["output"])]
        items = [{"id": f"item_{n}", "type": "message", **item} for n, item in enumerate(known)]
        if request.query_params.get("order") != "asc":
            items.reverse()
        ends = {"first_id": items[0]["id"], "last_id": items[-1]["id"]}
        return JSONResponse({"object": "list", "data": items, **ends, "has_more": False})

    async def get(self, request: Request) -> Response:
        """A response that was stored."""
        return JSONResponse(self._store.find(request.path_params["name"]).response)

    async def delete(self, request: Request) -> Response:
        """Forgets a stored response."""
        name = request.path_params["name"]
        self._store.drop(name)
        return JSONResponse({"id": name, "object": "response", "deleted": True})


def _request(
    body: Mapping[str, Any],
    info: ModelInfo,
    items: list[dict[str, Any]],
    tools: Any,
    priority: int,
) -> ChatRequest:
    reasoning = body.get("reasoning")
    effort = reasoning.get("effort") if isinstance(reasoning, dict) else None
    options: dict[str, Any] = {}
    if isinstance(effort, str):
        options["reasoning_effort"] = effort
        if effort in ("none", "minimal"):
            options["enable_thinking"] = False
    fields = {name: body[name] for name in sampling.FIELDS if name in body}
    include = body.get("include")
    logprobs = isinstance(include, list) and "message.output_text.logprobs" in include
    top = integer(body, "top_logprobs", 0, sampling.MAX_TOP_LOGPROBS) or 0
    return ChatRequest(
        messages=given.messages_of(items, text(body, "instructions")),
        tools=tools,
        tool_choice=tool_choice_of(body, tools),
        parallel_calls=flag(body, "parallel_tool_calls", default=True),
        sampling=sampling.sampling_of(fields, info, logprobs=top if logprobs else None),
        max_tokens=sampling.max_tokens_of(body, "max_output_tokens"),
        json_schema=given.response_schema_of(body),
        template_options=options,
        priority=priority,
    )


def _sealed(body: Mapping[str, Any]) -> bool:
    """Whether the client wants reasoning in the one form that it can hand back without a store."""
    include = body.get("include")
    return isinstance(include, list) and "reasoning.encrypted_content" in include


def _frame(body: Mapping[str, Any], info: ModelInfo) -> dict[str, Any]:
    """What a response repeats of its request."""
    written = body.get("text") if isinstance(body.get("text"), dict) else {}
    reasoning = body.get("reasoning") if isinstance(body.get("reasoning"), dict) else {}
    return {
        "id": f"resp_{secrets.token_hex(16)}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "model": info.model_id,
        "output": [],
        "parallel_tool_calls": body.get("parallel_tool_calls") is not False,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None, **(reasoning or {})},
        "store": body.get("store") is not False,
        "temperature": body.get("temperature"),
        "text": {"format": {"type": "text"}, **(written or {})},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": body.get("top_p"),
        "truncation": "disabled",
        "usage": None,
        "user": body.get("user"),
        "metadata": body.get("metadata") or {},
    }
