"""OpenAI Responses input items and tools as a ChatRequest means them."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.engine.api.body import bad
from app.engine.api.openai_input import arguments_text, content_text, make_tool
from app.engine.chat.values import ChatMessage, ChatRole, Tool, ToolCall

_log = logging.getLogger(__name__)
_ROLES: dict[str, ChatRole] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_SEAL = "garret:"
_CALLS = ("function_call", "custom_tool_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")


def refuse_unsupported(body: Mapping[str, Any]) -> None:
    """Fields that ask for something else than an answer to this input.

    Raises:
        ApiError: 400; ignoring them would give an answer to another question.
    """
    if body.get("background") is True:
        raise bad("background", "is not supported: ask for a stream instead")
    for name in ("conversation", "prompt"):
        if body.get(name) is not None:
            raise bad(name, "is not supported: send the input itself")


def items_of(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The input as a list of items; a string is one user message.

    Raises:
        ApiError: 400 when there is none.
    """
    raw = body.get("input")
    if isinstance(raw, str):
        return [{"type": "message", "role": "user", "content": raw}]
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise bad("input", "must be a string or a list of items")
    if not raw:
        raise bad("input", "must hold at least one item")
    return raw


def messages_of(items: Sequence[Mapping[str, Any]], instructions: str) -> tuple[ChatMessage, ...]:
    """The conversation that the items describe."""
    out: list[ChatMessage] = []
    if instructions:
        out.append(ChatMessage("system", instructions))
    reasoning = ""
    for index, item in enumerate(items):
        where = f"input[{index}]"
        kind = item.get("type", "message")
        if kind == "message":
            message = _message(item, where)
            if message.role == "assistant":
                message, reasoning = replace(message, reasoning=reasoning), ""
            out.append(message)
        elif kind in _CALLS:
            call = _call(item, where)
            last = out[-1] if out else None
            if last is not None and last.role == "assistant":
                out[-1] = replace(last, tool_calls=(*last.tool_calls, call))
            else:
                out.append(ChatMessage("assistant", "", (call,), reasoning=reasoning))
            reasoning = ""
        elif kind in _OUTPUTS:
            text = content_text(item.get("output"), f"{where}.output", of_tool=True)
            out.append(ChatMessage("tool", text, tool_call_id=str(item.get("call_id") or "")))
        elif kind == "reasoning":
            reasoning = _reasoning(item)
        else:
            _log.debug("%s: dropped an item of type %r", where, str(kind)[:40])
    if all(message.role == "system" for message in out):
        raise bad("input", "must hold at least one message")
    return tuple(out)


def _message(item: Mapping[str, Any], where: str) -> ChatMessage:
    role = _ROLES.get(item["role"]) if isinstance(item.get("role"), str) else None
    if role is None:
        raise bad(f"{where}.role", "must be system, developer, user or assistant")
    return ChatMessage(role, content_text(item.get("content"), f"{where}.content"))


def _call(item: Mapping[str, Any], where: str) -> ToolCall:
    name = item.get("name")
    if not isinstance(name, str):
        raise bad(where, "must have a name")
    arguments = item.get("arguments")
    if item.get("type") == "custom_tool_call":
        arguments = {"input": item.get("input") or ""}
    return ToolCall(str(item.get("call_id") or ""), name, arguments_text(arguments))


def sealed(reasoning: str) -> str:
    """Reasoning as the opaque text that clients hand back; nothing in it is secret."""
    return _SEAL + base64.b64encode(reasoning.encode("utf-8", "replace")).decode()


def _unsealed(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith(_SEAL):
        return ""
    try:
        return base64.b64decode(value.removeprefix(_SEAL), validate=True).decode("utf-8")
    except ValueError:
        return ""


def _reasoning(item: Mapping[str, Any]) -> str:
    parts = item.get("content")
    if not isinstance(parts, list) or not parts:
        return _unsealed(item.get("encrypted_content"))
    return "\n".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))


@dataclass(frozen=True, slots=True)
class OfferedTools:
    """Tools, with what a call of each must say besides its name."""

    tools: tuple[Tool, ...] = ()
    namespaces: Mapping[str, str] = field(default_factory=dict)
    custom: frozenset[str] = frozenset()


def tools_of(body: Mapping[str, Any]) -> OfferedTools:
    """The functions offered, out of namespaces too. Tools that OpenAI's servers would run are
    left out; a custom tool becomes a function of one text."""
    raw = body.get("tools")
    if raw is None:
        return OfferedTools()
    if not isinstance(raw, list):
        raise bad("tools", "must be a list")
    tools: dict[str, Tool] = {}
    namespaces: dict[str, str] = {}
    custom: set[str] = set()
    for index, item in enumerate(raw):
        where = f"tools[{index}]"
        if not isinstance(item, dict):
            raise bad(where, "must be an object")
        match item.get("type"):
            case "function":
                tool = make_tool(item.get("function", item), "parameters", where)
                tools.setdefault(tool.name, tool)
            case "custom":
                tool = make_tool(item, "none", where)
                schema = {
                    "type": "object",
                    "properties": {"input": {"type": "string"}},
                    "required": ["input"],
                }
                tools.setdefault(tool.name, replace(tool, parameters=schema))
                custom.add(tool.name)
            case "namespace":
                for inner in item.get("tools") or []:
                    if isinstance(inner, dict) and inner.get("type") == "function":
                        tool = make_tool(inner, "parameters", where)
                        if tool.name not in tools:
                            tools[tool.name] = tool
                            namespaces[tool.name] = str(item.get("name") or "")
            case kind:
                _log.debug("left out a tool of type %r", str(kind)[:40])
    return OfferedTools(tuple(tools.values()), namespaces, frozenset(custom))


def response_schema_of(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema in text.format; {} for any JSON object."""
    text = body.get("text")
    value = text.get("format") if isinstance(text, dict) else None
    if value is None:
        return None
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return {}
    if kind == "json_schema" and isinstance(schema := value.get("schema"), dict):
        return schema
    raise bad("text.format", "must be of type text, json_object, or json_schema with a schema")
