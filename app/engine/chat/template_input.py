"""Rewrites a conversation into what one model's chat template takes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from app.engine.chat.capabilities import TemplateCapabilities
from app.engine.chat.values import ChatMessage, Tool, ToolCall

_GENERIC_TOOLS = """# Tools

You can call the functions described here, one JSON object each:
<tools>
{tools}
</tools>

To call a function, write a JSON object with its name and arguments inside tool_call tags:
<tool_call>
{{"name": "function_name", "arguments": {{"argument_name": "value"}}}}
</tool_call>
The result comes back to you inside tool_response tags. Without need for a function, just answer."""


def tool_to_template(tool: Tool) -> dict[str, Any]:
    """A tool in the shape templates know, with nothing missing that they look at."""
    parameters = dict(tool.parameters)
    parameters.setdefault("type", "object")
    if not isinstance(parameters.get("properties"), dict):
        parameters["properties"] = {}
    return {
        "type": "function",
        "function": {
            "name": tool.name,
            "description": tool.description,
            "parameters": parameters,
        },
    }


def fit_messages(
    messages: Sequence[ChatMessage], tools: Sequence[Tool], can: TemplateCapabilities
) -> list[ChatMessage]:
    """The same conversation using only what the template can render."""
    fitted = _merge_leading_system(messages)
    if tools and not can.tools:
        fitted = _describe_tools(fitted, tools)
    if not can.call_history:
        fitted = [_calls_as_text(message) for message in fitted]
    elif not can.parallel_calls:
        fitted = _one_call_each(fitted)
    if not can.tool_role or not can.call_history:
        fitted = [_result_as_user(message) for message in fitted]
    if not can.system:
        fitted = _system_into_user(fitted)
    if not can.late_system:
        fitted = [
            replace(message, role="user") if index and message.role == "system" else message
            for index, message in enumerate(fitted)
        ]
    if not can.repeated_roles:
        fitted = _merge_repeated(fitted)
    if can.tool_role and not can.user_after_result:
        fitted = _user_into_result(fitted)
    return fitted


def message_to_template(
    message: ChatMessage, can: TemplateCapabilities, *, harmony: bool, kimi_ids: dict[str, str]
) -> dict[str, Any]:
    """One message as the dictionary a template indexes into."""
    content: Any = message.content
    if can.typed_content:
        content = [{"type": "text", "text": message.content}]
    out: dict[str, Any] = {"role": message.role, "content": content}
    if message.role == "tool":
        out["tool_call_id"] = kimi_ids.get(message.tool_call_id) or _short_id(message.tool_call_id)
        if name := kimi_ids.get(f"name of {message.tool_call_id}"):
            out["name"] = name
    if message.reasoning:
        out["thinking" if harmony else "reasoning_content"] = message.reasoning
    if message.tool_calls:
        out["tool_calls"] = [_call_to_template(call, can, kimi_ids) for call in message.tool_calls]
        if harmony:  # its template takes either prose or reasoning beside a call
            prose = out.pop("content")
            if prose and not message.reasoning:
                out["thinking"] = prose
    return out


def call_ids(messages: Iterable[ChatMessage], *, kimi: bool) -> dict[str, str]:
    """Names of calls by id, and ids as a template needs them where it insists on a form."""
    known: dict[str, str] = {}
    count = 0
    for message in messages:
        for call in message.tool_calls:
            known[f"name of {call.call_id}"] = call.name
            if kimi:
                known[call.call_id] = f"functions.{call.name}:{count}"
            count += 1
    return known


def parse_arguments(text: str) -> Any:
    """A call's arguments as a value; text that is no JSON object stays one string argument."""
    try:
        value = json.loads(text or "{}", strict=False)
    except ValueError:
        return {"arguments": text}
    return value if isinstance(value, dict) else {"arguments": value}


