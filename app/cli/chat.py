"""`garret chat`: one answer, streamed to stdout."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys

from app.cli.local_engine import EngineOptions, LoadLine, choose_spec, local_engine, models_folder
from app.client.openai_chat import OpenAIChatEngine
from app.client.supervisor import SupervisedChatEngine
from app.core.events import PromptProgress, TextDelta, TurnEnded
from app.core.messages import Message
from app.core.paths import find_paths
from app.core.ports import ChatEngine, TurnRequest
from app.core.settings import Settings


def parser() -> argparse.ArgumentParser:
    cli = argparse.ArgumentParser(
        prog="garret chat", description="One answer from a local model, streamed to stdout."
    )
    where = cli.add_mutually_exclusive_group()
    where.add_argument(
        "--model", metavar="M", help="an installed model's id or a path to a GGUF file"
    )
    where.add_argument(
        "--base-url", metavar="U", help="another engine: Ollama, llama-server, vLLM, SGLang"
    )
    cli.add_argument("--api-key", metavar="K", help="key of the other engine (or GARRET_API_KEY)")
    cli.add_argument("--name", metavar="N", help="model name at the other engine")
    cli.add_argument("--system", metavar="TEXT", help="standing instructions for this answer")
    cli.add_argument("--ctx", type=int, default=0, metavar="N", help="context in tokens")
    cli.add_argument("--max-tokens", type=int, metavar="N", help="stop after this many tokens")
    cli.add_argument("--temperature", type=float, metavar="T", help="0 repeats itself exactly")
    cli.add_argument("--seed", type=int, metavar="S", help="the same seed, the same answer")
    cli.add_argument(
        "--stats", action="store_true", help="say tokens and speed on stderr at the end"
    )
    cli.add_argument("prompt", metavar="PROMPT", help="the question; - reads it from stdin")
    return cli


def main(argv: list[str]) -> int:
    """Runs the command; 0 when an answer came."""
    arguments = parser().parse_args(argv)
    if arguments.prompt == "-":
        arguments.prompt = sys.stdin.read()
    with contextlib.suppress(KeyboardInterrupt):
        return asyncio.run(_chat(arguments))
    return 130


async def _chat(arguments: argparse.Namespace) -> int:
    if arguments.base_url:
        key = arguments.api_key or os.environ.get("GARRET_API_KEY")
        engine = OpenAIChatEngine(arguments.base_url, key)
        try:
            name = arguments.name or next(iter(await engine.models()), "default")
            return await _answer(engine, name, arguments)
        finally:
            await engine.close()
    paths = find_paths()
    settings = Settings.load(paths.settings_file)
    options = EngineOptions(model=arguments.model, n_ctx=arguments.ctx)
    spec = choose_spec(options, models_folder(paths, settings), settings, paths)
    async with local_engine(spec, paths, on_change=LoadLine()) as supervisor:
        return await _answer(SupervisedChatEngine(supervisor), spec.model_id, arguments)


async def _answer(engine: ChatEngine, model: str, arguments: argparse.Namespace) -> int:
    messages = [Message.of("system", arguments.system)] if arguments.system else []
    messages.append(Message.of("user", arguments.prompt))
    sampling = {
        name: value
        for name in ("temperature", "seed")
        if (value := getattr(arguments, name)) is not None
    }
    request = TurnRequest(
        model=model, messages=messages, sampling=sampling, max_tokens=arguments.max_tokens
    )
    progress = _ProgressLine()
    async with contextlib.aclosing(engine.stream(request)) as events:
        async for event in events:
            if isinstance(event, PromptProgress):
                progress.show(event)
            elif isinstance(event, TextDelta):
                progress.clear()
                sys.stdout.write(event.text)
                sys.stdout.flush()
            elif isinstance(event, TurnEnded):
                progress.clear()
                sys.stdout.write("\n")
                if arguments.stats:
                    _stats(event)
    return 0


def _stats(event: TurnEnded) -> None:
    usage = event.usage
    speed = f", {event.timings.predicted_per_s:.1f} tokens/s" if event.timings else ""
    sys.stderr.write(
        f"read {usage.prompt_tokens} tokens ({usage.cached_tokens} reused), "
        f"wrote {usage.completion_tokens}{speed}\n"
    )


class _ProgressLine:
    def __init__(self) -> None:
        self._active = sys.stderr.isatty()
        self._written = False

    def show(self, event: PromptProgress) -> None:
        if not self._active or event.total_tokens <= 0:
            return
        left = event.seconds_left
        tail = f", {left:.0f} s left" if left is not None and left >= 1 else ""
        share = event.read_tokens / event.total_tokens
        sys.stderr.write(f"\r\x1b[2KReading {event.total_tokens:,} tokens: {share:.0%}{tail}")
        sys.stderr.flush()
        self._written = True

    def clear(self) -> None:
        if self._written:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._written = False
