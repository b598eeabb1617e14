"""JSON as models write it: where a value ends, and what it means when it is slightly broken."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

MAX_LITERAL_CHARS = 20_000
MAX_HEAD_CHARS = 4096  # a growing text is looked at again and again
_INTERESTING = re.compile(r'["\\{}\[\]]')
_TRAILING_COMMA = re.compile(r",(\s*[}\]])")
_NAME_KEYS = ("name", "function", "tool", "tool_name", "function_name")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "input", "params")
_FIRST_KEY = re.compile(r'\s*[\[{][\[{\s]*"([^"\\]*)"')
_MAYBE_FIRST_KEY = re.compile(r'\s*[\[{][\[{\s]*("[^"\\]*)?\Z')
_CALL_KEYS = {*_NAME_KEYS, *_ARGUMENT_KEYS, "type", "id", "tool_calls"}


class JsonScanner:
    """Finds the end of a JSON object or array in a text that grows at its end."""

    def __init__(self, stack: Sequence[str] = ()) -> None:
        """`stack`: closers of brackets that were opened before the text."""
        self._position = 0
        self._stack = list(stack)
        self._in_string = False

    def end(self, text: str) -> int | None:
        """The offset after the value that starts at the text's first character, once known."""
        while match := _INTERESTING.search(text, self._position):
            char = match.group()
            at = match.end()
            if self._in_string:
                if char == "\\":
                    if at >= len(text):
                        self._position = match.start()
                        return None
                    at += 1
                elif char == '"':
                    self._in_string = False
            elif char == '"':
                self._in_string = True
            elif char in "{[":
                self._stack.append("}" if char == "{" else "]")
            elif char in "}]" and self._stack:
                self._stack.pop()
                if not self._stack:
                    self._position = at
                    return at
            self._position = at
        self._position = len(text)
        return None

    def closing(self) -> str:
        """What the text lacks to be balanced."""
        return ('"' if self._in_string else "") + "".join(reversed(self._stack))


def loads_tolerant(text: str) -> Any:
    """The value; also with raw newlines in strings, trailing commas, or as a Python literal.

    Raises:
        ValueError: it cannot be understood.
    """
    for candidate in (text, _TRAILING_COMMA.sub(r"\1", text)):
        try:
            return json.loads(candidate, strict=False)
        except ValueError:
            continue
        except RecursionError:
            raise ValueError("nested too deeply") from None
    if len(text) <= MAX_LITERAL_CHARS:
        try:
            value = ast.literal_eval(text.strip())
            json.dumps(value)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            pass
        else:
            return value
    raise ValueError("not JSON")


def may_be_call(text: str) -> bool | None:
    """Whether a value that begins so can be a call, by its first key; None: not yet known."""
    if match := _FIRST_KEY.match(text, 0, MAX_HEAD_CHARS):
        return match.group(1) in _CALL_KEYS
    if len(text) > MAX_HEAD_CHARS:
        return False
    return None if _MAYBE_FIRST_KEY.match(text) else False


def calls_in(value: Any, names: frozenset[str]) -> list[tuple[str, str]] | None:
    """Names and arguments (JSON text) of the calls a value describes; None if it is none, or if
    one of them names no offered tool."""
    if isinstance(value, list):
        found: list[tuple[str, str]] = []
        for item in value:
            inner = calls_in(item, names)
            if inner is None:
                return None
            found.extend(inner)
        return found or None
    if not isinstance(value, Mapping):
        return None
    if isinstance(several := value.get("tool_calls"), list):
        return calls_in(several, names)
    source = value
    name: Any = next((value[key] for key in _NAME_KEYS if key in value), None)
    if isinstance(name, Mapping):
        source, name = name, name.get("name")
    if not isinstance(name, str) or (name := name.removeprefix("functions.")) not in names:
        return None
    arguments: Any = next((source[key] for key in _ARGUMENT_KEYS if key in source), {})
    return [(name, arguments_json(arguments))]


def arguments_json(arguments: Any) -> str:
    """Arguments as JSON text of an object, even where the model wrote that text into a string."""
    if isinstance(arguments, str):
        try:
            arguments = loads_tolerant(arguments or "{}")
        except ValueError:
            arguments = {"arguments": arguments}
    if arguments is None:
        arguments = {}
    if not isinstance(arguments, Mapping):
        arguments = {"arguments": arguments}
    return json.dumps(arguments, ensure_ascii=False)
