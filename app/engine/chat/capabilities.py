"""What a chat template can do, found out by rendering small conversations with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from app.core.errors import BadChatTemplate
from app.engine.chat.renderer import TemplateRefused

Render = Callable[[Mapping[str, Any]], str]

_TOOL = {
    "type": "function",
    "function": {
        "name": "zqtool",
        "description": "zqdescription",
        "parameters": {
            "type": "object",
            "properties": {"zqkey": {"type": "string", "description": "zq"}},
            "required": ["zqkey"],
        },
    },
}
_USER = {"role": "user", "content": "zquser"}
_ID = "zqcall001"


@dataclass(frozen=True, slots=True)
class TemplateCapabilities:
    """Which kinds of input a template takes; what it does not take is rewritten before."""

    system: bool = True
    late_system: bool = True
    tools: bool = True
    call_history: bool = True
    tool_role: bool = True
    object_arguments: bool = True
    parallel_calls: bool = True
    repeated_roles: bool = True
    user_after_result: bool = True
    typed_content: bool = False


def probe(render: Render, bos_text: str = "", eos_text: str = "") -> TemplateCapabilities:
    """Renders about ten tiny conversations.

    Raises:
        BadChatTemplate: not even one user message can be rendered, or it takes too long.
    """

    def shows(needles: tuple[str, ...], messages: list[dict[str, Any]], **extra: Any) -> str | None:
        context = {
            "messages": messages,
            "add_generation_prompt": True,
            "bos_token": bos_text,
            "eos_token": eos_text,
            **extra,
        }
        try:
            text = render(context)
        except TemplateRefused:
            return None
        except BadChatTemplate as error:
            if str(error.facts.get("reason", "")).startswith(("took", "ended")):
                raise
            return None
        return text if all(needle in text for needle in needles) else None

    typed = False
    user: dict[str, Any] = dict(_USER)
    if shows(("zquser",), [user]) is None:
        typed = True
        user = {"role": "user", "content": [{"type": "text", "text": "zquser"}]}
        if shows(("zquser",), [user]) is None:
            raise BadChatTemplate(
                "The model's chat template cannot render a simple question.",
                "Choose another file of this model.",
            )

    def said(role: str, text: str) -> dict[str, Any]:
        return {"role": role, "content": [{"type": "text", "text": text}] if typed else text}

    system, answer = said("system", "zqsystem"), said("assistant", "zqanswer")
    has_system = shows(("zqsystem",), [system, user]) is not None
    late = [user, answer, said("system", "zqlate"), user]
    # in some templates a later system message replaces the first
    both = ("zqsystem", "zqlate") if has_system else ("zqlate",)
    has_late = shows(both, [system, *late] if has_system else late) is not None
    has_tools = shows(("zqtool", "zqdescription"), [user], tools=[_TOOL]) is not None

    def history(arguments: object, calls: int = 1) -> list[dict[str, Any]]:
        call = {
            "id": _ID,
            "type": "function",
            "function": {"name": "zqtool", "arguments": arguments},
        }
        results = [{**said("tool", "zqresult"), "name": "zqtool", "tool_call_id": _ID}] * calls
        return [user, {**said("assistant", ""), "tool_calls": [call] * calls}, *results]

    tools = {"tools": [_TOOL]} if has_tools else {}
    needles = ("zqtool", "zqkey", "zqvalue")
    as_object = shows(needles, [*history({"zqkey": "zqvalue"})[:2], user], **tools)
    as_text = shows(needles, [*history('{"zqkey": "zqvalue"}')[:2], user], **tools)
    if as_object is None and as_text is None:  # some refuse a call without its result
        as_object = shows(needles, history({"zqkey": "zqvalue"}), **tools)
        as_text = shows(needles, history('{"zqkey": "zqvalue"}'), **tools)
    objects = as_object is not None and not (
        "'zqkey'" in as_object and as_text is not None and '\\"zqkey' not in as_text
    )
    arguments: object = {"zqkey": "zqvalue"} if objects else '{"zqkey": "zqvalue"}'
    has_history = as_object is not None or as_text is not None
    return TemplateCapabilities(
        system=has_system,
        late_system=has_late,
        tools=has_tools,
        call_history=has_history,
        tool_role=shows(("zqresult",), history(arguments), **tools) is not None,
        object_arguments=objects,
        parallel_calls=has_history
        and shows(("zqtool",), history(arguments, 2), **tools) is not None,
        repeated_roles=shows(("zquser",), [user, user]) is not None,
        user_after_result=shows(("zqresult",), [*history(arguments), user], **tools) is not None,
        typed_content=typed,
    )
