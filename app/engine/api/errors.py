"""What went wrong with a request, in the words of the API that was called."""

from __future__ import annotations

import math
from typing import Any, Literal

from starlette.responses import JSONResponse

from app.core.errors import (
    BadChatTemplate,
    BadModelFile,
    ContextFull,
    EngineBusy,
    EngineRefused,
    GarretError,
    ModelNotFound,
    NoModelLoaded,
    OutOfMemory,
    UnsupportedModel,
)

Shape = Literal["openai", "anthropic", "ollama"]

_STATUS: dict[type[GarretError], int] = {
    ModelNotFound: 404,
    NoModelLoaded: 503,
    ContextFull: 400,
    EngineBusy: 429,
    BadChatTemplate: 422,
    BadModelFile: 422,
    UnsupportedModel: 400,
    OutOfMemory: 507,
}
_OPENAI_CODES: dict[type[GarretError], str] = {
    ModelNotFound: "model_not_found",
    ContextFull: "context_length_exceeded",
}
_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    415: "invalid_request_error",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    507: "api_error",
}


class ApiError(Exception):
    """A request that is refused.

    Args:
        status: the HTTP status.
        message: one or two plain sentences, without paths of this machine.
        param: the field at fault, where one is.
        cause: the typed error behind it, which our own client understands.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        cause: GarretError | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.code = code
        self.cause = cause

    @property
    def headers(self) -> dict[str, str]:
        if self.status == 429:
            wait_s = self.cause.facts.get("retry_after_s") if self.cause else None
            return {"Retry-After": str(max(1, math.ceil(float(wait_s or 1))))}
        if self.status == 503:
            return {"Retry-After": "2"}
        if self.status == 401:
            return {"WWW-Authenticate": "Bearer"}
        return {}


def api_error(error: GarretError) -> ApiError:
    """The refusal that stands for one of our typed errors."""
    status = next((code for kind, code in _STATUS.items() if isinstance(error, kind)), 500)
    if isinstance(error, EngineRefused):
        status = int(error.facts.get("status", 500))
    code = next((code for kind, code in _OPENAI_CODES.items() if isinstance(error, kind)), None)
    param = "model" if isinstance(error, ModelNotFound) else None
    message = str(error)
    if isinstance(error, ContextFull):
        message = _context_message(error)
    return ApiError(status, message, param=param, code=code or error.code, cause=error)


def _context_message(error: ContextFull) -> str:
    prompt, context = error.facts.get("prompt_tokens"), error.facts.get("context_tokens")
    if not isinstance(prompt, int) or not isinstance(context, int):
        return str(error)
    # Claude Code, Codex and others look for these words to compact the conversation
    return (
        f"prompt is too long: {prompt} tokens > {context} maximum. This model's maximum context "
        f"length is {context} tokens, but the request has {prompt} prompt tokens."
    )


def error_body(error: ApiError, shape: Shape) -> dict[str, Any]:
    """The body in one API's own form."""
    if shape == "anthropic":
        kind = _ANTHROPIC_TYPES.get(error.status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": error.message}}
    if shape == "ollama":
        return {"error": error.message}
    body: dict[str, Any] = {
        "message": error.message,
        "type": _OPENAI_TYPES.get(error.status, "server_error"),
        "param": error.param,
        "code": error.code,
    }
    if error.cause is not None:
        body["garret"] = {**error.cause.to_json(), "sentence": error.cause.sentence}
        for name, fact in (("n_prompt_tokens", "prompt_tokens"), ("n_ctx", "context_tokens")):
            if isinstance(error.cause.facts.get(fact), int):
                body[name] = error.cause.facts[fact]
    return {"error": body}


def error_response(error: ApiError, shape: Shape) -> JSONResponse:
    """The refusal as a response."""
    return JSONResponse(error_body(error, shape), error.status, headers=error.headers)


def shape_of(path: str, *, anthropic_header: bool) -> Shape:
    """Which API a path belongs to."""
    if path.startswith("/v1/messages") or (anthropic_header and path.startswith("/v1/models")):
        return "anthropic"
    return "ollama" if path.startswith("/api/") else "openai"