def _call_to_template(
    call: ToolCall, can: TemplateCapabilities, kimi_ids: dict[str, str]
) -> dict[str, Any]:
    arguments: Any = parse_arguments(call.arguments)
    if not can.object_arguments:
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {
        "id": kimi_ids.get(call.call_id) or _short_id(call.call_id),
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _short_id(call_id: str) -> str:
    """Nine letters and digits: Mistral's templates take no other id."""
    return hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:9]


def _merge_leading_system(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    count = 0
    while count < len(messages) and messages[count].role == "system":
        count += 1
    if count < 2:
        return list(messages)
    text = "\n\n".join(message.content for message in messages[:count] if message.content)
    return [ChatMessage("system", text), *messages[count:]]


def _describe_tools(messages: list[ChatMessage], tools: Sequence[Tool]) -> list[ChatMessage]:
    listed = "\n".join(
        json.dumps(tool_to_template(tool)["function"], ensure_ascii=False) for tool in tools
    )
    text = _GENERIC_TOOLS.format(tools=listed)
    if messages and messages[0].role == "system":
        return [ChatMessage("system", f"{messages[0].content}\n\n{text}"), *messages[1:]]
    return [ChatMessage("system", text), *messages]


def call_text(call: ToolCall) -> str:
    """A call written out in the generic format."""
    arguments = json.dumps(parse_arguments(call.arguments), ensure_ascii=False)
    name = json.dumps(call.name, ensure_ascii=False)
    return f'<tool_call>\n{{"name": {name}, "arguments": {arguments}}}\n</tool_call>'


def _calls_as_text(message: ChatMessage) -> ChatMessage:
    if not message.tool_calls:
        return message
    parts = [message.content] if message.content.strip() else []
    parts.extend(call_text(call) for call in message.tool_calls)
    return replace(message, content="\n".join(parts), tool_calls=())


def _result_as_user(message: ChatMessage) -> ChatMessage:
    if message.role != "tool":
        return message
    return ChatMessage("user", f"<tool_response>\n{message.content}\n</tool_response>")


def _one_call_each(messages: list[ChatMessage]) -> list[ChatMessage]:
    """Parallel calls as a row of call and result, for templates that take one call at a time."""
    out: list[ChatMessage] = []
    results = {m.tool_call_id: m for m in messages if m.role == "tool" and m.tool_call_id}
    moved: set[str] = set()
    for message in messages:
        if len(message.tool_calls) > 1:
            for index, call in enumerate(message.tool_calls):
                content = message.content if index == 0 else ""
                out.append(replace(message, content=content, tool_calls=(call,)))
                if (result := results.get(call.call_id)) is not None:
                    out.append(result)
                    moved.add(call.call_id)
        elif message.role != "tool" or message.tool_call_id not in moved:
            out.append(message)
    return out


def _system_into_user(messages: list[ChatMessage]) -> list[ChatMessage]:
    if not messages or messages[0].role != "system":
        return messages
    system, rest = messages[0], messages[1:]
    if rest and rest[0].role == "user":
        return [ChatMessage("user", f"{system.content}\n\n{rest[0].content}"), *rest[1:]]
    return [ChatMessage("user", system.content), *rest]


def _user_into_result(messages: list[ChatMessage]) -> list[ChatMessage]:
    """What the user says right after a tool's result becomes part of it, for templates in which
    only the assistant may speak then."""
    out: list[ChatMessage] = []
    for message in messages:
        last = out[-1] if out else None
        if last is not None and last.role == "tool" and message.role == "user":
            out[-1] = replace(last, content=f"{last.content}\n\n{message.content}")
        else:
            out.append(message)
    return out


def _merge_repeated(messages: list[ChatMessage]) -> list[ChatMessage]:
    out: list[ChatMessage] = []
    for message in messages:
        last = out[-1] if out else None
        if (
            last is not None
            and last.role == message.role
            and message.role in ("user", "assistant")
            and not last.tool_calls
            and not message.tool_calls
        ):
            out[-1] = replace(last, content=f"{last.content}\n\n{message.content}")
        else:
            out.append(message)
    return out
