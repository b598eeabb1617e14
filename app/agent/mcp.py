"""Tools of MCP servers the user added: frozen at the start, asked for like everything else.

Servers come from Garret's own settings and never from a file in the workspace. What a server says
about itself (names, descriptions, hints) is text from a stranger: it decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pydantic
from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import Tool as RemoteTool

from app.agent.mcp_servers import McpServer
from app.agent.types import (
    PermissionRequest,
    ToolContext,
    ToolError,
    ToolKind,
    ToolOutcome,
    visible,
)
from app.core.ports import ToolSpec

CONNECT_TIMEOUT_S = 20.0
MOST_TOOLS = 40
_DESCRIPTION_CHARS = 400
_SCHEMA_CHARS = 6_000
_NAME_CHARS = 60
_STRANGE = re.compile(r"[^A-Za-z0-9_-]+")


class McpTool:
    """One remote tool as one of ours."""

    kind: ToolKind = "other"

    def __init__(self, server: McpServer, remote: RemoteTool, client: Client) -> None:
        self._server = server
        self._remote = remote
        self._client = client
        name = _STRANGE.sub("_", f"{server.name}__{remote.name}")[:_NAME_CHARS]
        description = visible((remote.description or remote.title or remote.name).strip())
        self.spec = ToolSpec(
            name,
            f"({visible(server.name)}) {description[:_DESCRIPTION_CHARS]}",
            _schema(remote.input_schema),
        )

    @property
    def remote_name(self) -> str:
        """The name the server gives it."""
        return visible(self._remote.name)

    def summary(self, arguments: Mapping[str, Any]) -> str:
        return visible(f"{self._server.name}: {self._remote.name} {_short(arguments)}")

    async def request(
        self, arguments: Mapping[str, Any], context: ToolContext
    ) -> PermissionRequest | None:
        return PermissionRequest(
            context.call_id,
            self.spec.name,
            self.kind,
            visible(f"Use {self._remote.name} of {self._server.name}"),
            digest=self._digest(arguments),
            command="",
            why=context.why,
            undo="no",
            undo_note="This server acts outside Garret.",
            warnings=(visible(json.dumps(arguments, ensure_ascii=False, indent=1)),),
            always_rule=self.spec.name,
        )

    async def run(
        self,
        arguments: Mapping[str, Any],
        context: ToolContext,
        approved: PermissionRequest | None,
    ) -> ToolOutcome:
        if approved is None or approved.digest != self._digest(arguments):
            raise ToolError("The call is no longer the one that was approved.")
        call = asyncio.ensure_future(self._client.call_tool(self._remote.name, dict(arguments)))
        cancel = asyncio.ensure_future(context.cancel.wait())
        try:
            await asyncio.wait({call, cancel}, return_when=asyncio.FIRST_COMPLETED)
            if not call.done():
                return ToolOutcome("Stopped by the user.", is_error=True, stopped=True)
            result = call.result()
        except (MCPError, OSError, anyio.ClosedResourceError, anyio.BrokenResourceError) as error:
            raise ToolError(f"{self._server.name} did not answer: {error}.") from error
        finally:
            cancel.cancel()
            if not call.done():
                call.cancel()
                await asyncio.wait({call})
        text = _text_of(result.content) or json.dumps(result.structured_content, ensure_ascii=False)
        return ToolOutcome(_clip(text, context.budget_chars), is_error=bool(result.is_error))

    def _digest(self, arguments: Mapping[str, Any]) -> str:
        facts = [self._server.name, self._remote.name, arguments]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class McpTools:
    """The servers of one run. Connect once, use `tools`, close.

    `problems` names in plain words the servers that could not be used.
    """

    def __init__(self, servers: Sequence[McpServer]) -> None:
        self._servers = sorted(servers, key=lambda server: server.name)
        self._keepers: list[asyncio.Task[None]] = []
        self._over = asyncio.Event()
        self.tools: tuple[McpTool, ...] = ()
        self.problems: tuple[str, ...] = ()

    @property
    def is_alive(self) -> bool:
        """Whether every server is connected still."""
        return not any(keeper.done() for keeper in self._keepers)

    async def connect(self) -> None:
        """Starts or reaches every server and freezes the tools, in a fixed order."""
        found: list[McpTool] = []
        problems: list[str] = []
        results = await asyncio.gather(*(self._open(server) for server in self._servers))
        for server, result in zip(self._servers, results, strict=True):
            if isinstance(result, str):
                problems.append(f"{visible(server.name)}: {result}")
            else:
                found += result
        names: set[str] = set()
        for tool in found:
            if tool.spec.name in names or len(names) >= MOST_TOOLS:
                problems.append(f"{tool.spec.name} was left out.")
            else:
                names.add(tool.spec.name)
        self.tools = tuple(
            {tool.spec.name: tool for tool in reversed(found) if tool.spec.name in names}.values()
        )[::-1]
        self.problems = tuple(problems)

    async def close(self) -> None:
        """Ends every connection and the servers that were started."""
        self._over.set()
        if self._keepers:
            _, late = await asyncio.wait(self._keepers, timeout=5.0)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def _open(self, server: McpServer) -> list[McpTool] | str:
        ready: asyncio.Future[list[McpTool]] = asyncio.get_running_loop().create_future()
        keeper = asyncio.create_task(self._keep(server, ready), name=f"mcp-{server.name}")
        self._keepers.append(keeper)
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                return await asyncio.shield(ready)
        except TimeoutError:
            keeper.cancel()
            return "it did not answer in time."
        except (MCPError, OSError, ValueError, httpx2.HTTPError, BaseExceptionGroup) as error:
            return f"it could not be used ({type(error).__name__})."

    async def _keep(self, server: McpServer, ready: asyncio.Future[list[McpTool]]) -> None:
        """Holds one connection open; a connection must be closed by the task that opened it."""
        try:
            async with _client(server) as client:
                listed = sorted(await _all_tools(client), key=lambda tool: tool.name)
                if not ready.done():
                    ready.set_result([McpTool(server, tool, client) for tool in listed])
                await self._over.wait()
        except (MCPError, OSError, ValueError, httpx2.HTTPError, BaseExceptionGroup) as error:
            if not ready.done():
                ready.set_exception(error)


@contextlib.asynccontextmanager
async def _client(server: McpServer) -> AsyncGenerator[Client, None]:
    async with contextlib.AsyncExitStack() as stack:
        if server.url:
            http = await stack.enter_async_context(httpx2.AsyncClient(headers=dict(server.headers)))
            transport = streamable_http_client(server.url, http_client=http)
        elif server.command:
            # Only the SDK's safe variables and the user's own reach the server: no secrets of ours.
            parameters = StdioServerParameters(
                command=server.command[0], args=list(server.command[1:]), env=dict(server.env)
            )
            log = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))  # noqa: ASYNC230, SIM115
            transport = stdio_client(parameters, log)
        else:
            raise ValueError("neither a command nor a URL")
        yield await stack.enter_async_context(Client(transport))


async def _all_tools(client: Client) -> list[RemoteTool]:
    tools: list[RemoteTool] = []
    cursor: str | None = None
    while len(tools) < MOST_TOOLS:
        page = await client.list_tools(cursor=cursor)
        tools += page.tools
        cursor = page.next_cursor
        if not cursor:
            break
    return tools


def _schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema as it is sent to the model; a huge one becomes a free object."""
    if len(json.dumps(schema)) > _SCHEMA_CHARS or not isinstance(schema.get("properties"), dict):
        return {"type": "object", "properties": {}}
    return {
        "type": "object",
        "properties": schema["properties"],
        "required": _list(schema.get("required")),
    }


def _text_of(content: Sequence[pydantic.BaseModel]) -> str:
    pieces = []
    for part in content:
        text = getattr(part, "text", None)
        pieces.append(text if isinstance(text, str) else f"[{getattr(part, 'type', 'data')}]")
    return "\n".join(pieces)


def _clip(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    third = limit // 3
    return f"{text[:third]}\n[… {len(text) - limit} characters left out …]\n{text[third - limit :]}"


def _short(arguments: Mapping[str, Any]) -> str:
    return json.dumps(arguments, ensure_ascii=False)[:120]


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else []
