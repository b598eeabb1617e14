"""Tool calls written into the text of an answer, for engines that do not parse them.

Three shapes are known: Qwen3-Coder's XML, Hermes JSON in `<tool_call>`, and one JSON object alone
or in a fence. What looks like a call but cannot be read becomes a `problem` the model is told.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.core.ports import ToolSpec

MAX_CALLS = 8  # small models run away with parallel calls; nobody needs more in one answer

_OPENER = re.compile(r"<(?:tool_call|tools|function_call)>\s*(?=[{<\[])")
_FUNCTION = re.compile(r"<function=([^>\s]{1,80})>")
_PARAMETER = re.compile(r"<parameter=([^>\s]{1,80})>")
_FENCE = re.compile(r"^```[\w-]*[ \t]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
_NAME_KEYS = ("name", "tool", "tool_name", "function", "action")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "input", "action_input")
_TRIGGERS = ("<tool_call>", "<function=", "<function_call>")


@dataclass(frozen=True, slots=True)
class TextCall:
    """One call found in text; `arguments` is a JSON object as text."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class TextCalls:
    """What an answer holds: prose first, then calls, or why a call could not be read."""

    prose: str
    calls: tuple[TextCall, ...] = ()
    problem: str = ""


def find_calls(text: str, specs: Sequence[ToolSpec], *, cut: bool = False) -> TextCalls:
    """The calls in a complete answer. With `cut` an unclosed last call is never a call."""
    by_name = {spec.name: spec for spec in specs}
    start = _start_of_calls(text, by_name)
    if start is None:
        return _bare_json(text, by_name)
    prose, body = text[:start].rstrip(), text[start:]
    calls: list[TextCall] = []
    problem = ""
    position = 0
    while position < len(body) and len(calls) < MAX_CALLS:
        found = _next_call(body, position, by_name)
        if found is None:
            break
        call, position, closed, problem = found
        if call is None or problem:
            break
        if cut and not closed and _next_call(body, position, by_name) is None:
            problem = "the message was cut off before the call was complete"
            break
        calls.append(call)
    if not calls and not problem:
        problem = "a tool call was begun but holds no function that could be read"
    return TextCalls(prose, tuple(calls), "" if calls else problem)


def visible_length(text: str, names: Sequence[str]) -> int:
    """How many characters of a growing answer are surely prose and may be shown at once."""
    for match in re.finditer(r"<tool_call>|<function_call>|<function=([^>\s]*)", text):
        if match.group(1) is None:
            return match.start()
        complete = match.end() < len(text) and text[match.end()] == ">"
        name = match.group(1)
        if (complete and name in names) or (
            not complete
            and match.end() == len(text)
            and any(known.startswith(name) for known in names)
        ):
            return match.start()
    for size in range(min(len(text), 17), 0, -1):
        if any(trigger.startswith(text[-size:]) for trigger in _TRIGGERS):
            return len(text) - size
    return len(text)


def nearest_name(name: str, names: Sequence[str]) -> str | None:
    """The tool a misspelt name most likely means."""
    close = difflib.get_close_matches(name.lower(), list(names), n=1, cutoff=0.5)
    return close[0] if close else None


def unknown_tool(name: str, names: Sequence[str]) -> str:
    """What the model is told about a tool that does not exist."""
    near = nearest_name(name, names)
    hint = f" Did you mean {near}?" if near else ""
    return f"there is no tool called {name[:60]!r}.{hint} The tools are: {', '.join(names)}"


def _start_of_calls(text: str, by_name: Mapping[str, ToolSpec]) -> int | None:
    starts = [match.start() for match in _OPENER.finditer(text)]
    starts += [m.start() for m in _FUNCTION.finditer(text) if m.group(1) in by_name]
    if not starts and "<tool_call>" in text and not text.partition("<tool_call>")[2].strip():
        return text.index("<tool_call>")
    return min(starts, default=None)


_Found = tuple[TextCall | None, int, bool, str]


def _next_call(body: str, position: int, by_name: Mapping[str, ToolSpec]) -> _Found | None:
    opener = _OPENER.search(body, position)
    function = _FUNCTION.search(body, position)
    if function and (opener is None or function.start() <= opener.end()):
        if function.group(1) not in by_name:
            if opener is None or function.start() < opener.start():
                return None
            return None, len(body), True, unknown_tool(function.group(1), list(by_name))
        return _xml_call(body, function, by_name[function.group(1)])
    if opener is None:
        return None
    return _json_call(body, opener.end(), by_name)


