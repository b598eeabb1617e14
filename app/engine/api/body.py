"""Reads request bodies: bounded, JSON, an object; and its fields, with a clear word on each."""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from app.engine.api.errors import ApiError
from app.engine.api.security import MAX_BODY_BYTES

_log = logging.getLogger(__name__)
READ_LIMIT_S = 60.0
_MAX_DEPTH = 200
_MAX_BRACKETS = 2_000_000
_LARGE_BYTES = 256 * 1024


async def read_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        ApiError: 400 for anything that is none, 408 and 413 for what is too slow or too large.
    """
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_LIMIT_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    raise ApiError(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
                chunks.append(chunk)
    except TimeoutError:
        raise ApiError(408, "The body took too long to arrive.") from None
    except ClientDisconnect:
        raise ApiError(400, "The client went away.") from None
    raw = b"".join(chunks)
    if len(raw) > _LARGE_BYTES:  # the loop also carries everybody's streams
        return await asyncio.to_thread(parse_object, raw)
    return parse_object(raw)


def parse_object(raw: bytes) -> dict[str, Any]:
    """JSON text as an object whose strings can all be encoded as UTF-8."""
    if raw.count(b"[") + raw.count(b"{") > _MAX_BRACKETS:  # each takes twenty times its bytes
        raise ApiError(413, "The JSON holds too many lists and objects.")
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=_no_constant, parse_float=_finite)
        if _is_deeper(value, _MAX_DEPTH):
            raise ApiError(400, "The JSON is nested too deeply.")
    except RecursionError:
        raise ApiError(400, "The JSON is nested too deeply.") from None
    except ValueError:
        raise ApiError(400, "The body is not valid JSON.") from None
    if not isinstance(value, dict):
        raise ApiError(400, "The body must be a JSON object.")
    found: dict[str, Any] = _without_surrogates(value) if b"\\u" in raw else value
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(digits)
    return value


def _is_deeper(value: Any, limit: int) -> bool:
    """Whether lists and objects are nested more than `limit` deep."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def _without_surrogates(value: Any) -> Any:
    """Half of a surrogate pair, which JSON can spell and UTF-8 cannot, becomes U+FFFD."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_without_surrogates(k): _without_surrogates(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    return value


def bad(param: str, problem: str) -> ApiError:
    """A 400 that names its field."""
    return ApiError(400, f"'{param}' {problem}.", param=param, code="invalid_value")


def number(body: Mapping[str, Any], name: str, low: float, high: float) -> float | None:
    """A number within bounds; None when it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad(name, "must be a number")
    if not low <= value <= high:
        raise bad(name, f"must lie between {low:g} and {high:g}")
    return float(value)


def integer(body: Mapping[str, Any], name: str, low: int, high: int) -> int | None:
    """A whole number within bounds; None when it is absent or null."""
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise bad(name, "must be a whole number")
    if not low <= value <= high:
        raise bad(name, f"must lie between {low} and {high}")
    return value


def flag(body: Mapping[str, Any], name: str, *, default: bool = False) -> bool:
    """A boolean; the default when it is absent or null."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise bad(name, "must be true or false")
    return value


def text(body: Mapping[str, Any], name: str, default: str = "") -> str:
    """A string; the default when it is absent or null."""
    value = body.get(name)
    if value is None:
        return default
    if not isinstance(value, str):
        raise bad(name, "must be a string")
    return value


def objects(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list of objects; empty when it is absent or null."""
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise bad(name, "must be a list of objects")
    return value


def stop_strings(body: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """Up to 64 stop strings, given as one string or a list."""
    value = body.get(name)
    if value is None:
        return ()
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise bad(name, "must be a string or a list of strings")
    if len(listed) > 64 or any(len(item) > 1024 for item in listed):
        raise bad(name, "may hold at most 64 strings of 1024 characters")
    return tuple(item for item in listed if item)


def note_unknown(body: Mapping[str, Any], known: Iterable[str], route: str) -> None:
    """Fields nobody reads are ignored, with a line for whoever debugs a client."""
    unknown = sorted(set(body) - set(known))
    if unknown:
        _log.debug("%s: ignored fields %s", route, ", ".join(name[:40] for name in unknown[:20]))
