"""`garret --self-test`: the whole way once, from the engine to the painted window, offline.

The smoke test of an installation and of a bundle. Everything it writes goes to a folder of its
own, except one probe file each in the user's data and models folders.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app import __version__
from app.agent.agent import Agent
from app.agent.events import Approval, CallFinished, RunEnded, Tier
from app.agent.hands import open_hands
from app.agent.run import AgentOptions
from app.agent.types import Answer, Mode
from app.cli.bundled_starter import bundled_starter
from app.cli.local_engine import local_engine, models_folder
from app.client.supervisor import SupervisedChatEngine
from app.core.control import LoadSpec
from app.core.errors import GarretError
from app.core.events import TextDelta, ToolCallReady, TurnEnded, TurnEvent, Usage
from app.core.messages import Message, ToolCallPart
from app.core.paths import find_paths
from app.core.ports import TurnRequest
from app.core.settings import Settings
from app.library.records import InstalledModel
from app.library.starter import installed_starter
from app.library.store import Store
from app.storage.storage import open_storage

_ROOT = Path(__file__).resolve().parents[2]
ENGINE_REMEDY = "Run garret doctor; if the engine is named there, install Garret again."
SANDBOX_REMEDY = "The agent still works, but it will ask before every command."
WINDOW_LIMIT_S = 90.0
ANSWER_LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report; `remedy` says what to do where `ok` is False."""

    name: str
    ok: bool
    text: str
    seconds: float
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Passed:
    """What a check saw, and facts for the JSON report."""

    text: str
    facts: dict[str, Any]


class Failed(Exception):
    """A check found something wrong; holds a sentence and a remedy."""

    def __init__(self, sentence: str, remedy: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy


def parser() -> argparse.ArgumentParser:
    cli = argparse.ArgumentParser(
        prog="garret --self-test",
        description="Checks this installation from end to end, without any network: data folder, "
        "chats, starter model, engine, an answer, an agent step, the window. "
        "Exit status 1 when a check fails.",
    )
    cli.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    cli.add_argument("--no-window", action="store_true", help="leave the window out")
    return cli


def main(argv: list[str]) -> int:
    """Runs all checks, one line each; 1 when one of them failed."""
    arguments = parser().parse_args(argv)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="garret-self-test-") as folder:
        report = Report(quiet=arguments.json)
        asyncio.run(SelfTest(Path(folder), report).run(with_window=not arguments.no_window))
    failed = [check.name for check in report.checks if not check.ok]
    seconds = time.monotonic() - began
    if arguments.json:
        sys.stdout.write(json.dumps(report.to_json(seconds), indent=2) + "\n")
    elif failed:
        sys.stdout.write(f"\n{len(failed)} of {len(report.checks)} checks failed.\n")
    else:
        sys.stdout.write(f"\nAll {len(report.checks)} checks passed in {seconds:.1f} s.\n")
    return 1 if failed else 0


class Report:
    """Collects the checks and prints each as it ends."""

    def __init__(self, quiet: bool) -> None:
        self.checks: list[Check] = []
        self.facts: dict[str, Any] = {}
        self._quiet = quiet

    async def run(self, name: str, remedy: str, check: Callable[[], Awaitable[Passed]]) -> bool:
        """Runs one check; True when it passed."""
        began = time.monotonic()
        try:
            passed = await check()
        except Failed as failed:
            self._add(Check(name, False, failed.sentence, _since(began), failed.remedy))
        except GarretError as error:
            self._add(Check(name, False, error.sentence, _since(began), error.remedy or remedy))
        except (OSError, subprocess.SubprocessError, TimeoutError) as error:
            sentence = f"{type(error).__name__}: {error}".strip(": ") + "."
            self._add(Check(name, False, sentence, _since(began), remedy))
        else:
            self.facts.update(passed.facts)
            self._add(Check(name, True, passed.text, _since(began)))
        return self.checks[-1].ok

    def skip(self, name: str, because: str) -> None:
        """A check that cannot run; counts as failed."""
        self._add(Check(name, False, f"Not tried: {because}.", 0.0, "Mend that first."))

    def to_json(self, seconds: float) -> dict[str, Any]:
        return {
            "ok": all(check.ok for check in self.checks),
            "version": __version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "frozen": bool(getattr(sys, "frozen", False)),
            "seconds": round(seconds, 2),
            **self.facts,
            "checks": [asdict(check) for check in self.checks],
        }

    def _add(self, check: Check) -> None:
        self.checks.append(check)
        if self._quiet:
            return
        mark = "ok    " if check.ok else "FAILED"
        sys.stdout.write(f"{mark}  {check.name}: {check.text}  ({check.seconds:.1f} s)\n")
        if check.remedy:
            sys.stdout.write(f"        {check.remedy}\n")
        sys.stdout.flush()


