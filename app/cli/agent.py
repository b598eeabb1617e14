"""`garret agent`: one agent run in a folder."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from app.agent.agent import Agent, resume
from app.agent.events import RunEnded, RunStatus, Tier
from app.agent.hands import ToolBox, open_hands
from app.agent.mcp_servers import FILE_NAME
from app.agent.record import FileRunRecords
from app.agent.remote import remote_tools
from app.agent.run import AgentOptions
from app.agent.tiers import ModelTraits, choose_tier, probe
from app.agent.types import Hands, Mode
from app.cli.agent_output import JsonOutput, Output, PlainOutput
from app.cli.local_engine import EngineOptions, LoadLine, choose_spec, local_engine, models_folder
from app.client.openai_chat import OpenAIChatEngine
from app.client.supervisor import SupervisedChatEngine
from app.core.errors import GarretError, WorkspaceError
from app.core.paths import Paths, find_paths
from app.core.ports import ChatEngine
from app.core.settings import Settings

EXIT_CODES: dict[RunStatus, int] = {"done": 0, "stopped": 2, "failed": 1}
OTHER_ENGINE_RETRY_S = 20.0
OWN_ENGINE_RETRY_S = 120.0


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """An engine that answers, and what is known of its model."""

    engine: ChatEngine
    traits: ModelTraits
    context_tokens: int | None
    retry_for_s: float
    is_own: bool = False


def parser() -> argparse.ArgumentParser:
    cli = argparse.ArgumentParser(
        prog="garret agent",
        description="Lets a model work on a task in one folder. Exit status: 0 done, 2 stopped, "
        "1 failed.",
        epilog="look: reads only. ask: asks in the terminal before each edit and command; without "
        "a terminal the answer is no. auto: edits are free, commands are free where the sandbox "
        "holds; dangerous things are still asked.",
    )
    cli.add_argument("--workspace", required=True, metavar="DIR", help="the folder to work in")
    add_engine_arguments(cli)
    cli.add_argument("--mode", choices=[mode.value for mode in Mode], help="default: ask")
    cli.add_argument("--json", action="store_true", help="JSON lines on stdout")
    cli.add_argument(
        "--tier",
        choices=["auto", *(tier.value for tier in Tier)],
        default="auto",
        help="a: native tools, b: JSON tools, c: whole files; default: by the model",
    )
    cli.add_argument("--test", metavar="CMD", default="", help="test command (tier c)")
    cli.add_argument("--rounds", type=int, default=3, metavar="N", help="tries in tier c")
    cli.add_argument("--max-steps", type=int, metavar="N", help="steps before it asks to go on")
    cli.add_argument("--max-tokens", type=int, metavar="N", help="longest single answer in tokens")
    cli.add_argument("--temperature", type=float, metavar="T")
    cli.add_argument("--seed", type=int, metavar="S")
    cli.add_argument("--resume", metavar="RUN", help="go on with an interrupted run")
    cli.add_argument("task", metavar="TASK", help="what to do; - reads it from stdin")
    return cli


def add_engine_arguments(cli: argparse.ArgumentParser) -> None:
    """The options that say which engine and model to use."""
    cli.add_argument(
        "--model", metavar="M", help="an installed model's id or a path to a GGUF file"
    )
    cli.add_argument(
        "--base-url", metavar="U", help="another engine: Ollama, llama-server, vLLM, SGLang"
    )
    cli.add_argument("--api-key", metavar="K", help="key of the other engine (or GARRET_API_KEY)")
    cli.add_argument("--ctx", type=int, default=0, metavar="N", help="context in tokens")


def main(argv: list[str]) -> int:
    """Runs the command; the exit status tells how the run ended."""
    arguments = parser().parse_args(argv)
    if arguments.task == "-":
        arguments.task = sys.stdin.read()
    json_output = JsonOutput() if arguments.json else None
    try:
        return asyncio.run(_run(arguments, json_output))
    except GarretError as error:
        if json_output is None:
            raise
        json_output.write(_failed_line(str(error), "failed"))
        return EXIT_CODES["failed"]
    except KeyboardInterrupt:
        if json_output is not None:
            json_output.write(_failed_line("Stopped.", "stopped"))
        return EXIT_CODES["stopped"]


async def _run(arguments: argparse.Namespace, json_output: JsonOutput | None) -> int:
    paths = find_paths()
    settings = Settings.load(paths.settings_file)
    hands = _open(arguments, paths, settings)
    output: Output = json_output or PlainOutput(interactive=sys.stdin.isatty())
    stop, begun = asyncio.Event(), asyncio.Event()

    async def start_and_work() -> int:
        async with (
            remote_tools(hands, paths.config / FILE_NAME, _complain),
            choose_engine(arguments, paths, settings) as choice,
        ):
            agent = await _agent(arguments, paths, settings, hands, choice)
            begun.set()
            return EXIT_CODES[(await _work(agent, arguments.task, output, stop)).status]

    with _signals(stop):
        task = asyncio.create_task(start_and_work())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not task.done() and not begun.is_set():  # still loading: there is no run to stop
            task.cancel()
        await asyncio.wait({task})
    await hands.close()
    if task.cancelled():
        raise KeyboardInterrupt
    return task.result()


async def _work(agent: Agent, task: str, output: Output, stop: asyncio.Event) -> RunEnded:
    """Follows the run to its end; Ctrl-C stops it, and it still says how it ended."""
    watcher = asyncio.create_task(_stop_on(stop, agent))
    ended: RunEnded | None = None
    try:
        async for event in agent.send(task):
            await output.show(event)
            if isinstance(event, RunEnded):
                ended = event
    finally:
        watcher.cancel()
    assert ended is not None  # the last event of every run
    return ended


async def _stop_on(stop: asyncio.Event, agent: Agent) -> None:
    await stop.wait()
    agent.stop()


async def _agent(
    arguments: argparse.Namespace,
    paths: Paths,
    settings: Settings,
    hands: Hands,
    choice: EngineChoice,
) -> Agent:
    sampling = {
        name: value
        for name in ("temperature", "seed")
        if (value := getattr(arguments, name)) is not None
    }
    tier = None if arguments.tier == "auto" else Tier(arguments.tier)
    if tier is None and choice.is_own and choose_tier(choice.traits).tier is Tier.JSON:
        # The template says nothing about tools, so the model is tried; only ours, because
        # another engine's user may count its requests.
        tier = await probe(choice.engine, choice.traits.name, Tier.JSON)
    options = AgentOptions(
        model=choice.traits.name,
        tier=tier,
        max_steps=arguments.max_steps or int(settings.number("agent.max_steps")),
        max_test_rounds=arguments.rounds,
        test_command=arguments.test,
        retry_for_s=choice.retry_for_s,
        sampling=sampling,
        max_tokens=arguments.max_tokens,
    )
    records = FileRunRecords(paths.runs)
    if not arguments.resume:
        return Agent(
            choice.engine,
            hands,
            options,
            traits=choice.traits,
            records=records,
            context_tokens=choice.context_tokens,
        )
    agent = await resume(
        arguments.resume,
        records,
        choice.engine,
        hands,
        options=options,
        traits=choice.traits,
        context_tokens=choice.context_tokens,
    )
    if agent is None:
        raise WorkspaceError("There is no run with this id.", "Leave out --resume.")
    return agent


def _open(arguments: argparse.Namespace, paths: Paths, settings: Settings) -> ToolBox:
    mode = Mode(arguments.mode or settings.text("agent.mode"))
    return open_hands(Path(arguments.workspace), mode, paths)


@contextlib.asynccontextmanager
async def choose_engine(
    arguments: argparse.Namespace, paths: Paths, settings: Settings
) -> AsyncIterator[EngineChoice]:
    """The engine the options name: another one by its URL, or ours, started and loaded."""
    if arguments.base_url:
        key = arguments.api_key or os.environ.get("GARRET_API_KEY")
        other = OpenAIChatEngine(arguments.base_url, key)
        try:
            yield await _other(other, arguments)
        finally:
            await other.close()
        return
    options = EngineOptions(model=arguments.model, n_ctx=arguments.ctx)
    spec = choose_spec(options, models_folder(paths, settings), settings, paths)
    line = LoadLine()
    async with local_engine(spec, paths, on_change=line) as supervisor:
        model = supervisor.view.model
        traits = ModelTraits(spec.model_id)
        if model is not None:
            traits = ModelTraits(model.model_id, model.n_params, model.tool_format)
        engine = SupervisedChatEngine(supervisor)
        context = await engine.context_tokens(traits.name)
        yield EngineChoice(engine, traits, context, OWN_ENGINE_RETRY_S, is_own=True)


async def _other(engine: OpenAIChatEngine, arguments: argparse.Namespace) -> EngineChoice:
    """Engines differ in what they tell about themselves; silence is not an error."""
    name = arguments.model or ""
    context = arguments.ctx or None
    with contextlib.suppress(GarretError, ValueError):
        name = name or next(iter(await engine.models()), "")
        context = context or await engine.context_tokens(name)
    return EngineChoice(engine, ModelTraits(name or "default"), context, OTHER_ENGINE_RETRY_S)


@contextlib.contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM stops the run in good order, a second one ends the process."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    for name in names:
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt
            loop.add_signal_handler(getattr(signal, name), on_signal)
    try:
        yield
    finally:
        for name in names:
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(getattr(signal, name))


def _complain(problem: str) -> None:
    sys.stderr.write(f"MCP server {problem}\n")


def _failed_line(message: str, status: RunStatus) -> dict[str, object]:
    """The last JSON line of a run that never began."""
    return {
        "type": "ended",
        "status": status,
        "message": message,
        "turns": 0,
        "tokens_evaluated": 0,
        "tokens_reused": 0,
        "tokens_written": 0,
        "files_changed": [],
    }
