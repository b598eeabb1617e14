"""Picks fields out of foreign JSON, where anything may be anything."""

from __future__ import annotations

import math
from typing import Any

_FIRST_S, _LAST_S = 0.0, 32_503_680_000.0  # 1970 to 3000


def text_of(data: Any, *keys: str) -> str:
    """The first of the keys that holds text; "" for none."""
    if isinstance(data, dict):
        for key in keys:
            value = data.get(key)
            if isinstance(value, str) and value:
                return value
    return ""


def dict_of(data: Any, key: str) -> dict[str, Any]:
    """The object under the key; empty for anything else."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, dict) else {}


def list_of(data: Any, key: str) -> list[Any]:
    """The list under the key; empty for anything else."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []


def number_of(data: Any, key: str) -> float | None:
    """A finite number under the key."""
    value = data.get(key) if isinstance(data, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def seconds_of(data: Any, *keys: str) -> float | None:
    """A time in seconds since the epoch; milliseconds are recognised by their size."""
    for key in keys:
        value = number_of(data, key)
        if value is None:
            continue
        seconds = value / 1000.0 if value > _LAST_S else value
        if _FIRST_S <= seconds <= _LAST_S:
            return seconds
    return None
