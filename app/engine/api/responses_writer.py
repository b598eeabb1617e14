"""Writes one OpenAI response: its items, and the events that build them up."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from app.core.events import Usage
from app.engine.api.answers import WholeAnswer, new_call_id, timings_json
from app.engine.api.errors import ApiError
from app.engine.api.responses_input import OfferedTools, sealed
from app.engine.api.sse import named_event
from app.engine.chat.answer import Answer
from app.engine.chat.template_input import parse_arguments
from app.engine.chat.values import (
    AnswerEnded,
    AnswerEvent,
    CallArguments,
    CallBegan,
    CallEnded,
    TextPiece,
    ThinkingPiece,
)
from app.engine.types import TokenLogprob

_Event = tuple[str, dict[str, Any]]


class ResponseWriter:
    """One answer. `frame` is the response as it stands before any output; with `sealed`, reasoning
    also goes out in the form that clients hand back."""

    def __init__(
        self, frame: dict[str, Any], offered: OfferedTools, *, sealed: bool = False
    ) -> None:
        self._frame = frame
        self._offered = offered
        self._sequence = -1
        self._items: list[dict[str, Any]] = []
        self._open = ""
        self._sealed = sealed
        self.ended = False
        self.final: dict[str, Any] = frame

    def numbered(self, kind: str, data: dict[str, Any]) -> dict[str, Any]:
        """An event's data with its type and the next sequence number."""
        self._sequence += 1
        return {"type": kind, "sequence_number": self._sequence, **data}

    def failed(self, error: ApiError) -> bytes:
        """The last event of a response that could not be finished."""
        problem = {"code": error.code or "server_error", "message": error.message}
        response = {**self._frame, "status": "failed", "error": problem, "output": self._items}
        return self._write("response.failed", {"response": response})

    def response_of(self, result: WholeAnswer) -> dict[str, Any]:
        """The answer in one piece."""
        if result.reasoning:
            self._items.append(self._seal(_reasoning_item(result.reasoning)))
        if result.text.strip() or not result.calls:
            part = _text_part(result.text, result.logprobs)
            self._items.append(_message_item("completed", [part]))
        for call in result.calls:
            item = self._call_item(call.name, "completed", call.call_id)
            self._fill(item, call.arguments)
            self._items.append(item)
        return self._ended(result.ended)

    async def stream(self, answer: Answer) -> AsyncGenerator[bytes, None]:
        """Events from created to completed."""
        for kind in ("response.created", "response.in_progress"):
            yield self._write(kind, {"response": self._frame})
        async with aclosing(answer.events()) as events:
            async for event in events:
                for kind, data in self._events(event):
                    yield self._write(kind, data)
                if isinstance(event, AnswerEnded):
                    self.final, self.ended = self._ended(event), True
                    done = self.final["status"]
                    yield self._write(f"response.{done}", {"response": self.final})

    def _write(self, kind: str, data: dict[str, Any]) -> bytes:
        return named_event(kind, self.numbered(kind, data))

    def _events(self, event: AnswerEvent) -> list[_Event]:
        match event:
            case TextPiece(text=piece, logprobs=logprobs) if piece or logprobs:
                opened = self._begin("message", _message_item("in_progress", []))
                if opened:
                    opened.append(self._part_added({**_text_part("", []), "logprobs": []}))
                part = self._items[-1]["content"][0]
                part["text"] += piece
                listed = _logprobs_json(logprobs)
                part["logprobs"] += listed
                delta = {**self._place(), "delta": piece, "logprobs": listed}
                return [*opened, ("response.output_text.delta", delta)]
            case ThinkingPiece(text=piece):
                item = {**_reasoning_item(""), "status": "in_progress", "content": []}
                opened = self._begin("reasoning", item)
                if opened:
                    opened.append(self._part_added({"type": "reasoning_text", "text": ""}))
                self._items[-1]["content"][0]["text"] += piece
                return [
                    *opened,
                    ("response.reasoning_text.delta", {**self._place(), "delta": piece}),
                ]
            case CallBegan(name=name):
                return self._begin("call", self._call_item(name, "in_progress", new_call_id()))
            case CallArguments(delta=delta):
                return self._arguments(delta)
            case CallEnded() | AnswerEnded():
                return self._close()
        return []

    def _arguments(self, delta: str) -> list[_Event]:
        item = self._items[-1]
        if item["type"] == "custom_tool_call":  # its one text is only known when it is whole
            item["input"] += delta
            return []
        item["arguments"] += delta
        data = {"item_id": item["id"], "output_index": len(self._items) - 1, "delta": delta}
        return [("response.function_call_arguments.delta", data)]

    def _begin(self, kind: str, item: dict[str, Any]) -> list[_Event]:
        if self._open == kind and kind != "call":
            return []
        events = self._close()
        self._open = kind
        self._items.append(item)
        added = {"output_index": len(self._items) - 1, "item": _copy(item)}
        return [*events, ("response.output_item.added", added)]

    def _part_added(self, part: dict[str, Any]) -> _Event:
        self._items[-1]["content"].append(part)
        return ("response.content_part.added", {**self._place(), "part": dict(part)})

    def _place(self) -> dict[str, Any]:
        index = len(self._items) - 1
        return {"item_id": self._items[-1]["id"], "output_index": index, "content_index": 0}

    def _close(self) -> list[_Event]:
        if not self._open:
            return []
        item = self._items[-1]
        events: list[_Event] = []
        if self._open == "call":
            done = {"item_id": item["id"], "output_index": len(self._items) - 1}
            if item["type"] == "custom_tool_call":
                self._fill(item, item["input"])
                name = "response.custom_tool_call_input"
                events.append((f"{name}.delta", {**done, "delta": item["input"]}))
                events.append((f"{name}.done", {**done, "input": item["input"]}))
            else:
                call = {"name": item["name"], "arguments": item["arguments"]}
                events.append(("response.function_call_arguments.done", {**done, **call}))
        else:
            part = item["content"][0]
            done = {**self._place(), "text": part["text"]}
            if self._open == "message":
                done["logprobs"] = part["logprobs"]
            name = "output_text" if self._open == "message" else "reasoning_text"
            events.append((f"response.{name}.done", done))
            events.append(("response.content_part.done", {**self._place(), "part": dict(part)}))
        item["status"] = "completed"
        self._seal(item)
        self._open = ""
        finished = {"output_index": len(self._items) - 1, "item": _copy(item)}
        return [*events, ("response.output_item.done", finished)]

    def _call_item(self, name: str, status: str, call_id: str) -> dict[str, Any]:
        if name in self._offered.custom:
            kind, field, prefix = "custom_tool_call", "input", "ctc"
        else:
            kind, field, prefix = "function_call", "arguments", "fc"
        item = {
            "type": kind,
            "id": f"{prefix}_{secrets.token_hex(12)}",
            "call_id": call_id,
            "name": name,
            field: "",
            "status": status,
        }
        if namespace := self._offered.namespaces.get(name):
            item["namespace"] = namespace
        return item

    def _seal(self, item: dict[str, Any]) -> dict[str, Any]:
        if self._sealed and item["type"] == "reasoning":
            item["encrypted_content"] = sealed(item["content"][0]["text"])
        return item

    def _fill(self, item: dict[str, Any], arguments: str) -> None:
        if item["type"] == "custom_tool_call":
            item["input"] = str(parse_arguments(arguments).get("input", ""))
        else:
            item["arguments"] = arguments

    def _ended(self, ended: AnswerEnded) -> dict[str, Any]:
        cut = ended.reason in ("length", "cancelled")
        return {
            **self._frame,
            "status": "incomplete" if cut else "completed",
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "output": self._items,
            "usage": _usage(ended.usage),
            "timings": timings_json(ended.timings),
        }


def _usage(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
    }


def _message_item(status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "type": "message",
        "id": f"msg_{secrets.token_hex(12)}",
        "status": status,
        "role": "assistant",
        "content": content,
    }


def _reasoning_item(text: str) -> dict[str, Any]:
    return {
        "type": "reasoning",
        "id": f"rs_{secrets.token_hex(12)}",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": text}],
        "status": "completed",
    }


def _text_part(text: str, logprobs: list[TokenLogprob]) -> dict[str, Any]:
    listed = _logprobs_json(tuple(logprobs))
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": listed}


def _logprobs_json(logprobs: tuple[TokenLogprob, ...]) -> list[dict[str, Any]]:
    def token(raw: bytes, value: float) -> dict[str, Any]:
        decoded = raw.decode("utf-8", "replace")
        return {"token": decoded, "bytes": list(raw), "logprob": max(value, -9999.0)}

    return [
        {**token(item.token, item.logprob), "top_logprobs": [token(t, v) for _, t, v in item.top]}
        for item in logprobs
    ]


def _copy(item: dict[str, Any]) -> dict[str, Any]:
    """The item as it is now; its content goes on changing."""
    if "content" not in item:
        return dict(item)
    return {**item, "content": [dict(part) for part in item["content"]]}
