"""Between our messages and the OpenAI chat wire format.

The wire form of a message must never change once it was sent: the engine reuses what it has read
only while the bytes stay the same.
"""

from __future__ import annotations

import json
from typing import Any

from app.core.messages import (
    AttachmentPart,
    Message,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)
from app.core.ports import TurnRequest


def messages_to_wire(messages: tuple[Message, ...] | list[Message]) -> list[dict[str, Any]]:
    """One wire message for each message, and one for each tool result."""
    wire: list[dict[str, Any]] = []
    for message in messages:
        results = [part for part in message.parts if isinstance(part, ToolResultPart)]
        if results:
            wire.extend(
                {"role": "tool", "tool_call_id": part.call_id, "content": part.text}
                for part in results
            )
            continue
        wire.append(_message_to_wire(message))
    return wire


def request_to_wire(request: TurnRequest, *, progress: bool) -> dict[str, Any]:
    """The body of a streaming chat completion.

    `progress` asks for llama-server's prompt progress; only our own engine gets it, and the tag of
    the conversation with it.
    """
    body: dict[str, Any] = {
        "model": request.model,
        "messages": messages_to_wire(list(request.messages)),
        "stream": True,
        "stream_options": {"include_usage": True},
        **request.sampling,
    }
    if progress:
        body["return_progress"] = True
        if request.conversation_tag:
            body["conversation_tag"] = request.conversation_tag
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.stop:
        body["stop"] = list(request.stop)
    if request.tools:
        body["tools"] = [
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": dict(tool.parameters),
                },
            }
            for tool in request.tools
        ]
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.response_schema is not None:
        body["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": dict(request.response_schema)},
        }
    body.update(request.extra)
    return body


def _tool_choice(choice: str) -> str | dict[str, Any]:
    if choice in ("auto", "none", "required"):
        return choice
    return {"type": "function", "function": {"name": choice}}


def _message_to_wire(message: Message) -> dict[str, Any]:
    text = "".join(_prose(part) for part in message.parts)
    thinking = "".join(part.text for part in message.parts if isinstance(part, ThinkingPart))
    wire: dict[str, Any] = {"role": message.role, "content": text}
    if calls := message.tool_calls:
        wire["tool_calls"] = [_call_to_wire(call) for call in calls]
    if thinking:
        wire["reasoning_content"] = thinking
    return wire


def _call_to_wire(call: ToolCallPart) -> dict[str, Any]:
    return {
        "id": call.call_id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _prose(part: object) -> str:
    if isinstance(part, TextPart):
        return part.text
    if isinstance(part, AttachmentPart):
        return (
            f"\n\n[File: {json.dumps(part.name, ensure_ascii=False)}]\n{part.text}\n[End of file]\n"
        )
    return ""
