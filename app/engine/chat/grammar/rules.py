"""The parts every grammar is made of. GBNF is llama.cpp's grammar language."""

from __future__ import annotations

import json
import re
from typing import Any

MAX_REPEAT = 1000
MAX_GRAMMAR_CHARS = 250_000
_NAME = re.compile(r"[^a-zA-Z0-9-]+")

BASE: dict[str, str] = {
    # bounded, or a small model pads with white space for ever
    "ws": r'( " " | "\n" [ \t]{0,20} )?',
    "char": r'[^"\\\x7F\x00-\x1F] | "\\" ( ["\\/bfnrt] | "u" [0-9a-fA-F]{4} )',
    "string": r'"\"" char* "\""',
    "integer": r'"-"? ( "0" | [1-9] [0-9]{0,15} )',
    "number": r'integer ( "." [0-9]{1,16} )? ( [eE] [-+]? [0-9]{1,3} )?',
    "boolean": '"true" | "false"',
    "null": '"null"',
    "value": "object | array | string | number | boolean | null",
    "pair": 'string ws ":" ws value',
    "object": '"{" ws ( pair ( ws "," ws pair )* )? ws "}"',
    "array": '"[" ws ( value ( ws "," ws value )* )? ws "]"',
}
_NEEDS = {
    "string": ("char",),
    "number": ("integer",),
    "pair": ("string", "ws", "value"),
    "value": ("object", "array", "string", "number", "boolean", "null"),
    "object": ("pair", "ws"),
    "array": ("value", "ws"),
}


class UnsupportedSchema(ValueError):
    """A JSON schema says something that cannot be turned into a grammar."""


class Rules:
    """A grammar while it is written."""

    def __init__(self) -> None:
        self._rules: dict[str, str] = {}
        self._numbers: dict[str, int] = {}
        self._chars = 0

    @property
    def is_too_large(self) -> bool:
        """Whether llama.cpp would take seconds to read it, with everybody waiting."""
        return self._chars > MAX_GRAMMAR_CHARS

    def base(self, name: str) -> str:
        """One of the basic rules, with what it needs."""
        if name not in self._rules:
            self._rules[name] = BASE[name]
            for needed in _NEEDS.get(name, ()):
                self.base(needed)
        return name

    def reserve(self, hint: str) -> str:
        """A fresh name, for a rule that refers to itself."""
        stem = _NAME.sub("-", hint[:60]).strip("-") or "rule"
        name, number = f"r-{stem}", self._numbers.get(stem, 1)
        while name in self._rules:
            number += 1
            name = f"r-{stem}-{number}"
        self._numbers[stem] = number
        self._rules[name] = ""
        return name

    def define(self, name: str, body: str) -> str:
        self._rules[name] = body
        self._chars += len(name) + len(body)
        return name

    def add(self, hint: str, body: str) -> str:
        """A new rule under a name made from the hint."""
        return self.define(self.reserve(hint), body)

    def text(self, root: str) -> str:
        """The grammar, with `root` as its start."""
        lines = [f"root ::= {root}"]
        lines += [f"{name} ::= {body}" for name, body in self._rules.items()]
        return "\n".join(lines) + "\n"


def literal(text: str) -> str:
    """A GBNF string for exactly this text."""
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char == "\n":
            out.append("\\n")
        elif char == "\r":
            out.append("\\r")
        elif char == "\t":
            out.append("\\t")
        elif ord(char) < 32 or ord(char) == 127:
            out.append(f"\\x{ord(char):02X}")
        else:
            out.append(char)
    return '"' + "".join(out) + '"'


def json_literal(value: Any) -> str:
    """A GBNF string for exactly this JSON value."""
    return literal(json.dumps(value, ensure_ascii=False))


def class_char(code: int) -> str:
    """One character inside a GBNF character class."""
    if code > 0xFFFF:
        return f"\\U{code:08X}"
    if code > 126:
        return f"\\u{code:04X}"
    char = chr(code)
    return char if char.isalnum() or char in " _,.:;!@#%&=<>~/'\"" else f"\\x{code:02X}"


def repeat(item: str, low: int, high: int | None) -> str:
    """`item` from low to high times; bounds beyond reason count as none."""
    if low > MAX_REPEAT:
        raise UnsupportedSchema(f"a minimum length over {MAX_REPEAT}")
    if high is not None and high < low:
        raise UnsupportedSchema("a maximum length below the minimum")
    if high is None or high > MAX_REPEAT:
        return f"{item}*" if low == 0 else f"{item}{{{low},}}"
    return f"{item}{{{low},{high}}}"


def until(rules: Rules, delimiter: str) -> str:
    """Any text up to and including the first occurrence of the delimiter.

    One rule for each number of delimiter characters already matched (Knuth-Morris-Pratt); rules
    call each other only at their end, so the parser's stack does not grow with the text.
    """
    failure = _failure_table(delimiter)
    names = [rules.reserve("until") for _ in delimiter]
    alphabet = sorted(set(delimiter))
    for state, name in enumerate(names):
        options = []
        for char in alphabet:
            following = _next_state(delimiter, failure, state, char)
            tail = "" if following == len(delimiter) else f" {names[following]}"
            options.append(f"{literal(char)}{tail}")
        others = "".join(class_char(ord(char)) for char in alphabet)
        options.append(f"[^{others}] {names[0]}")
        rules.define(name, " | ".join(options))
    return names[0]


def _failure_table(text: str) -> list[int]:
    table = [0] * len(text)
    matched = 0
    for index in range(1, len(text)):
        while matched and text[index] != text[matched]:
            matched = table[matched - 1]
        if text[index] == text[matched]:
            matched += 1
        table[index] = matched
    return table


def _next_state(text: str, failure: list[int], state: int, char: str) -> int:
    while state and text[state] != char:
        state = failure[state - 1]
    return state + 1 if text[state] == char else 0
