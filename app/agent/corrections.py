"""What is wrong with a call, and the words that tell the model how to put it right."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.agent.text_calls import first_wins, unknown_tool
from app.core.messages import ToolCallPart
from app.core.ports import ToolSpec

CUT = (
    "Your message was cut off at the length limit before it was complete. Nothing was run. "
    "Write less at once: put a long file into several smaller edits."
)
CUT_TEXT = (
    "Your message was cut off at the length limit. Go on with the next tool call, "
    "or finish in two sentences."
)
EMPTY = (
    "Your last message was empty. Call the next tool, or, when the task is finished, "
    "say in a few sentences what you did."
)
REPEATING = (
    "Your last message repeated itself and was stopped. Do not repeat it. "
    "Call the next tool, or say plainly what keeps you from going on."
)


@dataclass(frozen=True, slots=True)
class Checked:
    """A call as it may be executed, or why it may not."""

    call: ToolCallPart
    problem: str = ""


def check_call(
    call: ToolCallPart, specs: Sequence[ToolSpec], is_known: Callable[[str], bool]
) -> Checked:
    """Reads a call's arguments as tolerantly as is safe; never guesses at cut-off ones."""
    name = call.name.strip().removeprefix("functions.").removeprefix("default_api.")
    names = [spec.name for spec in specs]
    if not is_known(name):
        return Checked(call, unknown_tool(name, names))
    arguments, problem = read_arguments(call.arguments)
    if arguments is None:
        return Checked(call, problem)
    text = call.arguments if _is_plain_object(call.arguments) else _dump(arguments)
    return Checked(ToolCallPart(call.call_id, name, text))


def read_arguments(text: str) -> tuple[dict[str, Any] | None, str]:
    """The arguments as an object, or None and what is wrong with the text."""
    stripped = text.strip()
    if stripped in ("", "null"):
        return {}, ""
    try:
        value, end = json.JSONDecoder(object_pairs_hook=first_wins, strict=False).raw_decode(
            stripped
        )
        if isinstance(value, str):  # encoded twice
            value = json.loads(value, object_pairs_hook=first_wins, strict=False)
            end = len(stripped)
    except RecursionError:
        return None, "its arguments are nested too deeply"
    except ValueError as error:
        return None, f"its arguments are not valid JSON ({error})"
    if not isinstance(value, dict):
        return None, f"its arguments must be a JSON object, not {_kind(value)}"
    if stripped[end:].strip() and not stripped[end:].lstrip().startswith("{"):
        return None, f"its arguments have text after the JSON object: {stripped[end : end + 30]!r}"
    return value, ""


def safe_for_history(call: ToolCallPart) -> ToolCallPart:
    """The call as it may stand in the conversation: other engines refuse broken JSON there."""
    if _is_plain_object(call.arguments) and call.name.strip():
        return call
    arguments, _ = read_arguments(call.arguments)
    return ToolCallPart(
        call.call_id, call.name.strip() or "unknown", _dump(arguments if arguments else {})
    )


def correction(problem: str, name: str, specs: Sequence[ToolSpec]) -> str:
    """The message that answers an unreadable call: what is wrong and what a right one holds."""
    spec = next((spec for spec in specs if spec.name == name), None)
    text = f"The call was not run: {problem}."
    if spec is not None:
        text += f" Call {spec.name} again with arguments like {_dump(example_arguments(spec))}."
    return text


def correction_in_text(problem: str, form: str) -> str:
    """The same for calls that stand in the text of an answer; `form` is a right one."""
    return f"No tool was run: {problem}. Send one call again, exactly in this form:\n{form}"


def xml_form(spec: ToolSpec) -> str:
    """A call in Qwen3-Coder's XML, made from the schema."""
    lines = ["<tool_call>", f"<function={spec.name}>"]
    for key, value in example_arguments(spec).items():
        shown = value if isinstance(value, str) else _dump(value)
        lines += [f"<parameter={key}>", shown, "</parameter>"]
    return "\n".join([*lines, "</function>", "</tool_call>"])


def json_form(spec: ToolSpec) -> str:
    """A call in Hermes JSON, made from the schema."""
    body = _dump({"name": spec.name, "arguments": example_arguments(spec)})
    return f"<tool_call>\n{body}\n</tool_call>"


def example_arguments(spec: ToolSpec) -> dict[str, Any]:
    """Placeholders for the required arguments, in the schema's order."""
    properties = spec.parameters.get("properties", {})
    required = spec.parameters.get("required", [])
    return {key: _placeholder(key, schema) for key, schema in properties.items() if key in required}


def _placeholder(key: str, schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type", "string")
    if kind in ("integer", "number"):
        return 1
    if kind == "boolean":
        return True
    if kind == "array":
        items = schema.get("items", {})
        return [_placeholder(key, items)] if isinstance(items, Mapping) else []
    if kind == "object":
        inner = schema.get("properties", {})
        return {name: _placeholder(name, value) for name, value in inner.items()}
    if isinstance(options := schema.get("enum"), list) and options:
        return options[0]
    return f"<{key}>"


def _is_plain_object(text: str) -> bool:
    """Whether any JSON reader takes it for an object, with no key twice."""
    try:
        pairs = json.loads(text, object_pairs_hook=_no_repeats)
    except (ValueError, RecursionError):
        return False
    return isinstance(pairs, dict)


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is repeated")
    return result


def _kind(value: object) -> str:
    return {list: "a list", str: "a string", bool: "true or false"}.get(type(value), "a number")


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
