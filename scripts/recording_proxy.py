"""A proxy between a client and the endpoint: counts tokens, and forces a first tool call."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

# tools that only look, by preference; arguments are the model's own
READ_TOOLS = (
    *("Read", "read", "read_file", "readFile", "Bash", "bash", "shell", "run_commands"),
    *("exec_command", "shell_command", "run_shell_command", "execute_command", "list_directory"),
)


@dataclass
class Turn:
    """One request as the proxy saw it."""

    path: str
    status: int = 0
    seconds: float = 0.0
    first_byte_s: float = 0.0
    evaluated: int | None = None
    cached: int | None = None
    generated: int | None = None
    forced: str = ""
    has_result: bool = False
    called: bool = False


class Proxy:
    """Stands between a client and the endpoint; rewrites nothing but a forced first call."""

    def __init__(self, upstream: str) -> None:
        self.upstream = upstream
        self.turns: list[Turn] = []
        self.force = False
        self._http = httpx.AsyncClient(timeout=None, trust_env=False)
        methods = ["GET", "POST", "HEAD", "DELETE", "OPTIONS"]
        self.app = Starlette(routes=[Route("/{path:path}", self._pass, methods=methods)])

    async def _pass(self, request: Request) -> Response:
        body = await request.body()
        turn = Turn(request.url.path)
        if request.method == "POST":
            body = self._prepare(body, turn)
            self.turns.append(turn)
        dropped = {"host", "content-length", "connection", "accept-encoding"}
        headers = {k: v for k, v in request.headers.items() if k.lower() not in dropped}
        url = f"{self.upstream}{request.url.path}"
        if request.url.query:
            url += f"?{request.url.query}"
        started = time.monotonic()
        sent = self._http.build_request(request.method, url, headers=headers, content=body)
        answer = await self._http.send(sent, stream=True)
        turn.status = answer.status_code
        kept = {
            k: v
            for k, v in answer.headers.items()
            if k.lower() not in ("content-length", "connection", "transfer-encoding")
        }
        return StreamingResponse(
            self._relay(answer, turn, started), status_code=answer.status_code, headers=kept
        )

    async def _relay(
        self, answer: httpx.Response, turn: Turn, started: float
    ) -> AsyncGenerator[bytes, None]:
        seen = bytearray()
        try:
            async for chunk in answer.aiter_raw():
                if not turn.first_byte_s and b"data: " in chunk:
                    turn.first_byte_s = time.monotonic() - started
                seen += chunk
                yield chunk
        finally:
            await answer.aclose()
            turn.seconds = time.monotonic() - started
            _read_usage(bytes(seen), turn)

    def _prepare(self, raw: bytes, turn: Turn) -> bytes:
        try:
            body = json.loads(raw)
        except ValueError:
            return raw
        text = raw.decode("utf-8", "replace")
        turn.has_result = any(
            mark in text
            for mark in ('"role":"tool"', '"role": "tool"', '"tool_result"', "_call_output")
        )
        names = _tool_names(body)
        if not self.force or turn.has_result or not names:
            return raw
        chosen = next((name for name in READ_TOOLS if name in names), names[0])
        turn.forced = chosen
        if turn.path.endswith("/messages"):
            body["tool_choice"] = {"type": "tool", "name": chosen}
        elif turn.path.endswith("/responses"):
            body["tool_choice"] = {"type": "function", "name": chosen}
        else:
            body["tool_choice"] = {"type": "function", "function": {"name": chosen}}
        return json.dumps(body).encode()


def _tool_names(body: Any) -> list[str]:
    names: list[str] = []
    tools = body.get("tools") if isinstance(body, dict) else None
    for tool in tools or []:
        function = tool.get("function", tool)
        if tool.get("type") in (None, "function", "custom") and isinstance(
            function.get("name"), str
        ):
            names.append(function["name"])
    return names


def _read_usage(seen: bytes, turn: Turn) -> None:
    """Token counts out of whatever shape the answer has."""
    text = seen.decode("utf-8", "replace")
    turn.called = '"tool_calls":[' in text or "tool_use" in text or '"function_call"' in text
    lines = [line[6:] for line in text.splitlines() if line.startswith("data: {")] or [text]
    for line in lines:
        try:
            data = json.loads(line)
        except ValueError:
            continue
        timings = data.get("timings")
        usage = data.get("usage") or (data.get("response") or {}).get("usage") or {}
        usage = usage or (data.get("message") or {}).get("usage") or {}
        if timings:
            turn.evaluated, turn.cached = timings["prompt_n"], timings["cache_n"]
            turn.generated = timings["predicted_n"]
        elif "cache_read_input_tokens" in usage:
            turn.cached = usage["cache_read_input_tokens"]
            turn.evaluated, turn.generated = usage["input_tokens"], usage["output_tokens"]
        elif "input_tokens_details" in usage:
            turn.cached = usage["input_tokens_details"]["cached_tokens"]
            turn.evaluated = usage["input_tokens"] - turn.cached
            turn.generated = usage["output_tokens"]