def _xml_call(body: str, function: re.Match[str], spec: ToolSpec) -> _Found:
    position = function.end()
    inline = re.compile(r"\s*(?=\{)").match(body, position)
    if inline and not _PARAMETER.match(body, inline.end()):  # <function=NAME>{…}</function>
        try:
            value, end = json.JSONDecoder().raw_decode(body, inline.end())
        except ValueError:
            value, end = None, position
        if isinstance(value, dict):
            closed = body.startswith("</function>", _skip_space(body, end))
            return TextCall(spec.name, _dump(value)), end, closed, ""
    arguments: dict[str, Any] = {}
    while parameter := re.compile(r"\s*<parameter=([^>\s]{1,80})>").match(body, position):
        end_of_value = _value_end(spec, arguments).search(body, parameter.end())
        if end_of_value is None:
            raw, position, closed = body[parameter.end() :], len(body), False
        else:
            raw, position = body[parameter.end() : end_of_value.start()], end_of_value.end()
            closed = True
        _keep_first(arguments, parameter.group(1), _typed(_strip_newlines(raw), spec, parameter[1]))
        if not closed:
            return TextCall(spec.name, _dump(arguments)), position, False, ""
    after = _skip_space(body, position)
    closed = False
    for closer in ("</function>", "</tool_call>"):
        if body.startswith(closer, after):
            position, closed = after + len(closer), True
            after = _skip_space(body, position)
    return TextCall(spec.name, _dump(arguments)), max(position, function.end()), closed, ""


def _value_end(spec: ToolSpec, seen: Mapping[str, Any]) -> re.Pattern[str]:
    """Where a value ends. A closer counts only where the call goes on or ends, because a file's
    content may hold the same tag; a missing one is tolerated before a parameter still to come."""
    open_names = [name for name in spec.parameters.get("properties", {}) if name not in seen]
    coming = "|".join(re.escape(name) for name in open_names) or r"(?!)"
    return re.compile(
        r"</parameter>(?=\s*(?:<parameter=|</function>|</tool_call>|<tool_call>|\Z))"
        rf"|(?=\n<parameter=(?:{coming})>)"
        r"|(?=\n?</function>\s*(?:</tool_call>|\Z))|(?=\n?</tool_call>\s*\Z)"
    )


def _json_call(body: str, position: int, by_name: Mapping[str, ToolSpec]) -> _Found:
    try:
        value, end = json.JSONDecoder(object_pairs_hook=first_wins).raw_decode(body, position)
    except ValueError as error:
        return None, len(body), True, f"the JSON of the call is broken ({error})"
    after = _skip_space(body, end)
    closed = True
    if body.startswith("</", after):
        after = body.find(">", after) + 1 or len(body)
    values = value if isinstance(value, list) else [value]
    call = _as_call(values[0], by_name) if values else None
    if call is None:
        name = values[0].get("name") if values and isinstance(values[0], dict) else None
        reason = (
            unknown_tool(str(name), list(by_name))
            if name
            else 'a call must be {"name": …, "arguments": {…}}'
        )
        return None, len(body), True, reason
    return call, after, closed, ""


def _bare_json(text: str, by_name: Mapping[str, ToolSpec]) -> TextCalls:
    """One JSON object that is a call: the whole answer, or the only fence at its end."""
    stripped = text.strip()
    candidates = [(0, stripped)] if stripped.startswith(("{", "[")) else []
    fences = list(_FENCE.finditer(text))
    if fences and not text[fences[-1].end() :].strip():
        candidates.append((fences[-1].start(), fences[-1].group(1).strip()))
    for start, candidate in candidates:
        try:
            value = json.loads(candidate, object_pairs_hook=first_wins)
        except ValueError:
            continue
        values = value if isinstance(value, list) else [value]
        calls = [_as_call(item, by_name) for item in values[:MAX_CALLS]]
        if calls and all(call is not None for call in calls):
            return TextCalls(text[:start].rstrip(), tuple(call for call in calls if call))
    return TextCalls(text)


def _as_call(value: Any, by_name: Mapping[str, ToolSpec]) -> TextCall | None:
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict):
        return None
    name = next((value[key] for key in _NAME_KEYS if value.get(key)), None)
    if not isinstance(name, str) or name not in by_name:
        return None
    arguments: Any = next((value[key] for key in _ARGUMENT_KEYS if key in value), {})
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments, object_pairs_hook=first_wins)
        except ValueError:
            return None
    return TextCall(name, _dump(arguments)) if isinstance(arguments, dict) else None


def first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of repeated keys the first counts, unless it is empty and a later one is not."""
    result: dict[str, Any] = {}
    for key, value in pairs:
        _keep_first(result, key, value)
    return result


def _keep_first(arguments: dict[str, Any], key: str, value: Any) -> None:
    if key not in arguments or (arguments[key] in ("", None) and value not in ("", None)):
        arguments[key] = value


def _typed(raw: str, spec: ToolSpec, key: str) -> Any:
    """A value by its schema: strings stay as they are, other types are read as JSON."""
    schema = spec.parameters.get("properties", {}).get(key, {})
    kinds = schema.get("type", "string") if isinstance(schema, Mapping) else "string"
    kinds = [kinds] if isinstance(kinds, str) else list(kinds)
    if kinds == ["string"]:
        return raw
    try:
        return json.loads(raw.strip() if raw.strip() not in ("True", "False") else raw.lower())
    except ValueError:
        return raw


def _strip_newlines(raw: str) -> str:
    raw = raw.removeprefix("\r\n") if raw.startswith("\r\n") else raw.removeprefix("\n")
    return raw.removesuffix("\r\n") if raw.endswith("\r\n") else raw.removesuffix("\n")


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _dump(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False)
