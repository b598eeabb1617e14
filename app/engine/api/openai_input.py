"""OpenAI-shaped messages and tools as a ChatRequest means them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from app.engine.api.body import bad
from app.engine.api.errors import ApiError
from app.engine.chat.values import ChatMessage, ChatRole, Tool, ToolCall, ToolChoice

_log = logging.getLogger(__name__)
_ROLES: dict[str, ChatRole] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_MEDIA = (
    *("image", "image_url", "input_image", "audio", "input_audio", "video", "video_url"),
    *("file", "input_file", "document"),
)
# a tool's result is not the user's doing: refused, it would end the conversation for good
LEFT_OUT = "[Left out: this model reads text only.]"
MAX_NAME_CHARS = 256


def messages_of(body: Mapping[str, Any]) -> tuple[ChatMessage, ...]:
    """The conversation.

    Raises:
        ApiError: 400 when it is empty or malformed, or holds images.
    """
    raw = body.get("messages")
    if not isinstance(raw, list):
        raise bad("messages", "must be a list of messages")
    if not raw:
        raise bad("messages", "must hold at least one message")
    return _matched([_message(item, f"messages[{index}]") for index, item in enumerate(raw)])


def _matched(messages: Iterable[ChatMessage]) -> tuple[ChatMessage, ...]:
    """The same with an id for each call: Ollama's clients send none, and results come in the order
    of their calls."""
    out: list[ChatMessage] = []
    waiting: list[str] = []
    for number, message in enumerate(messages):
        if message.tool_calls and not all(call.call_id for call in message.tool_calls):
            waiting = [f"call_{number}_{index}" for index in range(len(message.tool_calls))]
            calls = [
                replace(call, call_id=call_id)
                for call, call_id in zip(message.tool_calls, waiting, strict=True)
            ]
            out.append(replace(message, tool_calls=tuple(calls)))
        elif message.role == "tool" and waiting:
            out.append(replace(message, tool_call_id=waiting.pop(0)))
        else:
            waiting = waiting if message.role == "tool" else []
            out.append(message)
    return tuple(out)


def content_text(content: Any, where: str, *, of_tool: bool = False) -> str:
    """Text of a content field: a string, null, or a list of parts. In the result of a tool a word
    stands for an image or a file."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        content = [content]
    if not isinstance(content, list):
        raise bad(where, "must be a string or a list of parts")
    parts: list[str] = []
    for part in content:
        if isinstance(part, str):
            parts.append(part)
        elif not isinstance(part, dict):
            raise bad(where, "must be a string or a list of parts")
        elif part.get("type") in _MEDIA:
            if not of_tool:
                raise no_media(where)
            parts.append(LEFT_OUT)
        elif isinstance(text := part.get("text", part.get("refusal")), str):
            parts.append(text)
        else:
            _log.debug("%s: dropped a part of type %r", where, str(part.get("type"))[:40])
    return "\n".join(part for part in parts if part) if len(parts) > 1 else "".join(parts)


def no_media(where: str) -> ApiError:
    """The refusal of images and sounds."""
    return ApiError(
        400,
        "This model reads text only: it cannot take images, sounds or files.",
        param=where,
        code="unsupported_content",
    )


def _message(item: Any, where: str) -> ChatMessage:
    if not isinstance(item, dict):
        raise bad(where, "must be an object")
    role = _ROLES.get(item["role"]) if isinstance(item.get("role"), str) else None
    if role is None:
        raise bad(f"{where}.role", "must be system, developer, user, assistant or tool")
    reasoning = item.get("reasoning_content", item.get("reasoning"))
    return ChatMessage(
        role=role,
        content=content_text(item.get("content"), f"{where}.content", of_tool=role == "tool"),
        tool_calls=_calls(item, where) if role == "assistant" else (),
        tool_call_id=str(item.get("tool_call_id") or item.get("name") or ""),
        reasoning=reasoning if isinstance(reasoning, str) and role == "assistant" else "",
    )


def _calls(item: Mapping[str, Any], where: str) -> tuple[ToolCall, ...]:
    raw = item.get("tool_calls")
    if raw is None and isinstance(item.get("function_call"), dict):
        raw = [{"id": "", "function": item["function_call"]}]
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise bad(f"{where}.tool_calls", "must be a list")
    calls = []
    for call in raw:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            raise bad(f"{where}.tool_calls", "must hold calls of functions with a name")
        calls.append(
            ToolCall(
                str(call.get("id") or ""),
                function["name"],
                arguments_text(function.get("arguments")),
            )
        )
    return tuple(calls)


