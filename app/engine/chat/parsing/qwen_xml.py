"""Qwen3-Coder's calls: `<function=NAME>` with `<parameter=KEY>` values, streamed as they come."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from app.engine.chat.parsing.events import held_back
from app.engine.chat.parsing.jsonish import JsonScanner, arguments_json, loads_tolerant
from app.engine.chat.parsing.readers import FAIL, MAX_NAME_CHARS, MORE, Offered, Part, Step

FUNCTION = "<function="
_NAME = re.compile(r"""\s*["']?([^>"'<\n]{1,256}?)["']?\s*>""")
_KEY = re.compile(r"""<parameter=\s*["']?([^>"'<\n]{1,256}?)["']?\s*>""")
_BODY_TAGS = ("<parameter=", "</function>", "</tool_call>", "<tool_call>", FUNCTION, "</parameter>")
_AFTER_PARAMETER = ("<parameter=", "</function>", "</tool_call>", "<tool_call>", FUNCTION)
_AFTER_FUNCTION = ("</tool_call>", "<tool_call>", FUNCTION)
_CLOSER = re.compile(r"</parameter>|</function>")
_HELD = ("\n</parameter>", "\n</function>", "</parameter>", "</function>")


class QwenXmlReader:
    """Reads one call from after `<function=`, or from after `<tool_call>` with `wrapped`.

    The value of a string parameter is passed on while it grows; others when they are complete.
    """

    def __init__(self, tools: Offered, *, wrapped: bool) -> None:
        self._tools = tools
        self._state = "wrapper" if wrapped else "name"
        self._schema: Mapping[str, Any] = {}
        self._seen: dict[str, bool] = {}
        self._key = ""
        self._is_string = True
        self._skipped = False
        self._started_value = False
        self._value: list[str] = []
        self._json = JsonScanner()

    def read(self, text: str, *, final: bool, truncated: bool) -> Step:
        parts: list[Part] = []
        used = 0
        while True:
            step = self._step(text[used:], final=final, truncated=truncated)
            used += step.used
            parts += step.parts
            if step.status == "fail":
                return FAIL
            if step.status == "done":
                return Step("done", used, parts)
            if not step.used and not step.parts:
                return Step("more", used, parts)

    def _step(self, text: str, *, final: bool, truncated: bool) -> Step:
        match self._state:
            case "wrapper":
                return self._wrapper(text, final=final)
            case "name":
                return self._name(text, final=final)
            case "body":
                return self._body(text, final=final, truncated=truncated)
            case "value":
                return self._read_value(text, final=final, truncated=truncated)
            case "json":
                return self._json_body(text, final=final, truncated=truncated)
            case _:
                return self._after(text, final=final)

    def _wrapper(self, text: str, *, final: bool) -> Step:
        start = len(text) - len(text.lstrip())
        if text.startswith(FUNCTION, start):
            name = self._name(text[start + len(FUNCTION) :], final=final)
            if name.status == "fail" or not name.parts:
                return name
            return Step("more", start + len(FUNCTION) + name.used, name.parts)
        if not final and FUNCTION.startswith(text[start:]):
            return MORE
        return FAIL

    def _name(self, text: str, *, final: bool) -> Step:
        match = _NAME.match(text)
        if match is None:
            waiting = not final and ">" not in text and len(text) <= MAX_NAME_CHARS
            return MORE if waiting and "\n" not in text.strip() else FAIL
        name = match.group(1).strip()
        if name not in self._tools.schemas:
            return FAIL
        properties = self._tools.schemas[name].get("properties")
        self._schema = properties if isinstance(properties, Mapping) else {}
        self._state = "body"
        return Step("more", match.end(), [("begin", name)])

    def _body(self, text: str, *, final: bool, truncated: bool) -> Step:
        start = len(text) - len(text.lstrip())
        rest = text[start:]
        if rest.startswith("{") and not self._seen:
            self._state = "json"
            return (
                Step("more", start)
                if start
                else self._json_body(text, final=final, truncated=truncated)
            )
        if rest.startswith("<parameter="):
            return self._parameter(rest, start, final=final, truncated=truncated)
        if rest.startswith("</parameter>"):
            return Step("more", start + len("</parameter>"))
        if not final and any(tag.startswith(rest) for tag in _BODY_TAGS):
            return MORE
        used = start
        if rest.startswith("</function>"):
            used += len("</function>")
        elif not rest and truncated:
            return Step("done", used, self._end(closed=False))
        self._state = "after"
        return Step("more", used, self._end(closed=True))

    def _parameter(self, rest: str, start: int, *, final: bool, truncated: bool) -> Step:
        match = _KEY.match(rest)
        if match is None:
            if not final and ">" not in rest and len(rest) <= MAX_NAME_CHARS:
                return MORE
            self._state = "after"
            return Step(
                "done", start + len(rest) if final else start, self._end(closed=not truncated)
            )
        self._key = match.group(1).strip()
        self._skipped = self._seen.get(self._key, False)
        self._is_string = self._string_only(self._key)
        self._started_value = False
        self._value = []
        self._state = "value"
        parts: list[Part] = []
        if self._is_string and not self._skipped:
            parts = [("arguments", f'{self._comma()}{_quoted(self._key)}: "')]
        return Step("more", start + match.end(), parts)

    def _comma(self) -> str:
        first = not self._seen
        self._seen.setdefault(self._key, False)
        return "{" if first else ", "

    def _string_only(self, key: str) -> bool:
        schema = self._schema.get(key)
        return schema is None or types_of(schema) == {"string"}

    def _read_value(self, text: str, *, final: bool, truncated: bool) -> Step:
        used = 0
        if not self._started_value:
            if not text and not final:
                return MORE
            self._started_value = True
            if text.startswith("\n"):
                used, text = 1, text[1:]
        end, after, safe = _find_end(text, final=final)
        if end is None and not final:
            return Step("more", used + safe, self._more(text[:safe]))
        if end is None and truncated:
            parts = self._more(text)
            return Step("done", used + len(text), [*parts, *self._end(closed=False)])
        stop = len(text) if end is None else end
        value = text[:stop]
        value = value[:-1] if value.endswith("\n") else value
        parts = [*self._more(value), *self._value_end()]
        self._state = "body"
        return Step("more", used + (len(text) if end is None else after), parts)

    def _more(self, text: str) -> list[Part]:
        if not text:
            return []
        if not self._is_string:
            self._value.append(text)
            return []
        if self._skipped:
            return []
        self._seen[self._key] = True
        return [("arguments", _quoted(text)[1:-1])]

    def _value_end(self) -> list[Part]:
        if self._skipped:
            return []
        if self._is_string:
            return [("arguments", '"')]
        value = coerce("".join(self._value), self._schema.get(self._key))
        comma = self._comma()
        self._seen[self._key] = True
        text = json.dumps(value, ensure_ascii=False)
        return [("arguments", f"{comma}{_quoted(self._key)}: {text}")]

    def _json_body(self, text: str, *, final: bool, truncated: bool) -> Step:
        end = self._json.end(text)
        if end is None and not final:
            return MORE
        body = text if end is None else text[:end]
        self._state = "after"
        self._seen["{}"] = True
        if end is None and truncated:
            return Step("done", len(text), [("arguments", body), ("end", "")])
        try:
            value = loads_tolerant(body + (self._json.closing() if end is None else ""))
            arguments = arguments_json(value)
        except ValueError:
            arguments = body  # named already: the caller sees that it is not JSON
        return Step("more", len(body), [("arguments", arguments), ("end", "")])

    def _end(self, *, closed: bool) -> list[Part]:
        if not closed:
            return [("arguments", "{"), ("end", "")] if not self._seen else [("end", "")]
        return [("arguments", "}" if self._seen else "{}"), ("end", "")]

    def _after(self, text: str, *, final: bool) -> Step:
        start = len(text) - len(text.lstrip())
        rest = text[start:]
        for tag in ("</tool_call>", "</function>"):
            if rest.startswith(tag):
                done = tag == "</tool_call>"
                return Step("done" if done else "more", start + len(tag))
        if not final and any(tag.startswith(rest) for tag in ("</tool_call>", "</function>")):
            return MORE
        return Step("done", start if rest else 0)


def _find_end(text: str, *, final: bool) -> tuple[int | None, int, int]:
    """Where the value ends, where reading goes on, and how much of it is certain until then.

    `</parameter>` may be part of a file's content: it closes only before another tag of a call.
    """
    position = 0
    while match := _CLOSER.search(text, position):
        closes_value = match.group() == "</parameter>"
        rest = text[match.end() :].lstrip()
        following = _AFTER_PARAMETER if closes_value else _AFTER_FUNCTION
        certain = rest.startswith(following) or (final and not rest)
        if certain:
            return match.start(), match.end() if closes_value else match.start(), 0
        if not final and any(tag.startswith(rest) for tag in following):
            safe = match.start()
            return None, 0, safe - 1 if safe and text[safe - 1] == "\n" else safe
        position = match.end()
    return None, 0, len(text) - (0 if final else held_back(text, _HELD))


def types_of(schema: Any) -> set[str]:
    """The JSON types a schema allows; empty when it does not say."""
    if not isinstance(schema, Mapping):
        return set()
    found: set[str] = set()
    kind = schema.get("type")
    if isinstance(kind, str):
        found.add(kind)
    elif isinstance(kind, list):
        found.update(str(item) for item in kind)
    for name in ("anyOf", "oneOf", "allOf"):
        if isinstance(options := schema.get(name), list):
            for option in options:
                found |= types_of(option) or {"any"}
    if not found:
        values = schema["enum"] if isinstance(schema.get("enum"), list) else []
        found = _types_of_values([*values, schema["const"]] if "const" in schema else values)
    return found


def _types_of_values(values: Iterable[Any]) -> set[str]:
    return {"string" if isinstance(value, str) else "any" for value in values}


def coerce(raw: str, schema: Any) -> Any:
    """The value of a parameter that is not only a string: JSON where it is JSON, else the text."""
    text = raw.strip()
    words = {"True": True, "False": False, "None": None}
    if text in words and "string" not in types_of(schema):
        return words[text]
    try:
        return loads_tolerant(text)
    except ValueError:
        return raw


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
