"""The MCP servers the user added: Garret's own `mcp.json`, never a file of the workspace."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    enabled: bool = True


def read_servers(file: Path, *, all_of_them: bool = False) -> tuple[McpServer, ...]:
    """The servers in Garret's own `mcp.json`, in the form other programs use (`mcpServers`).

    Args:
        all_of_them: also those that are switched off.

    Raises:
        SettingError: the file is there but cannot be understood.
    """
    data = _read(file)
    entries = data.get("mcpServers") if isinstance(data, dict) else None
    servers = []
    for name, entry in sorted(entries.items()) if isinstance(entries, dict) else ():
        if not isinstance(entry, dict) or (entry.get("disabled") and not all_of_them):
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
                not entry.get("disabled"),
            )
        )
    return tuple(servers)


def write_servers(file: Path, servers: Sequence[McpServer]) -> None:
    """Replaces the list at once; what else is in the file, and in an entry, stays.

    Readable by the user alone: headers and environments hold keys.

    Raises:
        SettingError: the file that is there cannot be understood, or the disk refuses.
    """
    data = _read(file)
    data = data if isinstance(data, dict) else {}
    old = data.get("mcpServers")
    old = old if isinstance(old, dict) else {}
    data["mcpServers"] = {server.name: _entry(server, old.get(server.name)) for server in servers}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".mcp-", dir=file.parent)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                json.dump(data, out, indent=2, ensure_ascii=False)
                out.flush()
                os.fsync(out.fileno())
            Path(name).replace(file)
        except OSError:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise SettingError(
            "The list of MCP servers could not be saved.",
            "Check that the disk is not full.",
            reason=str(error),
        ) from error


def _entry(server: McpServer, old: object) -> dict[str, Any]:
    known = {"command", "args", "env", "url", "headers", "disabled"}
    entry = {k: v for k, v in old.items() if k not in known} if isinstance(old, dict) else {}
    if server.url:
        entry |= {"url": server.url}
        entry |= {"headers": dict(server.headers)} if server.headers else {}
    else:
        entry |= {"command": server.command[0] if server.command else ""}
        entry |= {"args": list(server.command[1:])}
        entry |= {"env": dict(server.env)} if server.env else {}
    return entry if server.enabled else {**entry, "disabled": True}


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise SettingError(
            "The list of MCP servers cannot be read.", f"Correct or remove {file}."
        ) from error


def _list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list) else []


def _texts(value: object) -> dict[str, str]:
    return {str(k): str(v) for k, v in value.items()} if isinstance(value, dict) else {}