def arguments_text(value: Any) -> str:
    """Arguments as JSON text, whether they came as text or as an object."""
    if isinstance(value, str):
        return value
    return json.dumps(value if value is not None else {}, ensure_ascii=False)


def tools_of(body: Mapping[str, Any]) -> tuple[Tool, ...]:
    """The functions offered. Tools of other types cannot be run here and are left out."""
    raw = body.get("tools")
    if raw is None and isinstance(body.get("functions"), list):
        raw = [{"type": "function", "function": item} for item in body["functions"]]
    if raw is None:
        return ()
    if not isinstance(raw, list):
        raise bad("tools", "must be a list")
    tools: dict[str, Tool] = {}
    for index, item in enumerate(raw):
        if not isinstance(item, dict):
            raise bad(f"tools[{index}]", "must be an object")
        if item.get("type", "function") != "function":
            _log.debug("left out a tool of type %r", str(item.get("type"))[:40])
            continue
        function = item.get("function", item)
        tool = make_tool(function, "parameters", f"tools[{index}]")
        tools.setdefault(tool.name, tool)
    return tuple(tools.values())


def make_tool(item: Any, schema_field: str, where: str) -> Tool:
    """A tool whose name and schema are usable."""
    name = item.get("name") if isinstance(item, dict) else None
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS:
        raise bad(where, "must have a name")
    schema = item.get(schema_field)
    if schema is not None and not isinstance(schema, dict):
        raise bad(f"{where}.{schema_field}", "must be a JSON schema object")
    description = item.get("description")
    return Tool(name, description if isinstance(description, str) else "", schema or {})


def tool_choice_of(body: Mapping[str, Any], tools: tuple[Tool, ...]) -> ToolChoice:
    """auto, none, required, or one tool by name, in every spelling clients use."""
    value = body.get("tool_choice", body.get("function_call"))
    if value is None or value == "auto":
        return ToolChoice("auto")
    if value == "none":
        return ToolChoice("none")
    if value in ("required", "any"):
        return _must(tools)
    if isinstance(value, dict):
        kind = value.get("type")
        if kind in ("auto", "none"):
            return ToolChoice(kind)
        if kind in ("required", "any"):
            return _must(tools)
        if kind == "allowed_tools":
            return _allowed(value.get("allowed_tools", value), tools)
        function = value.get("function", value)
        name = function.get("name") if isinstance(function, dict) else None
        if isinstance(name, str):
            if all(tool.name != name for tool in tools):
                raise bad("tool_choice", f"names {name[:80]!r}, which is not among the tools")
            return ToolChoice("named", name)
        if kind not in (None, "function", "tool"):
            _log.debug("tool_choice of type %r treated as auto", str(kind)[:40])
            return ToolChoice("auto")
    raise bad("tool_choice", "must be auto, none, required or a function's name")


def _allowed(value: Any, tools: tuple[Tool, ...]) -> ToolChoice:
    """Some of the tools, of which one must or may be called."""
    listed = value.get("tools") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(listed, list):
        raise bad("tool_choice", "must list the tools that are allowed")
    functions = [item.get("function", item) for item in listed if isinstance(item, dict)]
    named = {item.get("name") for item in functions if isinstance(item, dict)}
    names = tuple(tool.name for tool in tools if tool.name in named)
    if not names:
        raise bad("tool_choice", "allows only tools that are not among the tools")
    return ToolChoice("required" if value.get("mode") == "required" else "auto", allowed=names)


def _must(tools: tuple[Tool, ...]) -> ToolChoice:
    if not tools:
        raise bad("tool_choice", "asks for a call, but there are no tools")
    return ToolChoice("required")


def response_schema_of(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON schema an answer must satisfy; {} for any JSON object; None for free text."""
    value = body.get("response_format")
    if value is None:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        schema = value.get("schema")
        return schema if isinstance(schema, dict) else {}
    if kind == "json_schema":
        inner = value.get("json_schema", value)
        schema = inner.get("schema") if isinstance(inner, dict) else None
        if not isinstance(schema, dict):
            raise bad("response_format", "must hold json_schema.schema")
        return schema
    raise bad("response_format", "must be of type text, json_object or json_schema")
