"""Tools of other programs: frozen order, nothing inherited, always asked for."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from app.agent.mcp import McpTool, McpTools
from app.agent.mcp_servers import McpServer, read_servers, write_servers
from app.agent.remote import RemoteTools
from app.agent.types import Mode, SandboxStatus, ToolContext, ToolError
from app.core.errors import SettingError
from tests.fake_hands import FakeHands, FakeJail

SCRIPT = Path(__file__).with_name("mcp_echo_server.py")
STDIO = McpServer("echo", (sys.executable, str(SCRIPT)), {"MINE": "1"})


def context(tmp_path: Path, budget_chars: int = 10_000) -> ToolContext:
    return ToolContext(
        FakeJail(tmp_path, {}),
        "call",
        Mode.ASK,
        SandboxStatus("none", False, ""),
        asyncio.Event(),
        budget_chars=budget_chars,
    )


def with_tools(
    servers: list[McpServer], body: Callable[[McpTools, dict[str, McpTool]], Awaitable[None]]
) -> None:
    async def go() -> None:
        tools = McpTools(servers)
        await tools.connect()
        try:
            await body(tools, {tool.spec.name: tool for tool in tools.tools})
        finally:
            await tools.close()

    asyncio.run(asyncio.wait_for(go(), 60))


async def call(tool: McpTool, arguments: dict[str, Any], where: ToolContext) -> Any:
    request = await tool.request(arguments, where)
    return await tool.run(arguments, where, request)


def test_a_stdio_server_is_listed_and_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")

    async def body(tools: McpTools, by_name: dict[str, McpTool]) -> None:
        assert tools.problems == ()
        assert list(by_name) == ["echo__environment", "echo__fail", "echo__long", "echo__shout"]
        shout = by_name["echo__shout"]
        assert shout.spec.parameters["properties"]["text"]["type"] == "string"
        where = context(tmp_path)
        assert (await call(shout, {"text": "hi"}, where)).text == "HI"
        names = (await call(by_name["echo__environment"], {}, where)).text.split()
        assert "MINE" in names
        assert "HF_TOKEN" not in names
        failed = await call(by_name["echo__fail"], {}, where)
        assert failed.is_error
        long = await call(by_name["echo__long"], {}, context(tmp_path, 2_000))
        assert len(long.text) < 2_100

    with_tools([STDIO], body)


def test_every_call_has_a_card_and_runs_only_as_shown(tmp_path: Path) -> None:
    async def body(tools: McpTools, by_name: dict[str, McpTool]) -> None:
        shout, where = by_name["echo__shout"], context(tmp_path)
        request = await shout.request({"text": "a"}, where)
        assert request is not None
        assert request.undo == "no"
        assert '"a"' in request.warnings[0]
        with pytest.raises(ToolError):
            await shout.run({"text": "b"}, where, request)
        with pytest.raises(ToolError):
            await shout.run({"text": "a"}, where, None)

    with_tools([STDIO], body)


def test_a_streamable_http_server_works_the_same(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(SCRIPT), "--http", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)

        async def body(tools: McpTools, by_name: dict[str, McpTool]) -> None:
            assert tools.problems == ()
            done = await call(by_name["web__shout"], {"text": "hi"}, context(tmp_path))
            assert done.text == "HI"

        with_tools([McpServer("web", url=f"http://127.0.0.1:{port}/mcp")], body)
    finally:
        process.terminate()
        process.wait()


def test_a_server_that_cannot_be_used_is_named_and_the_others_work(tmp_path: Path) -> None:
    file, hands = tmp_path / "config" / "mcp.json", FakeHands(tmp_path)
    off = McpServer("off", ("/no/such/program",), enabled=False)
    servers = [McpServer("absent", ("/no/such/program",)), McpServer("empty"), STDIO, off]

    async def go() -> None:
        remote = RemoteTools(file)
        await remote.save(servers)
        await remote.connect(hands)
        names = [spec.name for spec in hands.specs()]
        assert "echo__shout" in names
        await remote.connect(hands)  # nothing changed, so nothing is started anew
        assert [spec.name for spec in hands.specs()] == names
        problems = remote.take_problems()
        assert [problem.partition(":")[0] for problem in problems] == ["absent", "empty"]
        assert remote.take_problems() == ()
        assert (await remote.try_out(servers[0]))[1].startswith("absent: it could not be used")
        await remote.save([off])
        await remote.connect(hands)
        assert not [spec.name for spec in hands.specs() if "echo" in spec.name]
        await remote.close()

    asyncio.run(asyncio.wait_for(go(), 60))


def test_a_written_list_is_private_and_keeps_what_it_does_not_know(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    file.write_text(json.dumps({"theme": 1, "mcpServers": {"a": {"command": "x", "note": "mine"}}}))
    servers = (McpServer("a", ("y", "1"), {"K": "v"}), McpServer("b", url="http://h/mcp"))
    write_servers(file, servers)
    data = json.loads(file.read_text())
    assert (data["theme"], data["mcpServers"]["a"]["note"]) == (1, "mine")
    assert read_servers(file) == servers
    assert file.stat().st_mode & 0o077 == 0


def test_the_list_of_servers_is_read_from_our_own_file(tmp_path: Path) -> None:
    file = tmp_path / "mcp.json"
    assert read_servers(file) == ()
    servers = {
        "b": {"command": "x", "args": ["1", 2], "env": {"A": "b"}},
        "a": {"url": "http://127.0.0.1/mcp", "headers": {"K": "v"}},
        "off": {"command": "y", "disabled": True},
        "odd": "text",
    }
    file.write_text(json.dumps({"mcpServers": servers}))
    assert read_servers(file) == (
        McpServer("a", url="http://127.0.0.1/mcp", headers={"K": "v"}),
        McpServer("b", ("x", "1", "2"), {"A": "b"}),
    )
    file.write_text("{")
    with pytest.raises(SettingError):
        read_servers(file)
