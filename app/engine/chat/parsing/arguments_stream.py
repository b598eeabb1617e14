"""A call's arguments as they grow: what a model writes in, valid JSON out, nothing held for long.

Models write raw line breaks, quotes and stray backslashes in strings, single quotes around them,
Python's constants, trailing commas and missing brackets. What is passed on is always the beginning
of a JSON object in one spelling (`", "` and `": "` between parts), in whatever pieces it came.
"""

from __future__ import annotations

import json
import re
from typing import Literal

_PLAIN = {'"': re.compile(r'[^"\\\x00-\x1f]+'), "'": re.compile(r"[^'\"\\\x00-\x1f]+")}
_WORD = re.compile(r"""[^\s"',:{}\[\]]+""")
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?\Z")
_CONSTANTS = {
    "true": "true",
    "false": "false",
    "null": "null",
    "True": "true",
    "False": "false",
    "None": "null",
}
# a closing tag or fence outside a string: the model forgot the brackets before it
_AFTER = "<`"
_ESCAPES = '"\\/bfnrt'
_HEX = frozenset("0123456789abcdefABCDEF")
_CLOSER = {"{": "}", "[": "]"}
# what comes next inside the innermost bracket
_Wants = Literal["key", "colon", "value", "comma"]


class ArgumentsStream:
    """Reads one object from its opening brace to its end."""

    def __init__(self) -> None:
        self.ended = False
        self._stack: list[str] = []
        self._wants: _Wants = "value"
        self._quote = ""

    def feed(self, text: str, *, final: bool = False) -> tuple[int, str]:
        """How much of the text was read, up to the object's end, and what it says."""
        out: list[str] = []
        at = 0
        while at < len(text) and not self.ended:
            step = (self._in_string if self._quote else self._between)(text, at, out, final=final)
            if step == at:
                break
            at = step
        return at, "".join(out)

    def close(self) -> str:
        """What the object lacks, when the answer ended inside it."""
        out: list[str] = []
        if self._quote:
            self._end_string(out)
        while self._stack:
            self._pop(out)
        return "".join(out)

    def _in_string(self, text: str, at: int, out: list[str], *, final: bool) -> int:
        if plain := _PLAIN[self._quote].match(text, at):
            out.append(plain.group())
            return plain.end()
        char = text[at]
        if char == self._quote:
            following = text[at + 1 :].lstrip()[:2]
            if following in ("", "<") and not final:
                return at
            if not following or following[0] in ",:}]" or following == "</":
                self._end_string(out)
            else:  # a quote inside the text, which the model forgot to escape
                out.append('\\"' if char == '"' else char)
            return at + 1
        if char != "\\":  # a control character, or a double quote inside single ones
            out.append(json.dumps(char)[1:-1])
            return at + 1
        return self._escape(text, at, out, final=final)

    @staticmethod
    def _escape(text: str, at: int, out: list[str], *, final: bool) -> int:
        following = text[at + 1 : at + 2]
        if not following:
            if final:
                out.append("\\\\")
                return at + 1
            return at
        if following == "u":
            digits = text[at + 2 : at + 6]
            if len(digits) < 4 and _HEX.issuperset(digits) and not final:
                return at
            if len(digits) == 4 and _HEX.issuperset(digits):
                out.append(text[at : at + 6])
                return at + 6
        elif following in _ESCAPES:
            out.append(text[at : at + 2])
            return at + 2
        elif following == "'":
            out.append("'")
            return at + 2
        out.append("\\\\")  # no escape at all: a backslash the model forgot to double
        return at + 1

    def _between(self, text: str, at: int, out: list[str], *, final: bool) -> int:
        char = text[at]
        if char in "\"'":
            self._begin(out, key=True)
            out.append('"')
            self._quote = char
        elif char in "{[":
            if self._wants == "key":
                return at + 1  # no key can begin so
            self._begin(out)
            out.append(char)
            self._stack.append(char)
            self._wants = "key" if char == "{" else "value"
        elif char in _AFTER:
            out.append(self.close())
            return at
        elif char in "}]":
            if self._stack and _CLOSER[self._stack[-1]] == char:
                self._pop(out)
        elif char == "," and self._wants == "colon":
            out.append(": null")  # a key without a value
            self._wants = "comma"
        elif char not in ":," and not char.isspace():
            return self._word(text, at, out, final=final)
        return at + 1

    def _word(self, text: str, at: int, out: list[str], *, final: bool) -> int:
        match = _WORD.match(text, at)
        if match is None or (match.end() == len(text) and not final):
            return at
        word = match.group()
        self._begin(out, key=True)
        known = _CONSTANTS.get(word) or (word if _NUMBER.match(word) else json.dumps(word))
        if self._wants == "key":
            out.append(json.dumps(word, ensure_ascii=False))
            self._wants = "colon"
        else:
            out.append(known)
            self._done_value()
        return match.end()

    def _begin(self, out: list[str], *, key: bool = False) -> None:
        """Whatever must stand before a key or value: a comma or colon, written or forgotten."""
        if self._wants == "colon":
            out.append(": ")
            self._wants = "value"
            return
        in_object = bool(self._stack) and self._stack[-1] == "{"
        if self._wants == "comma":
            out.append(", ")
            self._wants = "key" if in_object else "value"
        if self._wants == "key" and not key:
            out.append('"": ')
            self._wants = "value"

    def _end_string(self, out: list[str]) -> None:
        self._quote = ""
        out.append('"')
        if self._wants == "key":
            self._wants = "colon"
        else:
            self._done_value()

    def _done_value(self) -> None:
        self._wants = "comma"

    def _pop(self, out: list[str]) -> None:
        if self._wants == "colon":
            out.append(": null")
        elif self._wants == "value" and self._stack[-1] == "{":
            out.append("null")
        out.append(_CLOSER[self._stack.pop()])
        self._done_value()
        self.ended = not self._stack
