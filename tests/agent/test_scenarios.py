"""`garret agent --base-url` from the outside: scripted engine, real tools, real folder.

Every scenario states the whole tree it must leave, so a stray change fails it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from app.cli.agent import main
from tests.agent.scenarios import BASE, DONE, SCENARIOS, Scenario, Tree, read, run
from tests.scripted_openai import Reply, ScriptedOpenAIServer


def make_tree(folder: Path, tree: Tree) -> None:
    for name, content in tree.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def read_tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GARRET_HOME", str(tmp_path / "garret"))
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def garret(server: ScriptedOpenAIServer, folder: Path, *more: str) -> list[str]:
    where = ["--workspace", str(folder), "--base-url", server.base_url, "--json"]
    return [*where, *more, "Mend the bug."]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_tree(folder, scenario.tree)
    seed = len(scenario.name)
    with ScriptedOpenAIServer(
        scenario.replies, seed=seed, repeat_last=scenario.repeat_last
    ) as server:
        code = main(garret(server, folder, "--mode", scenario.mode, *scenario.more))
        requests = server.requests
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    last = lines[-1]
    assert (last["status"], code) == (
        scenario.status,
        {"done": 0, "stopped": 2, "failed": 1}[scenario.status],
    ), last["message"]
    expected = {**scenario.tree, **scenario.changed}
    assert read_tree(folder) == {
        name: content if isinstance(content, bytes) else content.encode()
        for name, content in expected.items()
    }
    assert last["files_changed"] == sorted(scenario.changed)
    assert last["turns"] >= 1
    told = json.dumps([request["messages"] for request in requests], ensure_ascii=False)
    assert scenario.said.lower() in told.lower().replace("\\n", "\n").replace('\\"', '"')


def test_a_warm_run_reads_every_token_once(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_tree(folder, BASE)
    steps = [run(f"echo {number}; seq {number * 7}") for number in range(30)]
    with ScriptedOpenAIServer([*steps, DONE]) as server:
        assert main(garret(server, folder, "--mode", "auto")) == 0
        final = json.dumps([server.requests[-1]["tools"], server.requests[-1]["messages"]])
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["turns"] == 31
    assert last["tokens_evaluated"] <= 1.05 * len(final) / 4
    assert last["tokens_reused"] > 10 * last["tokens_evaluated"]


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        (Reply("word " * 400, pause_s=0.05), signal.SIGINT),
        (run("sleep 60"), signal.SIGTERM),
        (Reply(away_s=60), signal.SIGINT),
    ],
)
def test_a_signal_stops_the_run_in_good_order(
    folder: Path, reply: Reply, number: signal.Signals
) -> None:
    make_tree(folder, BASE)
    asked = threading.Event()
    with ScriptedOpenAIServer([reply, DONE], on_request=lambda n: asked.set()) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "agent", *garret(server, folder, "--mode", "auto")],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ},
        )
        assert asked.wait(30)
        time.sleep(0.3)
        process.send_signal(number)
        out, _ = process.communicate(timeout=10)
    last = json.loads(out.splitlines()[-1])
    assert (process.returncode, last["status"]) == (2, "stopped")
    assert read_tree(folder) == {name: content.encode() for name, content in BASE.items()}  # type: ignore[union-attr]


def test_an_interrupted_run_goes_on_where_it_was(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_tree(folder, BASE)
    with ScriptedOpenAIServer([read(), Reply("word " * 200, pause_s=0.05), DONE]) as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "agent", *garret(server, folder, "--mode", "auto")],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = []
        while not any('"number": 2' in line for line in lines):
            lines.append(process.stdout.readline())
        process.kill()
        process.communicate()
        run_id = json.loads(lines[0])["run"]
        assert main(garret(server, folder, "--mode", "auto", "--resume", run_id)) == 0
        before, after = server.requests[1]["messages"], server.requests[2]["messages"]
    assert after[: len(before)] == before
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["status"] == "done"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--workspace", "/no/such/folder", "--base-url", "http://127.0.0.1:9"],
        ["--workspace", "/", "--base-url", "http://127.0.0.1:9"],
        ["--workspace", "{folder}", "--base-url", "http://127.0.0.1:9"],
    ],
)
def test_a_run_that_cannot_begin_says_so_in_its_last_line(
    folder: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    argv = [part.replace("{folder}", str(folder)) for part in arguments]
    assert main([*argv, "--json", "Task."]) == 1
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["status"] == "failed"
    assert last["message"].endswith(".")


def test_tools_of_mcp_servers_come_from_our_settings_and_never_from_the_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = Path(__file__).with_name("mcp_echo_server.py")
    entry = {"command": sys.executable, "args": [str(script)]}
    evil = json.dumps({"mcpServers": {"evil": entry}})
    make_tree(folder, {**BASE, ".mcp.json": evil, "mcp.json": evil})
    (tmp_path / "garret" / "config").mkdir(parents=True)
    ours = tmp_path / "garret" / "config" / "mcp.json"
    ours.write_text(json.dumps({"mcpServers": {"mine": entry}}))
    shout = Reply("", [("mine__shout", {"text": "hello"})])
    with ScriptedOpenAIServer([shout, DONE]) as server:
        assert main(garret(server, folder, "--mode", "auto")) == 0
        names = [tool["function"]["name"] for tool in server.requests[0]["tools"]]
        answer = server.requests[1]["messages"][-1]["content"]
    assert "mine__shout" in names
    assert not [name for name in names if "evil" in name]
    assert "HELLO" not in answer  # hands-free is not for what acts outside Garret
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["answer"] for line in lines if line["type"] == "approval"] == ["deny"]
