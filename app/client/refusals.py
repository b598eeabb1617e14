"""What an engine's HTTP error means, as one of our typed errors."""

from __future__ import annotations

import json
import re
from typing import Any

from app.core.errors import (
    BadChatTemplate,
    ContextFull,
    EngineBusy,
    EngineError,
    EngineRefused,
    GarretError,
    ModelNotFound,
    NoModelLoaded,
    error_from_json,
)

_CONTEXT = re.compile(
    r"context (?:length|size|window)|exceed\w* (?:the )?(?:available |maximum )?context|n_ctx"
    r"|maximum context|too many tokens|prompt is too long",
    re.IGNORECASE,
)


def error_of(status: int, body: bytes, retry_after: str | None = None) -> GarretError:
    """The error behind a status of 400 or more and its body, whatever the engine wrote there."""
    try:
        parsed: Any = json.loads(body)
    except ValueError:
        parsed = None
    error = parsed.get("error") if isinstance(parsed, dict) else None
    details: dict[str, Any] = error if isinstance(error, dict) else {}
    if isinstance(error, str):
        details = {"message": error}
    return error_of_details(details, status=status, retry_after=retry_after)


def error_of_details(
    details: dict[str, Any], *, status: int = 500, retry_after: str | None = None
) -> GarretError:
    """The error behind an OpenAI-style `error` object (also one that came inside a stream)."""
    if isinstance(ours := details.get("garret"), dict):
        return error_from_json(ours)
    message = _clip(str(details.get("message") or "")).strip()
    code = str(details.get("code") or details.get("type") or "")
    if status == 401 or status == 403:
        return EngineRefused(
            "The engine did not accept the key.", "Check the key in Settings.", status=status
        )
    if status == 429 or code == "engine_busy":
        return EngineBusy(
            "The engine is busy with other requests.",
            "Try again in a moment.",
            retry_after_s=_seconds(retry_after),
        )
    if "context" in code or (status in (400, 413, 422, 500) and _CONTEXT.search(message)):
        facts = {
            key: details[name]
            for key, name in (("prompt_tokens", "n_prompt_tokens"), ("context_tokens", "n_ctx"))
            if isinstance(details.get(name), int)
        }
        return ContextFull(
            message or "This conversation is longer than the model's context.",
            "Start a new chat, or load the model with a larger context.",
            **facts,
        )
    if code in (BadChatTemplate.code, NoModelLoaded.code):
        return error_from_json({"code": code, "sentence": message})
    if status == 404:
        return ModelNotFound(
            message or "The engine does not have this model.", "Choose another model."
        )
    return _plain(message, status)


def _plain(message: str, status: int) -> EngineError:
    sentence = message or f"The engine refused the request with status {status}."
    return EngineRefused(
        sentence if sentence.endswith((".", "!", "?")) else f"{sentence}.", status=status
    )


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None


def _clip(text: str, limit: int = 400) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"