class SelfTest:
    """The checks, in the order in which they need one another."""

    def __init__(self, folder: Path, report: Report) -> None:
        self._own = find_paths({"GARRET_HOME": str(folder / "home")})
        self._folder = folder
        self._user = find_paths()
        self._report = report
        self._model: Path | None = None

    async def run(self, *, with_window: bool) -> None:
        report = self._report
        self._own.make()
        await report.run("data folder", "Set GARRET_HOME to another folder.", self._data_folder)
        await report.run("chats", "Check the disk; free some space.", self._chats)
        if await report.run("starter model", "Run garret models recommend.", self._starter):
            await report.run("engine", ENGINE_REMEDY, self._engine)
        else:
            report.skip("engine", "there is no model to load")
        await report.run("agent", SANDBOX_REMEDY, self._agent)
        if with_window:
            await report.run("window", _window_remedy(), self._window)

    async def _data_folder(self) -> Passed:
        models = models_folder(self._user, Settings.load(self._user.settings_file))
        for folder in (self._user.config, self._user.data, models):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, name = tempfile.mkstemp(dir=folder, prefix=".garret-probe-")
            try:
                os.write(handle, b"probe")
                os.fsync(handle)
            finally:
                os.close(handle)
                os.unlink(name)
        return Passed(f"{self._user.data} can be written to", {"data": str(self._user.data)})

    async def _chats(self) -> Passed:
        for round_number in (1, 2):  # the second time it is read back from the disk
            storage = await open_storage(self._own.chats_file, self._own.backups)
            try:
                if round_number == 1:
                    chat = await storage.chats.create()
                    await storage.messages.add(chat.id, None, Message.of("user", "A question"))
                elif len(await storage.chats.list()) != 1:
                    raise Failed("A stored chat did not come back.", "Check the disk.")
            finally:
                await storage.close()
        return Passed("a chat was stored and read back", {})

    async def _starter(self) -> Passed:
        store = Store(models_folder(self._user, Settings.load(self._user.settings_file)))
        installed = installed_starter(store) or _smallest(store)
        self._model = bundled_starter() or (installed.path if installed else None)
        if self._model is None:
            raise Failed(
                "There is no starter model, nor any other.",
                "Get a model on the Models page; garret models recommend names one for this "
                "machine.",
            )
        size = self._model.stat().st_size
        return Passed(f"{self._model.name}, {size / 1e6:.0f} MB", {"starter": str(self._model)})

    async def _engine(self) -> Passed:
        assert self._model is not None
        began = time.monotonic()
        spec = LoadSpec(model_path=str(self._model), model_id="starter", n_ctx=2048)
        async with local_engine(spec, self._own) as supervisor:
            loaded_s = time.monotonic() - began
            status = await supervisor.status()
            engine = SupervisedChatEngine(supervisor)
            async with asyncio.timeout(ANSWER_LIMIT_S):
                text, first_s, ended = await _answer(engine)
        if not text.strip():
            raise Failed("The engine gave an empty answer.", ENGINE_REMEDY)
        speed = ended.timings.predicted_per_s if ended and ended.timings else 0.0
        facts = {
            "backends": list(status.backends),
            "load_s": round(loaded_s, 2),
            "first_token_s": round(first_s, 2),
            "tokens_per_s": round(speed, 1),
        }
        where = ", ".join(status.backends) or "the processor"
        return Passed(
            f"ready after {loaded_s:.1f} s on {where}, first word after {first_s:.2f} s, "
            f"{speed:.0f} tokens/s",
            facts,
        )

    async def _agent(self) -> Passed:
        workspace = self._folder / "workspace"
        workspace.mkdir()
        hands = await asyncio.to_thread(open_hands, workspace, Mode.AUTO, self._own)
        try:
            if not hands.sandbox.proven:
                raise Failed(hands.sandbox.sentence, SANDBOX_REMEDY)
            engine = _ObedientEngine()
            agent = Agent(engine, hands, AgentOptions("self-test", tier=Tier.NATIVE))
            outcomes, ended = [], None
            async for event in agent.send("Write a file and look at it."):
                if isinstance(event, Approval):
                    event.resolve(Answer("deny"))
                elif isinstance(event, CallFinished):
                    outcomes.append(event.outcome)
                elif isinstance(event, RunEnded):
                    ended = event
            if ended is None or ended.status != "done" or len(outcomes) != len(_STEPS):
                message = ended.message if ended else "it never ended"
                raise Failed(f"The agent's run failed: {message}", "Run garret doctor.")
            wrong = next((outcome.text for outcome in outcomes if outcome.is_error), "")
            if wrong:
                raise Failed(f"A tool failed: {wrong[:200]}", "Run garret doctor.")
        finally:
            await hands.close()
        if (workspace / "note.txt").read_text(encoding="utf-8") != "checked\n":
            raise Failed("The command did not do what it said.", "Run garret doctor.")
        return Passed(
            f"edited and ran a command in its fence ({hands.sandbox.kind})",
            {"sandbox": hands.sandbox.kind},
        )

    async def _window(self) -> Passed:
        folder = self._folder / "window"
        folder.mkdir()
        if getattr(sys, "frozen", False):
            command = [sys.executable, "_paint", str(folder)]
        else:
            command = [sys.executable, "-m", "app", "_paint", str(folder)]
        environ = {**os.environ, "GARRET_HOME": str(self._own.data.parent)}
        if not getattr(sys, "frozen", False):
            environ["PYTHONPATH"] = str(_ROOT)
            environ["PYTHONSAFEPATH"] = "1"
        answer = await asyncio.to_thread(
            subprocess.run,
            command,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WINDOW_LIMIT_S,
        )
        lines = answer.stdout.strip().splitlines()
        if answer.returncode != 0 or not lines:
            last = (answer.stderr.strip().splitlines() or ["no output"])[-1]
            raise Failed(f"The window did not open: {last[:300]}", _window_remedy())
        seen = json.loads(lines[-1])
        return Passed(
            f"painted {seen['width']} × {seen['height']} pixels through {seen['platform']}",
            {"window": seen},
        )


