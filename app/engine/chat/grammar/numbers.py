"""Grammars for numbers between bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from app.engine.chat.grammar.rules import Rules, UnsupportedSchema

_FAR = 10**15  # clients write plus and minus 2**53 where they mean no bound


def number_rule(rules: Rules, schema: Mapping[str, Any], *, integer: bool, strict: bool) -> str:
    """A rule for a number or integer schema.

    Raises:
        UnsupportedSchema: with `strict`, for bounds a grammar cannot hold.
    """
    if strict and "multipleOf" in schema:
        raise UnsupportedSchema("multipleOf")
    try:
        low, high = _bounds(schema, integer=integer)
    except UnsupportedSchema:
        if strict:
            raise
        low = high = None
    if low is None and high is None:
        return rules.base("integer" if integer else "number")
    if low is not None and high is not None and low > high:
        raise UnsupportedSchema("a minimum above the maximum")
    fraction = "" if integer else ' ( "." [0-9]{1,16} )?'
    zeros = "" if integer else ' ( "." "0"{1,16} )?'
    options = []
    if high is None or high >= 0:
        options.append(_magnitudes(max(low or 0, 0), high, fraction, zeros))
    if low is None or low < 0:
        least = max(-(high if high is not None and high < 0 else 0), 0)
        most = None if low is None else -low
        options.append(f'"-" ( {_magnitudes(least, most, fraction, zeros)} )')
    return rules.add("number", " | ".join(options))


def _bounds(schema: Mapping[str, Any], *, integer: bool) -> tuple[int | None, int | None]:
    low = _bound(schema, "minimum", "exclusiveMinimum", 1, integer=integer)
    high = _bound(schema, "maximum", "exclusiveMaximum", -1, integer=integer)
    return low, high


def _bound(
    schema: Mapping[str, Any], name: str, exclusive: str, step: int, *, integer: bool
) -> int | None:
    value, beyond = schema.get(name), schema.get(exclusive)
    if beyond is True:  # the spelling of draft 4
        value, beyond = None, value
    found = [
        bound
        for bound in (
            _whole(value, 0, step, integer=integer),
            _whole(beyond, step, step, integer=integer),
        )
        if bound is not None
    ]
    if not found:
        return None
    return max(found) if step > 0 else min(found)


def _whole(value: Any, shift: int, step: int, *, integer: bool) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) >= _FAR:
        return None
    if integer:
        if shift:
            return (math.floor(value) if step > 0 else math.ceil(value)) + shift
        return math.ceil(value) if step > 0 else math.floor(value)
    if value != int(value):
        raise UnsupportedSchema("a bound of a number that is not whole")
    if shift:
        raise UnsupportedSchema("an exclusive bound of a number that need not be whole")
    return int(value)


def _magnitudes(low: int, high: int | None, fraction: str, zeros: str) -> str:
    """Numbers from low to high, both 0 or more, as digits."""
    if high is None:
        return f"( {_at_least(low)} ){fraction}"
    exact = f'"{high}"{zeros}'
    if high == low:
        return exact
    return f"( {' | '.join(_between(low, high - 1))} ){fraction} | {exact}"


def _at_least(low: int) -> str:
    if low == 0:
        return '"0" | [1-9] [0-9]{0,15}'
    digits = len(str(low))
    options = _between(low, 10**digits - 1)
    options.append(f"[1-9] [0-9]{{{digits},16}}")
    return " | ".join(options)


def _between(low: int, high: int) -> list[str]:
    """Alternatives that together are the whole numbers from low to high."""
    options: list[str] = []
    while low <= high:
        size = len(str(low))
        top = min(high, 10**size - 1)
        options.extend(_same_length(str(low), str(top)))
        low = top + 1
    return options


def _same_length(low: str, high: str) -> list[str]:
    if low == high:
        return [f'"{low}"']
    if len(low) == 1:
        return [f"[{low}-{high}]"]
    rest = len(low) - 1
    if low[0] == high[0]:
        return [f'"{low[0]}" ( {" | ".join(_same_length(low[1:], high[1:]))} )']
    options = []
    first, last = int(low[0]), int(high[0])
    if low[1:] != "0" * rest:
        options.append(f'"{first}" ( {" | ".join(_same_length(low[1:], "9" * rest))} )')
        first += 1
    tail: list[str] = []
    if high[1:] != "9" * rest:
        tail.append(f'"{last}" ( {" | ".join(_same_length("0" * rest, high[1:]))} )')
        last -= 1
    if first <= last:
        options.append(f"[{first}-{last}] [0-9]{{{rest}}}")
    return options + tail
