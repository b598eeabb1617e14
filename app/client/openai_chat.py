"""A client of any engine that speaks the OpenAI chat wire format: ours, Ollama, llama-server,
vLLM, SGLang. Closing the stream is how a generation is cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from typing import Any, cast
from urllib.parse import urlsplit

import httpx

from app.client.refusals import error_of, error_of_details
from app.client.sse import SseDecoder
from app.client.turn import TurnReader
from app.client.wire import messages_to_wire, request_to_wire
from app.core.errors import EngineDied, EngineRefused, EngineUnreachable
from app.core.events import TurnEnded, TurnEvent
from app.core.ports import TurnRequest

_CONNECT_TIMEOUT_S = 5.0
_LIST_TIMEOUT_S = 10.0
_DRAIN_TIMEOUT_S = 1.0
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def normal_base_url(url: str) -> str:
    """The URL without a trailing slash or `/v1`, so that both spellings mean the same engine."""
    text = url.strip().rstrip("/")
    if "://" not in text:
        text = f"http://{text}"
    return text.removesuffix("/v1")


class OpenAIChatEngine:
    """One engine behind one base URL.

    Args:
        base_url: with or without `/v1`.
        api_key: sent as a bearer token; None sends none.
        own: the engine is Garret's, so it takes our extensions (prompt progress, token counts).
        socket: the path of the Unix socket it answers on, where it has one.
    """

    def __init__(
        self, base_url: str, api_key: str | None = None, *, own: bool = False, socket: str = ""
    ) -> None:
        self.base_url = normal_base_url(base_url)
        self._own = own
        host = urlsplit(self.base_url).hostname or ""
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.AsyncClient(
            base_url=self.base_url,
            headers=headers,
            # No limit on reading: a long prompt may take minutes before the first token.
            timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S),
            trust_env=host not in _LOOPBACK,
            follow_redirects=False,
            transport=httpx.AsyncHTTPTransport(uds=socket) if socket else None,
        )

    async def close(self) -> None:
        """Closes the connections; running streams end with EngineUnreachable."""
        await self._http.aclose()

    async def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        """One answer; see `app.core.ports.ChatEngine`."""
        body = request_to_wire(request, progress=self._own)
        reader = TurnReader()
        try:
            async with self._http.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.status_code >= 400:
                    raise error_of(
                        response.status_code,
                        await response.aread(),
                        response.headers.get("retry-after"),
                    )
                if not response.headers.get("content-type", "").startswith("text/event-stream"):
                    for event in reader.whole(_json(await response.aread())):
                        yield event
                    return
                async with contextlib.aclosing(_events(response, reader)) as events:
                    async for event in events:
                        yield event
        except httpx.HTTPError as error:
            raise self._unreachable(error, started=reader.started) from error
        except ValueError as error:
            raise EngineRefused(f"The engine's answer could not be read: {error}.") from error

    async def models(self) -> list[str]:
        """Ids in the order the engine lists them."""
        return [str(entry.get("id")) for entry in await self._list() if entry.get("id")]

    async def context_tokens(self, model: str) -> int | None:
        """From what engines add to their model list; None where they say nothing."""
        for entry in await self._list():
            if model and entry.get("id") != model:
                continue
            meta = entry.get("meta")
            places: list[dict[str, Any]] = [meta if isinstance(meta, dict) else {}, entry]
            for place in places:
                for name in ("n_ctx", "max_model_len", "context_length", "context_window"):
                    if isinstance(place.get(name), int):
                        return int(place[name])
        return None

    async def count_tokens(self, request: TurnRequest) -> int | None:
        """Asks our own engine; another one is not asked, since none does it the same way."""
        if not self._own:
            return None
        body = request_to_wire(request, progress=False)
        body["messages"] = messages_to_wire(list(request.messages))
        with contextlib.suppress(httpx.HTTPError):
            answer = await self._http.post(
                "/v1/chat/completions/count", json=body, timeout=_LIST_TIMEOUT_S
            )
            if answer.status_code == 200:
                count = _json(answer.content).get("prompt_tokens")
                return count if isinstance(count, int) else None
        return None

    async def _list(self) -> list[dict[str, Any]]:
        try:
            answer = await self._http.get("/v1/models", timeout=_LIST_TIMEOUT_S)
        except httpx.HTTPError as error:
            raise self._unreachable(error, started=False) from error
        if answer.status_code >= 400:
            raise error_of(answer.status_code, answer.content)
        data = _json(answer.content).get("data")
        return (
            [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
        )

    def _unreachable(
        self, error: httpx.HTTPError, *, started: bool
    ) -> EngineDied | EngineUnreachable:
        if started or isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
            return EngineDied(
                "The engine stopped in the middle of its answer.", "Ask again.", reason=repr(error)
            )
        if self._own:
            return EngineUnreachable(
                "The engine does not answer.", "Start Garret again.", reason=repr(error)
            )
        return EngineUnreachable(
            f"Nothing answers at {self.base_url}.",
            "Check that the engine is running and that the address is right.",
            base_url=self.base_url,
            reason=repr(error),
        )


async def _events(response: httpx.Response, reader: TurnReader) -> AsyncGenerator[TurnEvent, None]:
    """Events up to TurnEnded. The rest of the body is read and dropped, so that the connection can
    be used again; every generator is closed here, because nobody else would."""
    decoder = SseDecoder()
    async with contextlib.aclosing(
        cast(AsyncGenerator[bytes, None], response.aiter_bytes())
    ) as body:
        async for chunk in body:
            for sse in decoder.feed(chunk):
                for event in reader.feed(_sse_data(sse.data)):
                    yield event
                    if isinstance(event, TurnEnded):
                        await _drain(body)
                        return
    for event in reader.end():
        yield event


async def _drain(body: AsyncGenerator[bytes, None]) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_TIMEOUT_S):
            async for _ in body:
                pass


def _json(content: bytes) -> dict[str, Any]:
    parsed = json.loads(content)
    if not isinstance(parsed, dict):
        raise ValueError("not a JSON object")
    return parsed


def _sse_data(data: str) -> dict[str, Any] | None:
    """The chunk as JSON; None for the closing [DONE]."""
    if data.strip() == "[DONE]":
        return None
    parsed = json.loads(data)
    if not isinstance(parsed, dict):
        raise ValueError("a chunk is not a JSON object")
    if isinstance(error := parsed.get("error"), dict | str):
        raise error_of_details(error if isinstance(error, dict) else {"message": error})
    return parsed
