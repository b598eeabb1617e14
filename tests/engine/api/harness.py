"""A client of the app under test, and readers of what it streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import httpx

from app.core.control import EngineBoot
from app.engine.api.app import build_app
from app.engine.chat.renderer import TemplateRenderer
from tests.scripted_engine import ScriptedModel, ScriptedService

TOKEN = "app-token"
USER_KEY = "user-key"
HOST = "127.0.0.1:5000"
BOOT = EngineBoot(token=TOKEN, share=True, user_keys=(USER_KEY,))

_renderer = TemplateRenderer()


def renderer() -> TemplateRenderer:
    """One template process for the whole session; the interpreter's exit ends it."""
    return _renderer


def run(work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """Runs one coroutine to its end with a limit."""

    async def limited() -> Any:
        async with asyncio.timeout(60):
            return await work()

    return asyncio.run(limited())


def client(
    service: ScriptedService | ScriptedModel, boot: EngineBoot = BOOT, key: str | None = TOKEN
) -> httpx.AsyncClient:
    """An HTTP client inside the process; `key` None sends none."""
    if isinstance(service, ScriptedModel):
        service = ScriptedService(service)
    app = build_app(service, boot, renderer())
    headers = {"Authorization": f"Bearer {key}"} if key is not None else {}
    transport = httpx.ASGITransport(app=app)
    return httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}", headers=headers)


def post(
    service: ScriptedService | ScriptedModel, path: str, body: dict[str, Any], **headers: str
) -> httpx.Response:
    """One POST with the app's own token."""

    async def work() -> httpx.Response:
        async with client(service) as http:
            return await http.post(path, json=body, headers=headers)

    response: httpx.Response = run(work)
    return response


def get(service: ScriptedService | ScriptedModel, path: str, **headers: str) -> httpx.Response:
    """One GET with the app's own token."""

    async def work() -> httpx.Response:
        async with client(service) as http:
            return await http.get(path, headers=headers)

    response: httpx.Response = run(work)
    return response


def data_of(response: httpx.Response) -> list[Any]:
    """The JSON of every data line; the closing [DONE] as that string."""
    assert response.status_code == 200, response.text
    found: list[Any] = []
    for line in response.text.splitlines():
        if line.startswith("data: "):
            payload = line.removeprefix("data: ")
            found.append(payload if payload == "[DONE]" else json.loads(payload))
    return found


def chat_body(text: str = "Hi", **fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}], **fields}
