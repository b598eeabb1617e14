"""Puts the endpoint together: routes, errors and the checks in front of them."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.core.control import EngineBoot
from app.core.errors import GarretError
from app.engine.api.anthropic_messages import Messages
from app.engine.api.completions import Completions
from app.engine.api.control import ControlRoutes, rules_of
from app.engine.api.embeddings import Embeddings
from app.engine.api.errors import ApiError, api_error, error_response, shape_of
from app.engine.api.general import General
from app.engine.api.models import ModelDirectory
from app.engine.api.ollama import Ollama
from app.engine.api.openai_chat import ChatCompletions
from app.engine.api.responses import Responses
from app.engine.api.security import SecurityMiddleware
from app.engine.api.sse import ClientGone
from app.engine.chat.renderer import TemplateRenderer
from app.engine.types import EngineService

_log = logging.getLogger(__name__)
Handler = Callable[[Request], Awaitable[Response]]


def build_app(
    service: EngineService, boot: EngineBoot, renderer: TemplateRenderer | None = None
) -> Starlette:
    """The ASGI application of one engine process."""
    templates = renderer or TemplateRenderer()
    rules = rules_of(boot)
    models = ModelDirectory(service, templates)
    general = General(service, models)
    control = ControlRoutes(service, models, rules)
    chat = ChatCompletions(models)
    responses = Responses(models)
    messages = Messages(models)
    ollama = Ollama(models)
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/", general.alive),
        ("GET", "/healthz", general.health),
        ("GET", "/metrics", general.metrics),
        ("POST", "/tokenize", general.tokenize),
        ("POST", "/detokenize", general.detokenize),
        ("GET", "/v1/models", general.models),
        ("GET", "/v1/models/{name:path}", general.model),
        ("POST", "/v1/chat/completions", chat.create),
        ("POST", "/v1/chat/completions/count", chat.count),
        ("POST", "/v1/completions", Completions(models).create),
        ("POST", "/v1/embeddings", Embeddings(models).create),
        ("POST", "/v1/responses", responses.create),
        ("POST", "/v1/responses/input_tokens", responses.count),
        ("GET", "/v1/responses/{name}", responses.get),
        ("GET", "/v1/responses/{name}/input_items", responses.input_items),
        ("DELETE", "/v1/responses/{name}", responses.delete),
        ("POST", "/v1/messages", messages.create),
        ("POST", "/v1/messages/count_tokens", messages.count),
        ("GET", "/api/hello", general.alive),
        ("GET", "/api/version", ollama.version),
        ("GET", "/api/tags", ollama.tags),
        ("POST", "/api/show", ollama.show),
        ("POST", "/api/chat", ollama.chat),
        ("POST", "/control/load", control.load),
        ("POST", "/control/unload", control.unload),
        ("GET", "/control/status", control.status),
        ("POST", "/control/configure", control.configure),
        ("POST", "/control/clear_states", control.clear_states),
    ]

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncGenerator[None, None]:
        del app
        try:
            yield
        finally:
            templates.close()

    return Starlette(
        routes=[Route(path, _edge(handler), methods=[method]) for method, path, handler in table],
        middleware=[Middleware(SecurityMiddleware, rules=rules)],
        exception_handlers={HTTPException: _http_error},
        lifespan=lifespan,
    )


def _edge(handler: Handler) -> Handler:
    """Turns whatever goes wrong in a handler into the called API's own error."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except ClientGone:
            return Response(status_code=499)
        except ApiError as error:
            return _refusal(request, error)
        except GarretError as error:
            return _refusal(request, api_error(error))
        except Exception:  # noqa: BLE001 - the API's edge: log, answer, go on
            _log.exception("%s failed", request.url.path)
            return _refusal(request, ApiError(500, "The engine made a mistake; its log says more."))

    return guarded


def _refusal(request: Request, error: ApiError) -> Response:
    anthropic = "anthropic-version" in request.headers
    return error_response(error, shape_of(request.url.path, anthropic_header=anthropic))


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    message = {404: "There is no such route.", 405: "This method is not supported here."}
    return _refusal(request, ApiError(status, message.get(status, "The request was refused.")))
