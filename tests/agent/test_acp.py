"""Garret's agent inside an editor, with the editor's side of the protocol played here."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import acp
import pytest
from acp import schema

from app.agent.acp import EditorAgent
from app.agent.agent import Agent
from app.agent.run import AgentOptions
from app.agent.types import Mode
from app.core.errors import WorkspaceError
from tests.agent.test_loop import DONE, WRITE, Script, call, calls
from tests.fake_hands import FakeHands
from tests.fakes import FakeEngine


class Editor:
    """Notes what it is shown; `choice` is the option it takes, None means dismissed."""

    def __init__(self, choice: str | None = None) -> None:
        self.choice = choice
        self.updates: list[Any] = []
        self.cards: list[Any] = []

    async def session_update(self, session_id: str, update: Any) -> None:
        self.updates.append(update)

    async def request_permission(
        self, session_id: str, tool_call: Any, options: list[Any]
    ) -> schema.RequestPermissionResponse:
        self.cards.append((tool_call, [option.option_id for option in options]))
        if self.choice is None:
            return schema.RequestPermissionResponse(
                outcome=schema.DeniedOutcome(outcome="cancelled")
            )
        return schema.RequestPermissionResponse(
            outcome=schema.AllowedOutcome(outcome="selected", option_id=self.choice)
        )

    def kinds(self) -> list[str]:
        return [update.session_update for update in self.updates]


def connected(tmp_path: Path, editor: Editor, *scripts: Script) -> tuple[EditorAgent, FakeHands]:
    hands = FakeHands(tmp_path, {"a.py": "x = 0\n"}, mode=Mode.ASK)

    async def open_agent(folder: Path, mode: Mode) -> Agent:
        if folder.name == "forbidden":
            raise WorkspaceError("This is your home folder.", "Choose another one.")
        return Agent(FakeEngine(*scripts), hands, AgentOptions("big-30b"))

    agent = EditorAgent(open_agent, "1.0")
    agent.on_connect(editor)  # type: ignore[arg-type]
    return agent, hands


async def prompt(agent: EditorAgent, text: str = "Do it.") -> str:
    session = await agent.new_session(cwd="/w", mcp_servers=[])
    block = acp.text_block(text)
    return (await agent.prompt(session_id=session.session_id, prompt=[block])).stop_reason


def test_it_introduces_itself_with_its_three_modes(tmp_path: Path) -> None:
    async def go() -> None:
        agent, _ = connected(tmp_path, Editor(), DONE)
        hello = await agent.initialize(protocol_version=1)
        assert hello.agent_info is not None
        assert (hello.protocol_version, hello.agent_info.name) == (1, "garret")
        session = await agent.new_session(cwd="/w")
        assert session.modes is not None
        assert [mode.id for mode in session.modes.available_modes] == ["look", "ask", "auto"]
        assert session.modes.current_mode_id == "ask"

    asyncio.run(go())


@pytest.mark.parametrize(
    ("choice", "written"),
    [("allow_once", True), ("deny", False), (None, False), ("allow_always", False), ("x", False)],
)
def test_an_edit_needs_the_editors_yes(tmp_path: Path, choice: str | None, written: bool) -> None:
    editor = Editor(choice)
    agent, hands = connected(tmp_path, editor, call("write_file", WRITE, "I write."), DONE)
    assert asyncio.run(prompt(agent)) == "end_turn"
    assert (hands.jail.files["a.py"] == b"x = 1\n") is written
    assert editor.cards[0][1][0] == "deny"
    assert editor.kinds()[0] == "agent_message_chunk"
    assert "tool_call" in editor.kinds()
    last = [u for u in editor.updates if u.session_update == "tool_call_update"][-1]
    assert last.status == ("completed" if written else "failed")


def test_todos_become_a_plan(tmp_path: Path) -> None:
    editor = Editor()
    todos = {"todos": [{"content": "look", "status": "in_progress"}]}
    agent, _ = connected(tmp_path, editor, call("todo_write", todos), DONE)
    asyncio.run(prompt(agent))
    (plan,) = [u for u in editor.updates if u.session_update == "plan"]
    assert [(entry.content, entry.status) for entry in plan.entries] == [("look", "in_progress")]


def test_cancel_ends_the_turn(tmp_path: Path) -> None:
    editor = Editor("allow_once")
    slow: Script = [*calls(("run_shell_command", {"command": "sleep"}))[:-1], 30.0]
    agent, _ = connected(tmp_path, editor, slow)

    async def go() -> str:
        session = await agent.new_session(cwd="/w")
        turn = asyncio.create_task(
            agent.prompt(session_id=session.session_id, prompt=[acp.text_block("x")])
        )
        await asyncio.sleep(0.05)
        await agent.cancel(session_id=session.session_id)
        return (await asyncio.wait_for(turn, 5)).stop_reason

    assert asyncio.run(go()) == "cancelled"


def test_a_forbidden_folder_and_an_unknown_session_are_errors(tmp_path: Path) -> None:
    async def go() -> None:
        agent, _ = connected(tmp_path, Editor(), DONE)
        with pytest.raises(acp.RequestError, match="home folder"):
            await agent.new_session(cwd="/x/forbidden")
        with pytest.raises(acp.RequestError):
            await agent.prompt(session_id="none", prompt=[])
        session = await agent.new_session(cwd="/w")
        with pytest.raises(acp.RequestError):
            await agent.set_session_mode(session_id=session.session_id, mode_id="yolo")

    asyncio.run(go())


def test_the_mode_can_be_changed(tmp_path: Path) -> None:
    async def go() -> None:
        agent, hands = connected(tmp_path, Editor(), DONE)
        session = await agent.new_session(cwd="/w")
        await agent.set_session_mode(session_id=session.session_id, mode_id="look")
        assert hands.mode is Mode.LOOK

    asyncio.run(go())
