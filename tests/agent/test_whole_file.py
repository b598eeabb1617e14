"""Working on whole files, for models too small for tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.agent import events
from app.agent.agent import Agent
from app.agent.events import Tier
from app.agent.run import AgentOptions
from app.agent.types import Mode, ToolOutcome
from app.core.events import PromptProgress, TextDelta
from app.core.messages import Message
from tests.agent.test_loop import DONE, Script, call, ended, text, work
from tests.fake_hands import FakeHands
from tests.fakes import FakeEngine

STUB = "from typing import List\n\n\ndef double(xs: List[int]) -> List[int]:\n    ...\n"
TEST = "from solution import double\n\n\ndef test_it():\n    assert double([1]) == [2]\n"
RIGHT = "def double(xs: List[int]) -> List[int]:\n    return [2 * x for x in xs]\n"
WRONG = "def double(xs: List[int]) -> List[int]:\n    return xs\n"
OPTIONS = AgentOptions(model="coder-1.5b", test_command="pytest -q")


def answer(code: str) -> Script:
    return text(f"solution.py\n```python\n{code}```")


class Project(FakeHands):
    """A stub and its test; the command runs the stub for real."""

    def __init__(self, root: Path, mode: Mode = Mode.AUTO) -> None:
        for name, content in (("solution.py", STUB), ("test_solution.py", TEST)):
            (root / name).write_text(content)
        files = {"solution.py": STUB, "test_solution.py": TEST}
        super().__init__(root, files, mode=mode, command=self._run_tests)

    def _run_tests(self, command: str) -> ToolOutcome:
        scope: dict[str, object] = {}
        exec(self.jail.files["solution.py"], scope)  # written by this very test
        good = scope["double"]([1]) == [2]  # type: ignore[operator]
        return ToolOutcome("1 passed" if good else "E assert [1] == [2]", exit_code=int(not good))


def test_a_right_answer_is_written_tested_and_done(tmp_path: Path) -> None:
    hands = Project(tmp_path)
    engine = FakeEngine(answer(RIGHT))
    end = ended(work(Agent(engine, hands, OPTIONS), "Complete solution.py."))
    assert (end.status, end.turns, end.files_changed) == ("done", 1, ("solution.py",))
    assert hands.jail.files["solution.py"].startswith(b"from typing import List")
    assert end.facts["rounds"] == 1
    request = engine.requests[0]
    assert request.tools == ()
    assert STUB.strip() in request.messages[-1].text
    assert TEST.strip() in request.messages[-1].text


def test_talk_after_the_file_is_not_waited_for(tmp_path: Path) -> None:
    talk: Script = [
        PromptProgress(50, 20, 50, 0.1),
        TextDelta(f"solution.py\n```python\n{RIGHT}```\n"),
        30.0,
        TextDelta("So …"),
    ]
    engine = FakeEngine(talk)
    end = ended(work(Agent(engine, Project(tmp_path), OPTIONS), "Complete solution.py."))
    assert end.status == "done"
    assert end.seconds < 10
    assert engine.closed == 1
    assert (end.tokens.evaluated, end.tokens.reused) == (30, 20)


def test_a_failing_test_is_fed_back_at_the_end_of_the_prompt(tmp_path: Path) -> None:
    engine = FakeEngine(answer(WRONG), answer(RIGHT))
    seen = work(Agent(engine, Project(tmp_path), OPTIONS), "Complete solution.py.")
    end = ended(seen)
    assert (end.status, end.turns, end.facts["rounds"]) == ("done", 2, 2)
    first, second = engine.requests
    assert list(second.messages[: len(first.messages)]) == list(first.messages)
    assert "assert [1] == [2]" in second.messages[-1].text
    assert [e.passed for e in seen if isinstance(e, events.TestsRun)] == [False, True]


def test_it_gives_up_after_so_many_rounds(tmp_path: Path) -> None:
    end = ended(work(Agent(FakeEngine(answer(WRONG)), Project(tmp_path), OPTIONS), "Complete it."))
    assert (end.status, end.turns) == ("failed", 3)
    assert "still fail" in end.message


def test_a_test_named_in_the_task_is_not_therefore_written(tmp_path: Path) -> None:
    hands = Project(tmp_path)
    task = "Complete solution.py. The tests are in test_solution.py."
    engine = FakeEngine(text(f"name_of_the_file.py\n```\n{RIGHT}```"))
    end = ended(work(Agent(engine, hands, OPTIONS), task))
    assert (end.status, end.files_changed) == ("done", ("solution.py",))


@pytest.mark.parametrize(
    "bad",
    [
        text(""),
        answer(STUB),
        text("solution.py\n```python\ndef double(", "length"),
        text(f"test_solution.py\n```python\n{RIGHT}```"),
        text("la la la, something to repeat that is long enough to be noticed. " * 40),
    ],
)
def test_an_unusable_answer_is_corrected_twice_then_it_ends(tmp_path: Path, bad: Script) -> None:
    hands = Project(tmp_path)
    engine = FakeEngine(bad, answer(RIGHT))
    assert ended(work(Agent(engine, hands, OPTIONS), "Complete solution.py.")).status == "done"
    again = Project(tmp_path)
    end = ended(work(Agent(FakeEngine(bad), again, OPTIONS), "Complete solution.py."))
    assert (end.status, end.turns) == ("stopped", 3)
    assert again.jail.files["test_solution.py"] == TEST.encode()
    assert again.jail.files["solution.py"] == STUB.encode()


def test_plain_words_are_an_answer(tmp_path: Path) -> None:
    end = ended(work(Agent(FakeEngine(text("It doubles.")), Project(tmp_path), OPTIONS), "What?"))
    assert (end.status, end.message, end.files_changed) == ("done", "It doubles.", ())


def test_a_denied_write_ends_in_plain_words(tmp_path: Path) -> None:
    hands = Project(tmp_path, Mode.ASK)
    end = ended(work(Agent(FakeEngine(answer(RIGHT)), hands, OPTIONS), "Complete solution.py."))
    assert end.status == "stopped"
    assert hands.jail.files["solution.py"] == STUB.encode()


def test_a_model_that_calls_tools_after_all_gets_them(tmp_path: Path) -> None:
    write = {"file_path": "solution.py", "content": RIGHT}
    for first in (
        call("write_file", write),
        text(f'<tool_call>\n{{"name": "write_file", "arguments": {json.dumps(write)}}}'),
    ):
        hands = Project(tmp_path)
        agent = Agent(FakeEngine(first, DONE), hands, OPTIONS)
        seen = work(agent, "Complete solution.py.")
        assert (ended(seen).status, ended(seen).message) == ("done", "All done.")
        assert hands.jail.files["solution.py"] == RIGHT.encode()
        assert agent.choice.tier is Tier.NATIVE


def test_a_second_request_sees_the_files_as_they_are_now(tmp_path: Path) -> None:
    hands = Project(tmp_path)
    engine = FakeEngine(answer(RIGHT), text("It doubles."))
    agent = Agent(engine, hands, OPTIONS)
    work(agent, "Complete solution.py.")
    work(agent, "What does solution.py do?")
    assert "2 * x" in engine.requests[1].messages[-1].text
    assert engine.requests[1].messages[0] == engine.requests[0].messages[0]


def test_a_new_file_named_in_the_task_is_created(tmp_path: Path) -> None:
    hands = FakeHands(tmp_path)
    engine = FakeEngine(text("hello.py\n```python\nprint('hi')\n```"))
    end = ended(work(Agent(engine, hands, OPTIONS), "Write hello.py that says hi."))
    assert end.files_changed == ("hello.py",)
    assert isinstance(engine.requests[0].messages[0], Message)


def test_the_same_failing_file_again_starts_over_with_what_failed(tmp_path: Path) -> None:
    engine = FakeEngine(answer(WRONG), answer(WRONG), answer(RIGHT))
    end = ended(work(Agent(engine, Project(tmp_path), OPTIONS), "Complete solution.py."))
    assert (end.status, end.turns) == ("done", 3)
    first, _, fresh = (request.messages for request in engine.requests)
    assert len(fresh) == len(first)  # nothing of the failed talk is in the way
    assert fresh[-1].text.startswith(first[-1].text)  # and the engine remembers most of it
    assert "assert [1] == [2]" in fresh[-1].text


def test_a_placeholder_is_never_written_over_the_file(tmp_path: Path) -> None:
    hands = Project(tmp_path)
    engine = FakeEngine(text("solution.py\n```python\n(new content)\n```"))
    end = ended(work(Agent(engine, hands, OPTIONS), "Complete solution.py."))
    assert (end.status, hands.jail.files["solution.py"]) == ("stopped", STUB.encode())
    assert "(new content)" not in engine.requests[-1].messages[-1].text


def test_code_that_never_ends_is_fed_back(tmp_path: Path) -> None:
    endless = iter([ToolOutcome("Stopped: the time limit passed.", ended_by="time")])

    def command(line: str) -> ToolOutcome:
        return next(endless, ToolOutcome("1 passed", exit_code=0))

    hands = FakeHands(tmp_path, {"solution.py": STUB}, command=command)
    (tmp_path / "solution.py").write_text(STUB)
    engine = FakeEngine(answer(WRONG), answer(RIGHT))
    end = ended(work(Agent(engine, hands, OPTIONS), "Complete solution.py."))
    assert (end.status, end.turns) == ("done", 2)
    assert "never comes to an end" in engine.requests[-1].messages[-1].text
