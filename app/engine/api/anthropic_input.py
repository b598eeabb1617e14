"""Anthropic-shaped messages and tools as a ChatRequest means them."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.engine.api.body import bad, flag, objects
from app.engine.api.errors import ApiError
from app.engine.api.openai_input import LEFT_OUT, arguments_text, make_tool, no_media
from app.engine.chat.values import ChatMessage, Tool, ToolCall, ToolChoice

_log = logging.getLogger(__name__)
# Claude Code's first system block changes with every request; read again it would cost everything
_BILLING = re.compile(r"^x-anthropic-billing-header:[^\n]*\n?", re.IGNORECASE)
_ROLES = ("user", "assistant", "system")


def system_text(body: Mapping[str, Any]) -> str:
    """The system prompt, a string or a list of text blocks, without client noise."""
    system = body.get("system")
    if system is None:
        return ""
    if isinstance(system, str):
        return _BILLING.sub("", system)
    if not isinstance(system, list) or not all(isinstance(block, dict) for block in system):
        raise bad("system", "must be a string or a list of text blocks")
    texts = [_BILLING.sub("", str(block.get("text") or "")) for block in system]
    return "\n\n".join(text for text in texts if text.strip())


def messages_of(body: Mapping[str, Any], tools: Sequence[Tool]) -> tuple[ChatMessage, ...]:
    """The conversation with its system prompt first.

    Args:
        tools: all tools of the request, to spell out the ones a tool search result refers to.
    """
    raw = body.get("messages")
    if not isinstance(raw, list):
        raise bad("messages", "must be a list of messages")
    if not raw:
        raise bad("messages", "must hold at least one message")
    known = {tool.name: tool for tool in tools}
    out: list[ChatMessage] = []
    if system := system_text(body):
        out.append(ChatMessage("system", system))
    for index, item in enumerate(raw):
        where = f"messages[{index}]"
        if not isinstance(item, dict):
            raise bad(where, "must be an object")
        role = item.get("role")
        if role not in _ROLES:
            raise bad(f"{where}.role", "must be user, assistant or system")
        blocks = _blocks(item.get("content"), f"{where}.content")
        if role == "assistant":
            out.append(_assistant(blocks))
        else:
            out.extend(_said(role, blocks, known, where))
    return tuple(out)


def _blocks(content: Any, where: str) -> list[dict[str, Any]]:
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        raise bad(where, "must be a string or a list of blocks")
    return content


def _assistant(blocks: list[dict[str, Any]]) -> ChatMessage:
    text = [block["text"] for block in blocks if isinstance(block.get("text"), str)]
    thoughts = [b["thinking"] for b in blocks if isinstance(b.get("thinking"), str)]
    calls = tuple(
        ToolCall(str(block.get("id") or ""), block["name"], arguments_text(block.get("input")))
        for block in blocks
        if block.get("type") == "tool_use" and isinstance(block.get("name"), str)
    )
    return ChatMessage(
        "assistant", "\n\n".join(text), tool_calls=calls, reasoning="\n".join(thoughts)
    )


def _said(
    role: Any, blocks: list[dict[str, Any]], known: Mapping[str, Tool], where: str
) -> list[ChatMessage]:
    out: list[ChatMessage] = []
    texts: list[str] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            if texts:
                out.append(ChatMessage(role, "\n\n".join(texts)))
                texts = []
            text = _result_text(block, known, where)
            out.append(ChatMessage("tool", text, tool_call_id=str(block.get("tool_use_id") or "")))
        elif (said := _block_text(block, known, where)) is not None:
            texts.append(said)
    if texts or not out:
        out.append(ChatMessage(role, "\n\n".join(texts)))
    return out


def _result_text(block: Mapping[str, Any], known: Mapping[str, Tool], where: str) -> str:
    inner = _blocks(block.get("content"), f"{where}.content")
    texts = [text for part in inner if (text := _part_text(part, known, where)) is not None]
    text = "\n".join(texts)
    return f"Error: {text}" if block.get("is_error") is True else text


def _part_text(part: Mapping[str, Any], known: Mapping[str, Tool], where: str) -> str | None:
    try:
        return _block_text(part, known, where)
    except ApiError:  # an image, which the tool may have made unasked
        return LEFT_OUT


def _block_text(block: Mapping[str, Any], known: Mapping[str, Tool], where: str) -> str | None:
    kind = block.get("type")
    if kind == "text" and isinstance(block.get("text"), str):
        return str(block["text"])
    if kind == "tool_reference":
        return _reference_text(str(block.get("tool_name") or ""), known)
    if kind == "document" and isinstance(source := block.get("source"), dict):
        if source.get("type") == "text" and isinstance(source.get("data"), str):
            return str(source["data"])
        raise no_media(where)
    if kind in ("image", "document"):
        raise no_media(where)
    if kind == "search_result":
        return "\n".join(str(part.get("text") or "") for part in objects(block, "content"))
    _log.debug("%s: dropped a block of type %r", where, str(kind)[:40])
    return None


def _reference_text(name: str, known: Mapping[str, Tool]) -> str:
    """What a tool search found, spelled out where it was found."""
    tool = known.get(name)
    if tool is None:
        return f"Tool {name} is available."
    described = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    return f"This tool is now available: {json.dumps(described, ensure_ascii=False)}"


def tools_of(body: Mapping[str, Any]) -> tuple[tuple[Tool, ...], tuple[Tool, ...]]:
    """The tools listed in the prompt, and those whose loading is deferred.

    Tools that Anthropic's servers would run are left out.
    """
    listed: dict[str, Tool] = {}
    deferred: dict[str, Tool] = {}
    for index, item in enumerate(objects(body, "tools")):
        if item.get("type") not in (None, "custom", "function"):
            _log.debug("left out a tool of type %r", str(item.get("type"))[:40])
            continue
        tool = make_tool(item, "input_schema", f"tools[{index}]")
        (deferred if item.get("defer_loading") is True else listed).setdefault(tool.name, tool)
    return tuple(listed.values()), tuple(deferred.values())


def tool_choice_of(body: Mapping[str, Any], tools: Sequence[Tool]) -> tuple[ToolChoice, bool]:
    """Which call is demanded, and whether several may come at once."""
    value = body.get("tool_choice")
    if value is None:
        return ToolChoice("auto"), True
    if not isinstance(value, dict):
        raise bad("tool_choice", "must be an object")
    parallel = not flag(value, "disable_parallel_tool_use")
    match value.get("type"):
        case "auto":
            return ToolChoice("auto"), parallel
        case "none":
            return ToolChoice("none"), parallel
        case "any":
            if not tools:
                raise bad("tool_choice", "asks for a call, but there are no tools")
            return ToolChoice("required"), parallel
        case "tool":
            name = value.get("name")
            if not any(tool.name == name for tool in tools):
                raise bad("tool_choice", f"names {str(name)[:80]!r}, which is not among the tools")
            return ToolChoice("named", str(name)), parallel
    raise bad("tool_choice", "must be of type auto, any, tool or none")


def response_schema_of(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema in output_config.format, or in the older output_format."""
    config = body.get("output_config")
    value = config.get("format") if isinstance(config, dict) else None
    value = body.get("output_format") if value is None else value
    if value is None:
        return None
    if not isinstance(value, dict) or value.get("type") != "json_schema":
        raise bad("output_config.format", "must be of type json_schema")
    if not isinstance(schema := value.get("schema"), dict):
        raise bad("output_config.format", "must hold a schema")
    return schema
