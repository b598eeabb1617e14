"""Connections to the user's MCP servers: opened for a task, frozen while it lasts, closed after."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from app.agent.mcp_servers import McpServer, read_servers, write_servers
from app.agent.types import Hands


class RemoteTools:
    """The servers in one `mcp.json`. Nothing is started before `connect`."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._servers: tuple[McpServer, ...] = ()
        self._hands: Hands | None = None
        self._open: Any = None
        self._problems: tuple[str, ...] = ()

    async def connect(self, hands: Hands) -> None:
        """Adds the servers' tools to `hands`, before a task begins. What is connected, unchanged
        and alive stays as it is.

        Raises:
            SettingError: the file cannot be understood.
        """
        servers = await asyncio.to_thread(read_servers, self.file)
        fresh = self._open is not None and self._open.is_alive
        if servers == self._servers and hands is self._hands and (fresh or not servers):
            return
        await self.close()
        self._servers, self._hands = servers, hands
        if not servers:
            return
        self._open = _connections(servers)
        await self._open.connect()
        self._problems = tuple(self._open.problems)
        hands.add_tools(self._open.tools)

    def take_problems(self) -> tuple[str, ...]:
        """In plain words the servers that could not be used; told once."""
        problems, self._problems = self._problems, ()
        return problems

    async def save(self, servers: Sequence[McpServer]) -> None:
        """Replaces the list; the next `connect` follows it.

        Raises:
            SettingError: see `write_servers`.
        """
        await asyncio.to_thread(write_servers, self.file, tuple(servers))

    async def try_out(self, server: McpServer) -> tuple[tuple[str, ...], str]:
        """Connects to one server and says what tools it has, or why it cannot be used."""
        tools = _connections((server,))
        try:
            await tools.connect()
            names = tuple(tool.remote_name for tool in tools.tools)
            return names, "" if names else "; ".join(tools.problems)
        finally:
            await tools.close()

    async def close(self) -> None:
        """Ends the connections and the servers that were started; their tools are gone."""
        connections, self._open = self._open, None
        hands, self._hands = self._hands, None
        self._servers = ()
        if hands is not None:
            hands.drop_added_tools()
        if connections is not None:
            await connections.close()


@contextlib.asynccontextmanager
async def remote_tools(
    hands: Hands, file: Path, complain: Callable[[str], None]
) -> AsyncIterator[None]:
    """The tools of the servers in `file`, added to `hands` for as long as the block lasts.

    Args:
        complain: told in plain words about each server that cannot be used.

    Raises:
        SettingError: the file cannot be understood.
    """
    remote = RemoteTools(file)
    try:
        await remote.connect(hands)
        for problem in remote.take_problems():
            complain(problem)
        yield
    finally:
        await remote.close()


def _connections(servers: Sequence[McpServer]) -> Any:
    # Imported only where it is used: the SDK takes most of a second.
    return importlib.import_module("app.agent.mcp").McpTools(servers)
