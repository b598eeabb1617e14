"""Sampling fields of a request, on top of what the model's maker recommends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from app.core.control import ModelInfo
from app.engine.api.body import bad, integer, number
from app.engine.types import Sampling

_FLOATS: dict[str, tuple[str, float, float]] = {
    "temperature": ("temperature", 0.0, 100.0),
    "top_p": ("top_p", 0.0, 1.0),
    "min_p": ("min_p", 0.0, 1.0),
    "repeat_penalty": ("repeat_penalty", 0.0, 10.0),
    "repetition_penalty": ("repeat_penalty", 0.0, 10.0),
    "presence_penalty": ("presence_penalty", -2.0, 2.0),
    "frequency_penalty": ("frequency_penalty", -2.0, 2.0),
}
_INTEGERS: dict[str, tuple[str, int, int]] = {
    "top_k": ("top_k", -1, 1_000_000),
    "repeat_last_n": ("repeat_last_n", -1, 1_000_000),
}
FIELDS = (*_FLOATS, *_INTEGERS, "seed", "logit_bias")
MAX_TOP_LOGPROBS = 20
_MAX_BIASES = 4096


def sampling_of(
    body: Mapping[str, Any], info: ModelInfo, *, logprobs: int | None = None
) -> Sampling:
    """The request's sampling.

    Raises:
        ApiError: 400 for a value out of bounds.
    """
    values: dict[str, Any] = {}
    for name in (*_FLOATS, *_INTEGERS):
        if isinstance(default := info.sampling.get(name), int | float):
            target = _FLOATS[name][0] if name in _FLOATS else _INTEGERS[name][0]
            values[target] = int(default) if name in _INTEGERS else float(default)
    for name, (target, low, high) in _FLOATS.items():
        if (value := number(body, name, low, high)) is not None:
            values[target] = value
    for name, (target, least, most) in _INTEGERS.items():
        if (whole := integer(body, name, least, most)) is not None:
            values[target] = max(whole, 0)
    # OpenAI's SDKs send any 64-bit seed; -1 is llama.cpp's "random"
    seed = integer(body, "seed", -(1 << 63), (1 << 64) - 1)
    return replace(
        Sampling(**values),
        seed=None if seed is None or seed == -1 else seed & 0xFFFFFFFF,
        logit_bias=_logit_bias(body, info.n_vocab),
        logprobs=logprobs,
    )


def _logit_bias(body: Mapping[str, Any], n_vocab: int) -> tuple[tuple[int, float], ...]:
    value = body.get("logit_bias")
    if value is None:
        return ()
    pairs = list(value.items()) if isinstance(value, dict) else value
    if not isinstance(pairs, list) or len(pairs) > _MAX_BIASES:
        raise bad("logit_bias", "must map token ids to numbers")
    biases: list[tuple[int, float]] = []
    for pair in pairs:
        try:
            raw_id, raw_bias = pair
            token_id = int(raw_id)
            bias = -100.0 if raw_bias is False else float(raw_bias)
        except (TypeError, ValueError, OverflowError):
            raise bad("logit_bias", "must map token ids to numbers") from None
        if not 0 <= token_id < max(n_vocab, 1) or not -100.0 <= bias <= 100.0:
            raise bad("logit_bias", "holds a token id or a bias out of bounds")
        biases.append((token_id, -1e9 if bias <= -100.0 else bias))
    return tuple(biases)


def max_tokens_of(body: Mapping[str, Any], *names: str) -> int | None:
    """The first given limit on the answer's length; -1 means none."""
    for name in names:
        value = integer(body, name, -1, 100_000_000)
        if value == 0:
            raise bad(name, "must be at least 1")
        if value is not None:
            return None if value < 0 else value
    return None
