"""`garret acp`: the agent for editors, over stdio (Agent Client Protocol)."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
from pathlib import Path
from typing import cast

import acp

from app import __version__
from app.agent.acp import EditorAgent
from app.agent.agent import Agent
from app.agent.hands import open_hands
from app.agent.mcp_servers import FILE_NAME
from app.agent.record import FileRunRecords
from app.agent.remote import remote_tools
from app.agent.run import AgentOptions
from app.agent.types import Mode
from app.cli.agent import EngineChoice, add_engine_arguments, choose_engine
from app.core.paths import Paths, find_paths
from app.core.settings import Settings


def parser() -> argparse.ArgumentParser:
    cli = argparse.ArgumentParser(
        prog="garret acp",
        description="Serves Garret's agent to an editor (Zed, JetBrains, Neovim …) over stdin and "
        "stdout. The editor shows the cards; without an answer everything is denied.",
        epilog='In Zed: "agent_servers": {"Garret": {"command": "garret", "args": ["acp"]}}',
    )
    add_engine_arguments(cli)
    return cli


def main(argv: list[str]) -> int:
    """Serves until the editor closes the pipe."""
    arguments = parser().parse_args(argv)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(arguments))
    return 0


async def _serve(arguments: argparse.Namespace) -> None:
    paths = find_paths()
    settings = Settings.load(paths.settings_file)
    async with contextlib.AsyncExitStack() as stack:
        engines = _Engines(arguments, paths, settings, stack)

        async def open_agent(folder: Path, mode: Mode) -> Agent:
            hands = await asyncio.to_thread(open_hands, folder, mode, paths)
            stack.push_async_callback(hands.close)
            await stack.enter_async_context(
                remote_tools(hands, paths.config / FILE_NAME, _complain)
            )
            choice = await engines.get()
            return Agent(
                choice.engine,
                hands,
                AgentOptions(
                    choice.traits.name,
                    max_steps=int(settings.number("agent.max_steps")),
                    retry_for_s=choice.retry_for_s,
                ),
                traits=choice.traits,
                records=FileRunRecords(paths.runs),
                context_tokens=choice.context_tokens,
            )

        # The SDK asks only for the methods there are; its Protocol lists every optional one.
        await acp.run_agent(cast(acp.Agent, EditorAgent(open_agent, __version__)))


def _complain(problem: str) -> None:
    sys.stderr.write(f"MCP server {problem}\n")


class _Engines:
    """The one engine of this process, started when the first session needs it."""

    def __init__(
        self,
        arguments: argparse.Namespace,
        paths: Paths,
        settings: Settings,
        stack: contextlib.AsyncExitStack,
    ) -> None:
        self._arguments = arguments
        self._paths = paths
        self._settings = settings
        self._stack = stack
        self._lock = asyncio.Lock()
        self._choice: EngineChoice | None = None

    async def get(self) -> EngineChoice:
        async with self._lock:
            if self._choice is None:
                choosing = choose_engine(self._arguments, self._paths, self._settings)
                self._choice = await self._stack.enter_async_context(choosing)
            return self._choice
