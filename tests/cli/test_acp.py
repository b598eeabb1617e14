"""`garret acp` as an editor starts it: a child process spoken to over its stdin and stdout."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import acp
from acp import schema

from tests.agent.scenarios import BASE, CODE, DONE, FIXED, Reply
from tests.agent.test_acp import Editor
from tests.scripted_openai import ScriptedOpenAIServer

ROOT = Path(__file__).parents[2]
READ = Reply("", [("read_file", {"file_path": "calc.py"})])
EDIT = Reply(
    "I mend the sign.",
    [("edit", {"file_path": "calc.py", "old_string": "a - b", "new_string": "a + b"})],
)


async def in_an_editor(tmp_path: Path, base_url: str, editor: Editor) -> schema.PromptResponse:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "calc.py").write_text(BASE["calc.py"] if isinstance(BASE["calc.py"], str) else CODE)
    env = {**os.environ, "GARRET_HOME": str(tmp_path / "garret"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "app", "acp", "--base-url", base_url]
    async with acp.spawn_agent_process(
        lambda _agent: editor,  # type: ignore[arg-type,return-value]
        *command,
        env=env,
        cwd=tmp_path,
    ) as (agent, _process):
        hello = await agent.initialize(protocol_version=acp.PROTOCOL_VERSION)
        assert hello.agent_info is not None
        assert hello.agent_info.name == "garret"
        session = await agent.new_session(cwd=str(folder), mcp_servers=[])
        return await agent.prompt(
            session_id=session.session_id, prompt=[acp.text_block("Mend the bug.")]
        )


def test_an_editor_hosts_the_agent_and_decides(tmp_path: Path) -> None:
    editor = Editor("allow_once")
    with ScriptedOpenAIServer([READ, EDIT, DONE]) as server:
        done = asyncio.run(asyncio.wait_for(in_an_editor(tmp_path, server.base_url, editor), 90))
    assert done.stop_reason == "end_turn"
    assert (tmp_path / "project" / "calc.py").read_text() == FIXED
    (card, options) = editor.cards[0]
    assert options[0] == "deny"
    shown = card.content[0].content.text
    assert "-    return a - b" in shown
    assert "+    return a + b" in shown
    assert "I mend the sign." in shown
    finished = [u for u in editor.updates if u.session_update == "tool_call_update"][-1]
    assert finished.content[0].type == "diff"
    assert finished.content[0].new_text == FIXED


def test_an_editor_that_dismisses_the_card_denies(tmp_path: Path) -> None:
    with ScriptedOpenAIServer([READ, EDIT, DONE]) as server:
        asyncio.run(asyncio.wait_for(in_an_editor(tmp_path, server.base_url, Editor()), 90))
    assert (tmp_path / "project" / "calc.py").read_text() == CODE
