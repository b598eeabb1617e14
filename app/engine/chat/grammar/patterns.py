"""Regular expressions of JSON schemas as grammars of JSON strings.

Python's own parser reads the expression; what a grammar cannot say is refused.
"""

from __future__ import annotations

import re
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

from app.engine.chat.grammar.rules import MAX_REPEAT, Rules, UnsupportedSchema, class_char

_MAX_PATTERN_CHARS = 2000
# llama.cpp follows every way a text can be read at once; these patterns have too many
_MAX_MISSING = 32
_MAX_COUNTED = 4096
_CATEGORIES = {
    codes.CATEGORY_DIGIT: "0-9",
    codes.CATEGORY_WORD: "a-zA-Z0-9_",
    codes.CATEGORY_SPACE: " ",
}
# inside a JSON string these stand for themselves only after a backslash
_ESCAPED = {'"': r'"\\\""', "\\": r'"\\\\"', "\n": r'"\\n"', "\r": r'"\\r"', "\t": r'"\\t"'}
_NEVER = r'"\\\x00-\x1F\x7F'


def pattern_rule(rules: Rules, pattern: str) -> str:
    """A rule for a JSON string that matches the pattern, as `pattern` in a schema means it.

    Raises:
        UnsupportedSchema: look-around, back references and the like.
    """
    if len(pattern) > _MAX_PATTERN_CHARS:
        raise UnsupportedSchema("a very long pattern")
    try:
        parsed = list(parser.parse(pattern))
    except (re.error, OverflowError, RecursionError):
        raise UnsupportedSchema("a pattern that is no regular expression") from None
    rules.base("char")
    try:
        inner = _whole(parsed)
    except RecursionError:
        raise UnsupportedSchema("a pattern this deep") from None
    return rules.add("pattern", rf'"\"" {inner} "\""'.replace("  ", " "))


def _whole(parsed: list[Any]) -> str:
    starts = bool(parsed) and parsed[0] == (codes.AT, codes.AT_BEGINNING)
    ends = bool(parsed) and parsed[-1] == (codes.AT, codes.AT_END)
    body = parsed[1 if starts else 0 : len(parsed) - 1 if ends else len(parsed)]
    parts = ["" if starts else "char*", _sequence(body), "" if ends else "char*"]
    return " ".join(part for part in parts if part)


def _sequence(items: list[Any]) -> str:
    missing = 0
    for op, argument in items:
        missing = missing + 1 if _may_be_empty(op, argument) else 0
        if missing > _MAX_MISSING:
            raise UnsupportedSchema("a pattern with many parts in a row that may be missing")
    return " ".join(_item(op, argument) for op, argument in items)


def _item(op: Any, argument: Any) -> str:
    if op is codes.LITERAL:
        return _char(argument)
    if op is codes.NOT_LITERAL:
        return f"[^{_NEVER}{class_char(argument)}]"
    if op is codes.ANY:
        return "char"
    if op is codes.IN:
        return _set(argument)
    if op is codes.BRANCH:
        return "( " + " | ".join(_sequence(list(branch)) or '""' for branch in argument[1]) + " )"
    if op is codes.SUBPATTERN:
        return f"( {_sequence(list(argument[3])) or chr(34) * 2} )"
    if op in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        return _repeat(argument)
    raise UnsupportedSchema(f"{str(op).lower()} in a pattern")


def _repeat(argument: Any) -> str:
    low, high, inner = argument
    if high > 1 and _all_may_be_empty(inner):
        raise UnsupportedSchema("a pattern that repeats what may be empty")
    if _counted([(codes.MAX_REPEAT, argument)]) > _MAX_COUNTED:
        raise UnsupportedSchema("a pattern that counts repetitions of counted repetitions")
    group = f"( {_sequence(list(inner))} )"
    if high is codes.MAXREPEAT:
        return f"{group}*" if low == 0 else f"{group}{{{low},}}"
    if high > MAX_REPEAT:
        raise UnsupportedSchema(f"more than {MAX_REPEAT} repetitions in a pattern")
    return f"{group}{{{low},{high}}}"


def _may_be_empty(op: Any, argument: Any) -> bool:
    if op in (codes.MAX_REPEAT, codes.MIN_REPEAT):
        return argument[0] == 0 or _all_may_be_empty(argument[2])
    if op is codes.BRANCH:
        return any(_all_may_be_empty(branch) for branch in argument[1])
    if op is codes.SUBPATTERN:
        return _all_may_be_empty(argument[3])
    return op is codes.AT


def _all_may_be_empty(items: Any) -> bool:
    return all(_may_be_empty(op, argument) for op, argument in items)


def _counted(items: Any) -> int:
    """The largest product of counts, one inside the other; an open end counts nothing."""
    most = 1
    for op, argument in items:
        if op in (codes.MAX_REPEAT, codes.MIN_REPEAT):
            _, high, inner = argument
            times = 1 if high is codes.MAXREPEAT else max(int(high), 1)
            most = max(most, times * _counted(inner))
        elif op is codes.BRANCH:
            most = max(most, *(_counted(branch) for branch in argument[1]))
        elif op is codes.SUBPATTERN:
            most = max(most, _counted(argument[3]))
    return most


def _char(code: int) -> str:
    char = chr(code)
    return _ESCAPED.get(char) or f"[{class_char(code)}]"


def _set(items: list[Any]) -> str:
    negated = items[0][0] is codes.NEGATE
    inside: list[str] = []
    extra: list[str] = []
    for op, argument in items[1:] if negated else items:
        if op is codes.LITERAL:
            if chr(argument) in _ESCAPED and not negated:
                extra.append(_ESCAPED[chr(argument)])
            else:
                inside.append(class_char(argument))
        elif op is codes.RANGE:
            inside.append(f"{class_char(argument[0])}-{class_char(argument[1])}")
        elif op is codes.CATEGORY and argument in _CATEGORIES:
            inside.append(_CATEGORIES[argument])
        elif op is codes.CATEGORY and not negated and len(items) == 1:
            opposite = str(argument).replace("_NOT_", "_")
            plain = next((v for k, v in _CATEGORIES.items() if str(k) == opposite), None)
            if plain is None:
                raise UnsupportedSchema("a character class in a pattern")
            return f"[^{_NEVER}{plain}]"
        else:
            raise UnsupportedSchema("a character class in a pattern")
    if negated:
        return f"[^{_NEVER}{''.join(inside)}]"
    options = ([f"[{''.join(inside)}]"] if inside else []) + extra
    return options[0] if len(options) == 1 else "( " + " | ".join(options) + " )"
