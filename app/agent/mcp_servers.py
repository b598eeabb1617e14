"""The MCP servers the user added: Garret's own `mcp.json`, never a file of the workspace."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.agent.types import Hands
from app.core.errors import SettingError

FILE_NAME = "mcp.json"  # in Garret's settings folder


@dataclass(frozen=True, slots=True)
class McpServer:
    """One server as the user entered it: a command to start, or a URL."""

    name: str
    command: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


def read_servers(file: Path) -> tuple[McpServer, ...]:
    """The servers in Garret's own `mcp.json`, in the form other programs use (`mcpServers`).

    Raises:
        SettingError: the file is there but cannot be understood.
    """
    try:
        data = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise SettingError(
            "The list of MCP servers cannot be read.", f"Correct or remove {file}."
        ) from error
    entries = data.get("mcpServers") if isinstance(data, dict) else None
    servers = []
    for name, entry in sorted(entries.items()) if isinstance(entries, dict) else ():
        if not isinstance(entry, dict) or entry.get("disabled"):
            continue
        servers.append(
            McpServer(
                str(name),
                tuple(
                    str(part) for part in (entry.get("command"), *_list(entry.get("args"))) if part
                ),
                _texts(entry.get("env")),
                str(entry.get("url") or ""),
                _texts(entry.get("headers")),
            )
        )
    return tuple(servers)


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
    servers = await asyncio.to_thread(read_servers, file)
    if not servers:
        yield
        return
    # Imported only where it is used: the SDK takes most of a second.
    tools = importlib.import_module("app.agent.mcp").McpTools(servers)
    try:
        await tools.connect()
        for problem in tools.problems:
            complain(problem)
        hands.add_tools(tools.tools)
        yield
    finally:
        await tools.close()


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _texts(value: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}
