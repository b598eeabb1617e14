"""The control routes of our own engine process."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx

from app.client.refusals import error_of
from app.client.sse import SseDecoder
from app.core.control import EngineStatus, LoadEvent, LoadSpec
from app.core.errors import EngineDied, EngineUnreachable

_TIMEOUT_S = 10.0


class ControlClient:
    """Loads, unloads and asks. Bound to one start of the engine: address and token change with it.

    `socket` is the path of the engine's Unix socket; "" where it has only the address.
    """

    def __init__(self, base_url: str, token: str, socket: str = "") -> None:
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(_TIMEOUT_S),
            trust_env=False,
            transport=httpx.AsyncHTTPTransport(uds=socket) if socket else None,
        )

    async def close(self) -> None:
        await self._http.aclose()

    async def load(self, spec: LoadSpec) -> AsyncGenerator[LoadEvent, None]:
        """Progress, then the model or an error. Closing the iterator cancels the load.

        Raises:
            EngineDied: the engine ended while it was loading.
        """
        decoder = SseDecoder()
        try:
            async with self._http.stream(
                "POST",
                "/control/load",
                json=spec.to_json(),
                timeout=httpx.Timeout(None, connect=_TIMEOUT_S),
            ) as response:
                if response.status_code >= 400:
                    raise error_of(response.status_code, await response.aread())
                async for chunk in response.aiter_bytes():
                    for sse in decoder.feed(chunk):
                        yield LoadEvent.from_json(json.loads(sse.data))
        except (httpx.HTTPError, ValueError) as error:
            raise EngineDied(
                "The engine stopped while it was loading the model.",
                "Choose a smaller model or context.",
                reason=repr(error),
            ) from error

    async def unload(self, model_id: str) -> None:
        await self._post("/control/unload", {"model": model_id})

    async def configure(self, changes: dict[str, Any]) -> None:
        """Changes `share`, `user_keys`, `allowed_origins` or `models` while it runs."""
        await self._post("/control/configure", changes)

    async def clear_states(self) -> None:
        """Removes the prompt states kept on disk."""
        await self._post("/control/clear_states", {})

    async def status(self) -> EngineStatus:
        try:
            answer = await self._http.get("/control/status")
        except httpx.HTTPError as error:
            raise EngineUnreachable("The engine does not answer.", reason=repr(error)) from error
        if answer.status_code >= 400:
            raise error_of(answer.status_code, answer.content)
        return EngineStatus.from_json(answer.json())

    async def _post(self, route: str, body: dict[str, Any]) -> None:
        try:
            answer = await self._http.post(route, json=body)
        except httpx.HTTPError as error:
            raise EngineUnreachable("The engine does not answer.", reason=repr(error)) from error
        if answer.status_code >= 400:
            raise error_of(answer.status_code, answer.content)