_STEPS = (
    ("write_file", {"path": "note.txt", "content": "draft\n"}),
    ("run_shell_command", {"command": "echo checked > note.txt"}),
)


class _ObedientEngine:
    """Answers with the calls of `_STEPS`, one at a time, and then with a word."""

    async def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        done = sum(1 for message in request.messages if message.role == "tool")
        if done < len(_STEPS):
            name, arguments = _STEPS[done]
            call = ToolCallPart(f"call-{done}", name, json.dumps(arguments))
            yield ToolCallReady(0, call)
            yield TurnEnded("tool_calls", Usage(10, 5))
        else:
            yield TextDelta("Done.")
            yield TurnEnded("stop", Usage(10, 1))

    async def models(self) -> list[str]:
        return ["self-test"]

    async def count_tokens(self, request: TurnRequest) -> int | None:
        return None

    async def context_tokens(self, model: str) -> int | None:
        return 8192


async def _answer(engine: SupervisedChatEngine) -> tuple[str, float, TurnEnded | None]:
    """The answer to a short question, the seconds to its first word, and how it ended."""
    request = TurnRequest(
        "starter",
        (Message.of("user", "Say hello in five words."),),
        sampling={"temperature": 0.0},
        max_tokens=24,
    )
    began, first_s, text = time.monotonic(), 0.0, ""
    ended: TurnEnded | None = None
    async for event in engine.stream(request):
        if isinstance(event, TextDelta):
            first_s = first_s or time.monotonic() - began
            text += event.text
        elif isinstance(event, TurnEnded):
            ended = event
    return text, first_s, ended


def _smallest(store: Store) -> InstalledModel | None:
    """What an installation without the starter model is tried with."""
    present = [model for model in store.installed() if model.is_present]
    return min(present, key=lambda model: model.size_bytes, default=None)


def _since(began: float) -> float:
    return round(time.monotonic() - began, 2)


def _window_remedy() -> str:
    if platform.system() == "Linux":
        return "Start it from a desktop session, or set QT_QPA_PLATFORM=offscreen to test without."
    return "Install Garret again."
