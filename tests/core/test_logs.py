from __future__ import annotations

import logging

import pytest

from app.core.logs import RedactingFormatter, redacted


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer canary-1234567890",
        "x-api-key: canary-1234567890",
        'api_key="canary-1234567890"',
        "token=canary-1234567890",
        "used hf_canary1234567890",
        "used sk-canary1234567890",
    ],
)
def test_keys_never_reach_the_log(text: str) -> None:
    assert "canary" not in redacted(text)


def test_ordinary_text_stays() -> None:
    text = "read 1200 tokens in 3.4 s; the tokenizer has 151936 tokens"
    assert redacted(text) == text


def test_keys_in_tracebacks_are_removed_too() -> None:
    try:
        raise ValueError("Bearer canary-1234567890")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", None, info)
    formatted = RedactingFormatter("%(message)s").format(record)
    assert "canary" not in formatted.split("ValueError:")[-1]
