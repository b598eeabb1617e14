"""A request from beginning to end, with an engine and hands that play by script."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.agent import events, loop
from app.agent.agent import Agent, resume
from app.agent.record import FileRunRecords
from app.agent.run import AgentOptions
from app.agent.types import Answer, Mode, ToolOutcome
from app.core.errors import ContextFull, EngineDied, EngineRefused, EngineUnreachable
from app.core.events import TextDelta, ToolCallReady, TurnEnded, TurnEvent, Usage
from app.core.messages import Message, ToolCallPart, ToolResultPart
from tests.fake_hands import FakeHands
from tests.fakes import FakeEngine

Script = list[TurnEvent | float | BaseException]
OPTIONS = AgentOptions(model="big-30b", retry_for_s=0.5)


def text(words: str, finish: str = "stop", usage: Usage | None = None) -> Script:
    return [TextDelta(words), TurnEnded(finish, usage or Usage(100, 10, 90))]  # type: ignore[arg-type]


def call(name: str, arguments: Any, words: str = "", finish: str = "tool_calls") -> Script:
    return calls((name, arguments), words=words, finish=finish)


def calls(*made: tuple[str, Any], words: str = "", finish: str = "tool_calls") -> Script:
    script: Script = [TextDelta(words)] if words else []
    for index, (name, arguments) in enumerate(made):
        sent = arguments if isinstance(arguments, str) else json.dumps(arguments)
        script.append(ToolCallReady(index, ToolCallPart(f"call_{index}", name, sent)))
    return [*script, TurnEnded(finish, Usage(100, 10, 90))]  # type: ignore[arg-type]


DONE = text("All done.")
WRITE = {"file_path": "a.py", "content": "x = 1\n"}

Watch = Callable[[Agent, events.AgentEvent], None]


def nothing(agent: Agent, event: events.AgentEvent) -> None:
    """Watches without doing anything; every question is answered with its default."""
    if isinstance(event, events.Approval):
        event.resolve(Answer())
    elif isinstance(event, events.Question):
        event.resolve(False)


def work(agent: Agent, task: str = "Do it.", watch: Watch = nothing) -> list[events.AgentEvent]:
    async def go() -> list[events.AgentEvent]:
        seen = []
        async for event in agent.send(task):
            seen.append(event)
            watch(agent, event)
        return seen

    return asyncio.run(asyncio.wait_for(go(), 20))


def ended(seen: list[events.AgentEvent]) -> events.RunEnded:
    assert isinstance(seen[-1], events.RunEnded)
    assert sum(isinstance(event, events.RunEnded) for event in seen) == 1
    return seen[-1]


def assert_whole(agent: Agent) -> None:
    """Every call in the conversation has exactly one result, right after its answer."""
    waiting: list[str] = []
    for message in agent.messages:
        if message.role == "tool":
            for part in message.parts:
                assert isinstance(part, ToolResultPart)
                waiting.remove(part.call_id)
        else:
            assert waiting == []
            waiting = [made.call_id for made in message.tool_calls]
    assert waiting == []


@pytest.fixture
def hands(tmp_path: Path) -> FakeHands:
    return FakeHands(tmp_path, {"a.py": "x = 0\n"})


def test_reads_writes_and_ends(hands: FakeHands) -> None:
    engine = FakeEngine(
        call("read_file", {"file_path": "a.py"}, "I look first."), call("write_file", WRITE), DONE
    )
    agent = Agent(engine, hands, OPTIONS)
    seen = work(agent)
    end = ended(seen)
    assert (end.status, end.message, end.turns) == ("done", "All done.", 3)
    assert end.files_changed == ("a.py",)
    assert end.tokens == events.TokenCount(30, 270, 30)
    assert hands.jail.files["a.py"] == b"x = 1\n"
    assert_whole(agent)


def test_prompts_only_ever_grow_at_the_end(hands: FakeHands) -> None:
    engine = FakeEngine(
        call("read_file", {"file_path": "a.py"}),
        call("nonsense", {}),
        call("write_file", "{broken"),
        call("run_shell_command", {"command": "true"}),
        DONE,
    )
    work(Agent(engine, hands, OPTIONS))
    for before, after in zip(engine.requests, engine.requests[1:], strict=False):
        assert list(after.messages[: len(before.messages)]) == list(before.messages)
        assert after.tools == before.tools


def test_a_second_request_goes_on_in_the_same_conversation(hands: FakeHands) -> None:
    engine = FakeEngine(text("One."), text("Two."))
    agent = Agent(engine, hands, OPTIONS)
    work(agent, "First.")
    work(agent, "Second.")
    first, second = engine.requests
    assert list(second.messages[: len(first.messages)]) == list(first.messages)
    assert second.messages[-1] == Message.of("user", "Second.")


def test_the_system_prompt_holds_nothing_that_varies(hands: FakeHands, tmp_path: Path) -> None:
    engine = FakeEngine(DONE)
    work(Agent(engine, hands, OPTIONS))
    system = engine.requests[0].messages[0].text
    for varying in (str(tmp_path), tmp_path.name, "202"):
        assert varying not in system
    assert tmp_path.name in engine.requests[0].messages[1].text


@pytest.mark.parametrize(
    ("bad", "part"),
    [
        (call("write_file", '{"file_path": "a.py", "content": '), "not valid JSON"),
        (call("writefile", WRITE), "Did you mean write_file"),
        (call("write_file", "[1, 2]"), "a list"),
        (call("write_file", WRITE, finish="length"), "cut off"),
        (text("<tool_call>\n<function=write_fil>\n</function>\n</tool_call>"), "write_file"),
        (text("<tool_call>\n{broken json}\n</tool_call>"), "JSON"),
        (text("<tool_call>\n<function=write_file>\n<parameter=content>\nx", "length"), "cut off"),
        (text(""), "empty"),
        (text("I will now do it. " * 200), "repeated"),
        (text("I was about to", "length"), "cut off"),
    ],
)
def test_a_bad_answer_is_corrected_and_runs_nothing(
    hands: FakeHands, bad: Script, part: str
) -> None:
    engine = FakeEngine(bad, DONE)
    agent = Agent(engine, hands, OPTIONS)
    seen = work(agent)
    told = [event.text for event in seen if isinstance(event, events.Correction)]
    assert len(told) == 1
    assert part in told[0]
    assert ended(seen).status == "done"
    assert hands.log == []
    assert part in str(engine.requests[1].messages[-1])
    assert_whole(agent)


@pytest.mark.parametrize(
    "good",
    [
        call("write_file", json.dumps(json.dumps(WRITE))),
        call("write_file", '{"file_path": "", "file_path": "a.py", "content": "x = 1\\n"}'),
        call("functions.write_file", WRITE),
        call("write_file", json.dumps(WRITE) + json.dumps(WRITE)),
        text(f'<tool_call>\n{{"name": "write_file", "arguments": {json.dumps(WRITE)}}}'),
        text(f'```json\n{{"name": "write_file", "arguments": {json.dumps(WRITE)}}}\n```'),
        text(
            "I write.\n<function=write_file>\n<parameter=content>\nx = 1\n\n</parameter>\n"
            "<parameter=file_path>\na.py\n</parameter>\n</function>"
        ),
    ],
)
def test_a_tolerable_answer_is_simply_run(hands: FakeHands, good: Script) -> None:
    agent = Agent(FakeEngine(good, DONE), hands, OPTIONS)
    assert ended(work(agent)).status == "done"
    assert hands.jail.files["a.py"] == b"x = 1\n"
    assert len(hands.log) == 1
    assert_whole(agent)


def test_after_two_corrections_a_call_is_forced_and_then_it_ends(hands: FakeHands) -> None:
    engine = FakeEngine(call("write_file", "{broken"))
    agent = Agent(engine, hands, OPTIONS)
    end = ended(work(agent))
    assert (end.status, end.message, end.turns) == ("stopped", loop.STUCK, 4)
    assert [r.tool_choice for r in engine.requests] == ["auto", "auto", "auto", "write_file"]
    assert engine.requests[3].sampling["temperature"] < 0.5
    assert_whole(agent)


def test_an_engine_that_cannot_force_is_asked_plainly(hands: FakeHands) -> None:
    bad = call("write_file", "{broken")
    engine = FakeEngine(bad, bad, bad, [EngineRefused("no tool_choice here")], DONE)
    assert ended(work(Agent(engine, hands, OPTIONS))).status == "done"
    assert engine.requests[4].tool_choice == "auto"


def test_a_good_call_forgives_bad_ones(hands: FakeHands) -> None:
    bad, good = call("nope", {}), call("read_file", {"file_path": "a.py"})
    engine = FakeEngine(bad, bad, good, bad, bad, good, DONE)
    assert ended(work(Agent(engine, hands, OPTIONS))).status == "done"


def test_good_calls_beside_a_bad_one_are_run(hands: FakeHands) -> None:
    engine = FakeEngine(calls(("nope", {}), ("write_file", WRITE)), DONE)
    agent = Agent(engine, hands, OPTIONS)
    assert ended(work(agent)).files_changed == ("a.py",)
    assert_whole(agent)


def test_a_loop_gets_a_note_and_then_an_end(hands: FakeHands) -> None:
    engine = FakeEngine(call("run_shell_command", {"command": "ls"}))
    agent = Agent(engine, hands, OPTIONS)
    end = ended(work(agent))
    assert end.status == "stopped"
    assert "repeats" in end.message
    assert len(hands.log) == 5
    results = [m.parts[0] for m in agent.messages if m.role == "tool"]
    assert "3 times" in getattr(results[2], "text", "")
    assert_whole(agent)


def test_a_loop_may_go_on_when_the_user_says_so(hands: FakeHands) -> None:
    script = [call("run_shell_command", {"command": "ls"})] * 6
    engine = FakeEngine(*script, DONE)

    def say_yes(agent: Agent, event: events.AgentEvent) -> None:
        if isinstance(event, events.Question):
            event.resolve(True)

    assert ended(work(Agent(engine, hands, OPTIONS), watch=say_yes)).status == "done"


def test_forty_steps_then_it_asks(hands: FakeHands) -> None:
    engine = FakeEngine(
        *[call("run_shell_command", {"command": f"echo {n}"}) for n in range(60)], DONE
    )
    counts = iter(range(1000))
    agent = Agent(
        engine,
        FakeHands(hands.jail.root, command=lambda c: ToolOutcome(str(next(counts)), exit_code=0)),
        OPTIONS,
    )
    end = ended(work(agent))
    assert (end.status, end.turns) == ("stopped", 40)


@pytest.mark.parametrize("error", [EngineDied("It died."), EngineUnreachable("Not there.")])
def test_an_engine_that_dies_is_asked_again(hands: FakeHands, error: Exception) -> None:
    engine = FakeEngine(
        call("read_file", {"file_path": "a.py"}), [TextDelta("I will no"), error], DONE
    )
    seen = work(Agent(engine, hands, OPTIONS))
    assert ended(seen).status == "done"
    kinds = [type(event) for event in seen]
    assert kinds.index(events.AnswerDiscarded) < kinds.index(events.WaitingForEngine)
    assert engine.requests[1] == engine.requests[2]


def test_an_engine_that_stays_away_is_a_failure_in_plain_words(hands: FakeHands) -> None:
    seen = work(Agent(FakeEngine([EngineUnreachable("Nothing answers.")]), hands, OPTIONS))
    assert (ended(seen).status, ended(seen).message) == ("failed", "Nothing answers.")


def test_an_engine_that_refuses_tools_gets_them_in_the_prompt(hands: FakeHands) -> None:
    engine = FakeEngine(
        [EngineRefused("this model does not support tools")],
        text(f'<tool_call>\n{{"name": "write_file", "arguments": {json.dumps(WRITE)}}}'),
        DONE,
    )
    seen = work(Agent(engine, hands, OPTIONS))
    assert ended(seen).files_changed == ("a.py",)
    assert engine.requests[1].tools == ()
    assert '"write_file"' in engine.requests[1].messages[0].text


def test_what_the_user_types_arrives_after_the_current_tool(hands: FakeHands) -> None:
    engine = FakeEngine(
        calls(("run_shell_command", {"command": "one"}), ("write_file", WRITE)), DONE
    )

    def say(agent: Agent, event: events.AgentEvent) -> None:
        if isinstance(event, events.CallOutput):
            agent.say("Do not write anything.")

    agent = Agent(engine, hands, OPTIONS)
    seen = work(agent, watch=say)
    assert engine.requests[1].messages[-1] == Message.of("user", "Do not write anything.")
    assert [made.name for made in hands.log] == ["run_shell_command"]
    assert any(isinstance(event, events.UserSaid) for event in seen)
    assert_whole(agent)


def test_a_denied_call_is_told_and_changes_nothing(tmp_path: Path) -> None:
    hands = FakeHands(tmp_path, {"a.py": "x = 0\n"}, mode=Mode.ASK)
    end = ended(work(Agent(FakeEngine(call("write_file", WRITE), DONE), hands, OPTIONS)))
    assert end.status == "done"
    assert end.files_changed == ()
    assert end.facts["denied"] == 1


@pytest.mark.parametrize(
    "moment",
    [
        events.RunStarted,
        events.StepStarted,
        events.Text,
        events.CallProposed,
        events.Approval,
        events.CallOutput,
        events.CallFinished,
        events.Question,
    ],
)
def test_stop_at_any_moment_ends_at_once_and_leaves_the_conversation_whole(
    tmp_path: Path, moment: type
) -> None:
    hands = FakeHands(tmp_path, {"a.py": "x = 0\n"}, mode=Mode.ASK, slow_s=5.0)
    slow: Script = [TextDelta("Thinking "), 0.01, TextDelta("hard."), *calls(
        ("write_file", WRITE), ("run_shell_command", {"command": "sleep"}), ("nope", {})
    )]  # fmt: skip
    engine = FakeEngine(slow)
    agent = Agent(engine, hands, AgentOptions(model="big-30b", max_steps=2))

    def stop(agent: Agent, event: events.AgentEvent) -> None:
        if isinstance(event, moment):
            agent.stop()
        elif isinstance(event, events.Approval):
            event.resolve(Answer("allow_once" if moment is not events.Question else "deny"))

    end = ended(work(agent, watch=stop))
    assert end.status == "stopped"
    assert end.seconds < 3
    assert_whole(agent)
    engine.scripts = (DONE,)
    assert ended(work(agent, "Go on.")).status == "done"


def test_closing_the_iterator_stops_everything(hands: FakeHands) -> None:
    engine = FakeEngine([TextDelta("a"), 30.0, *DONE])
    agent = Agent(engine, hands, OPTIONS)

    async def go() -> None:
        stream = agent.send("x")
        async for event in stream:
            if isinstance(event, events.Text):
                break
        await stream.aclose()
        assert engine.closed == 1

    asyncio.run(asyncio.wait_for(go(), 5))


def test_memory_is_tidied_at_three_quarters_as_a_continuation(hands: FakeHands) -> None:
    hands.jail.files["big.txt"] = b"word " * 900
    summary = "Goal: do it. Done: read big.txt. Found: it is full of words. Next: write a.py. " * 2
    engine = FakeEngine(
        call("read_file", {"file_path": "big.txt"}),
        text(summary),
        call("write_file", WRITE),
        DONE,
    )
    agent = Agent(engine, hands, OPTIONS, context_tokens=2000)
    seen = work(agent, "Do it in the way I said.")
    assert ended(seen).status == "done"
    asked, after = engine.requests[1], engine.requests[2]
    assert list(asked.messages[:-1])[: len(engine.requests[0].messages)] == list(
        engine.requests[0].messages
    )
    assert asked.tools == engine.requests[0].tools
    assert after.messages[0] == asked.messages[0]
    assert "Do it in the way I said." in after.messages[1].text
    assert summary.strip() in after.messages[1].text
    tidied = [event for event in seen if isinstance(event, events.TidyingMemory)]
    assert [event.done for event in tidied] == [False, True]
    assert tidied[1].after_tokens < tidied[1].before_tokens / 2


def test_a_full_context_is_tidied_and_asked_again(hands: FakeHands) -> None:
    hands.jail.files["big.txt"] = b"word " * 1500
    engine = FakeEngine(
        call("read_file", {"file_path": "big.txt"}),
        [ContextFull("Too long.")],
        [ContextFull("Too long.")],
        DONE,
    )
    seen = work(Agent(engine, hands, OPTIONS))
    assert ended(seen).status == "done"
    assert "read_file" in engine.requests[3].messages[1].text


def test_a_context_too_small_for_anything_ends_in_plain_words(hands: FakeHands) -> None:
    agent = Agent(FakeEngine([ContextFull("Too long.")]), hands, OPTIONS, context_tokens=300)
    end = ended(work(agent))
    assert end.status in ("failed", "stopped")
    assert "context" in end.message or "Too long" in end.message


def test_a_run_comes_back_after_a_crash(hands: FakeHands, tmp_path: Path) -> None:
    records = FileRunRecords(tmp_path / "runs")
    engine = FakeEngine(call("read_file", {"file_path": "a.py"}), [TextDelta("a"), 30.0])
    agent = Agent(engine, hands, OPTIONS, records=records)

    async def crash() -> None:
        async for event in agent.send("Task."):
            if isinstance(event, events.Text):
                return

    asyncio.run(crash())
    engine.scripts = (DONE,)

    async def again() -> Agent:
        (head,) = await records.unfinished(str(hands.workspace.root))
        back = await resume(head.run_id, records, engine, hands, options=OPTIONS)
        assert back is not None
        return back

    back = asyncio.run(again())
    before = engine.requests[1]
    assert ended(work(back, "Go on.")).status == "done"
    assert list(engine.requests[-1].messages[:-1]) == list(before.messages)


def test_todos_are_shown(hands: FakeHands) -> None:
    items = [{"content": "look", "status": "completed"}, {"content": "write", "status": "odd"}]
    engine = FakeEngine(call("todo_write", {"todos": items}), DONE)
    seen = work(Agent(engine, hands, OPTIONS))
    (shown,) = [event for event in seen if isinstance(event, events.TodosChanged)]
    assert [(item.content, item.status) for item in shown.items] == [
        ("look", "completed"),
        ("write", "pending"),
    ]


def test_calls_with_the_same_id_are_told_apart(hands: FakeHands) -> None:
    engine = FakeEngine(call("read_file", {"file_path": "a.py"}), call("write_file", WRITE), DONE)
    agent = Agent(engine, hands, OPTIONS)
    work(agent)
    ids = [made.call_id for message in agent.messages for made in message.tool_calls]
    assert len(set(ids)) == 2
    assert_whole(agent)


def test_a_runaway_of_calls_is_cut_at_eight(hands: FakeHands) -> None:
    many = calls(*[("read_file", {"file_path": f"{n}"}) for n in range(50)])
    work(Agent(FakeEngine(many, DONE), hands, OPTIONS))
    assert len(hands.log) == 8


def test_a_bug_ends_the_run_and_not_the_app(
    hands: FakeHands, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(command: str) -> ToolOutcome:
        raise RuntimeError("a bug")

    hands = FakeHands(hands.jail.root, command=broken)
    agent = Agent(FakeEngine(call("run_shell_command", {"command": "x"})), hands, OPTIONS)
    end = ended(work(agent))
    assert (end.status, "log" in end.message) == ("failed", True)
    assert "a bug" in caplog.text
    assert_whole(agent)
