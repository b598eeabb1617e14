from __future__ import annotations

import json

import pytest

from app.client.refusals import error_of
from app.core.errors import (
    ContextFull,
    EngineBusy,
    EngineRefused,
    GarretError,
    ModelNotFound,
    OutOfMemory,
)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, {"error": {"message": "no"}}, EngineRefused),
        (404, {"error": {"message": "model 'x' not found"}}, ModelNotFound),
        (429, {"error": "slow down"}, EngineBusy),
        (
            400,
            {"error": {"message": "This model's maximum context length is 4096 tokens"}},
            ContextFull,
        ),
        (
            400,
            {"error": {"type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 8}},
            ContextFull,
        ),
        (400, {"error": {"message": "temperature out of range"}}, EngineRefused),
        (
            503,
            {"error": {"message": "x", "garret": {"code": "out_of_memory", "sentence": "Big."}}},
            OutOfMemory,
        ),
        (500, None, EngineRefused),
    ],
)
def test_each_refusal_has_its_type(status: int, body: object, kind: type[GarretError]) -> None:
    error = error_of(status, json.dumps(body).encode() if body else b"<html>oops</html>")
    assert type(error) is kind
    assert error.sentence.endswith((".", "!", "?", "tokens", "found"))


def test_retry_after_and_context_numbers_are_facts() -> None:
    assert error_of(429, b"{}", "7").facts["retry_after_s"] == 7.0
    assert error_of(429, b"{}", "Wed, 21 Oct 2026 07:28:00 GMT").facts["retry_after_s"] is None
    full = error_of(400, b'{"error":{"code":"context_full","n_prompt_tokens":9,"n_ctx":8}}')
    assert full.facts == {"prompt_tokens": 9, "context_tokens": 8}
