from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.agent.arguments import decode
from app.agent.hands import ToolBox
from app.agent.tools.grep_search import GrepSearch
from app.agent.types import Answer, Hands, Mode, ToolError
from app.core.messages import ToolCallPart
from tests.agent.hands_kit import Rig, no_sandbox, proven_sandbox

CODE = "def a():\n    return 1\n\n\ndef b():\n    return 2\n"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def run(rig: Rig, *calls: tuple[str, dict[str, object]]):  # type: ignore[no-untyped-def]
    """The outcomes of these calls, in one loop; the rig is closed after."""

    async def all_calls():  # type: ignore[no-untyped-def]
        try:
            return [await rig.call(name, **arguments) for name, arguments in calls]
        finally:
            await rig.close()

    return asyncio.run(all_calls())


def test_the_hands_fit_the_seam(rig: Rig) -> None:
    hands: Hands = rig.hands
    assert [spec.name for spec in hands.specs()] == [
        "read_file", "list_directory", "glob", "grep_search", "edit", "write_file",
        "run_shell_command", "todo_write",
    ]  # fmt: skip
    run(rig)


# Arguments


def _decoded(rig: Rig, tool: str, text: str) -> dict[str, object]:
    spec = next(spec for spec in rig.hands.specs() if spec.name == tool)
    return decode(spec, text)


def test_aliases_and_extra_parameters(rig: Rig) -> None:
    assert _decoded(rig, "edit", '{"filePath": "a", "old_str": "b", "newText": "c", "x": 1}') == {
        "file_path": "a", "old_string": "b", "new_string": "c",
    }  # fmt: skip
    assert _decoded(rig, "list_directory", '{"directory": "src"}') == {"path": "src"}
    assert _decoded(rig, "grep_search", '{"query": "x", "include": "*.py"}') == {
        "pattern": "x", "glob": "*.py",
    }  # fmt: skip


def test_of_duplicates_the_first_wins_unless_it_is_empty(rig: Rig) -> None:
    assert _decoded(rig, "read_file", '{"file_path": "a", "file_path": "b"}')["file_path"] == "a"
    assert _decoded(rig, "read_file", '{"file_path": "", "path": "b"}')["file_path"] == "b"


def test_strings_stay_strings_and_numbers_are_read(rig: Rig) -> None:
    written = _decoded(rig, "write_file", '{"file_path": "a.json", "content": "null"}')
    assert written["content"] == "null"
    parsed = _decoded(rig, "write_file", '{"file_path": "a.json", "content": {"a": [1, true]}}')
    assert json.loads(str(parsed["content"])) == {"a": [1, True]}
    assert _decoded(rig, "read_file", '{"path": "a", "limit": "20"}')["limit"] == 20
    assert _decoded(
        rig, "edit", '{"path": "a", "old": "x", "new": "y", "replace_all": "true"}'
    )["replace_all"] is True  # fmt: skip
    assert _decoded(rig, "todo_write", '{"todos": "[{\\"content\\": \\"a\\"}]"}')["todos"]


@pytest.mark.parametrize("text", ["", "{", "[1]", "3", '"x"', '{"limit": 3}', "{" * 5000])
def test_bad_arguments_are_explained(rig: Rig, text: str) -> None:
    with pytest.raises(ToolError):
        _decoded(rig, "read_file", text)


def test_unknown_tools_get_a_suggestion(rig: Rig) -> None:
    (near, alias) = run(rig, ("read_fil", {"file_path": "x"}), ("bash", {"command": "echo hi"}))
    assert near.is_error
    assert "read_file" in near.text
    assert "hi" in alias.text


# Reading


def test_read_file_numbers_lines_and_says_how_to_go_on(rig: Rig) -> None:
    rig.write("long.txt", "".join(f"line {n}\n" for n in range(1, 1001)))
    first, second = run(
        rig,
        ("read_file", {"file_path": "long.txt"}),
        ("read_file", {"file_path": "long.txt", "offset": 990}),
    )
    assert first.text.startswith("     1\tline 1\n")
    assert "of 1000; go on with offset=401)" in first.text
    assert second.text.splitlines()[-1] == "  1000\tline 1000"


def test_a_huge_line_a_binary_and_an_empty_file(rig: Rig) -> None:
    rig.write("one.txt", "x" * 1_000_000)
    rig.write("bin", b"\x00\x01" * 100)
    rig.write("empty.txt", "")
    line, binary, empty = run(
        rig, *(("read_file", {"file_path": name}) for name in ("one.txt", "bin", "empty.txt"))
    )
    assert len(line.text) < 3000
    assert "1,000,000 characters" in line.text
    assert "binary" in binary.text
    assert "empty" in empty.text


def test_a_missing_file_gets_near_names(rig: Rig) -> None:
    rig.write("src/config_loader.py", "x")
    (outcome,) = run(rig, ("read_file", {"file_path": "config_loader.py"}))
    assert outcome.is_error
    assert "src/config_loader.py" in outcome.text


def test_lists_globs_and_searches_respect_gitignore(rig: Rig) -> None:
    rig.write(".gitignore", "*.log\nbuild/\n!keep.log\n")
    for name in ("a.py", "x.log", "keep.log", "build/b.py", "node_modules/m.py", "src/c.py"):
        rig.write(name, "needle\n")
    listing, globbed, found = run(
        rig,
        ("list_directory", {}),
        ("glob", {"pattern": "**/*.{py,log}"}),
        ("grep_search", {"pattern": "needle"}),
    )
    assert listing.text.splitlines()[0] == "build/"
    assert sorted(globbed.text.split()) == ["a.py", "keep.log", "src/c.py"]
    for name in ("a.py:1:needle", "keep.log:1:needle", "src/c.py:1:needle"):
        assert name in found.text
    assert "build" not in found.text
    assert "x.log" not in found.text


@pytest.mark.parametrize("ripgrep", ["", None], ids=["ripgrep", "own"])
def test_both_searches_agree(rig: Rig, ripgrep: str | None) -> None:
    rig.write("a.py", "def Foo():\n    pass\n\nfoo = 1\n")
    rig.write("b.txt", "foo\n")
    rig.write(".env", "foo=secret\n")
    rig.write("bin", b"\x00foo")
    rig.write("big.txt", "foo\n" * 500)
    search = GrepSearch(rig.hands._services, ripgrep)
    rig.hands._tools["grep_search"] = search
    by_glob, smart, limited, bad = run(
        rig,
        ("grep_search", {"pattern": "foo", "glob": "*.py"}),
        ("grep_search", {"pattern": "Foo"}),
        ("grep_search", {"pattern": "foo", "path": "big.txt", "limit": 5}),
        ("grep_search", {"pattern": "(", "path": "a.py"}),
    )
    assert by_glob.text.splitlines() == ["a.py:1:def Foo():", "a.py:4:foo = 1"]
    assert smart.text.splitlines() == ["a.py:1:def Foo():"]
    assert len(limited.text.splitlines()) == 6
    assert "def Foo():" in bad.text
    assert "secret" not in by_glob.text + smart.text + limited.text + bad.text


def test_a_catastrophic_pattern_ends_soon(rig: Rig) -> None:
    rig.write("a.txt", "a" * 40 + "!\n")
    rig.hands._tools["grep_search"] = GrepSearch(rig.hands._services, None)
    (outcome,) = run(rig, ("grep_search", {"pattern": "(a+)+$"}))
    assert "plain text" in outcome.text


# Editing


def test_an_edit_keeps_encoding_mark_line_ends_and_mode(rig: Rig) -> None:
    place = rig.write("a.txt", "\ufeffeins\r\nzwei\r\n".encode("utf-16"))
    place.chmod(0o755)
    before = place.read_bytes()
    (_, outcome) = run(
        rig,
        ("read_file", {"file_path": "a.txt"}),
        ("edit", {"file_path": "a.txt", "old_string": "zwei\n", "new_string": "drei\nvier\n"}),
    )
    assert not outcome.is_error, outcome.text
    assert place.read_bytes() == before.replace(
        "zwei\r\n".encode("utf-16-le"), "drei\r\nvier\r\n".encode("utf-16-le")
    )
    assert place.stat().st_mode & 0o777 == 0o755
    assert outcome.changes[0].kind == "modified"


def test_a_failed_edit_shows_the_closest_lines_and_escalates(rig: Rig) -> None:
    rig.write("a.py", CODE)
    wrong = ("edit", {"file_path": "a.py", "old_string": "    return 3\n", "new_string": "x"})
    outcomes = run(rig, ("read_file", {"file_path": "a.py"}), wrong, wrong, wrong)
    assert "closest lines" in outcomes[1].text
    assert "return 2" in outcomes[1].text
    assert "write_file" in outcomes[2].text
    assert "tell the user" in outcomes[3].text
    assert rig.read("a.py") == CODE


def test_an_edit_sent_twice_is_recognised(rig: Rig) -> None:
    rig.write("a.py", CODE)
    edit = ("edit", {"file_path": "a.py", "old_string": "return 1", "new_string": "return 7"})
    _, again = run(rig, edit, edit)
    assert "already applied" in again.text


def test_a_stale_file_is_told(rig: Rig) -> None:
    rig.write("a.py", CODE)

    async def scenario() -> None:
        await rig.call("read_file", file_path="a.py")
        rig.write("a.py", CODE + "# mine\n")
        fits = await rig.call(
            "edit", file_path="a.py", old_string="return 1", new_string="return 9"
        )
        assert "changed since you read it" in fits.text
        assert rig.read("a.py").endswith("# mine\n")
        await rig.close()

    asyncio.run(scenario())


def test_a_broken_parse_is_reported_at_once(rig: Rig) -> None:
    rig.write("a.py", CODE)
    (outcome,) = run(
        rig, ("edit", {"file_path": "a.py", "old_string": "return 1", "new_string": "return ("})
    )
    assert "no longer parses" in outcome.text


def test_write_file_needs_a_read_and_refuses_holes_and_emptiness(rig: Rig) -> None:
    rig.write("a.py", CODE)
    unread, _, hole, empty, same, good = run(
        rig,
        ("write_file", {"file_path": "a.py", "content": "x = 1"}),
        ("read_file", {"file_path": "a.py"}),
        ("write_file", {"file_path": "a.py", "content": "def a():\n    # ... rest of code ...\n"}),
        ("write_file", {"file_path": "a.py", "content": ""}),
        ("write_file", {"file_path": "a.py", "content": CODE}),
        ("write_file", {"file_path": "a.py", "content": "x = 1"}),
    )
    assert all(outcome.is_error for outcome in (unread, hole, empty, same))
    assert not good.is_error
    assert rig.read("a.py") == "x = 1\n"


def test_binary_files_and_lone_surrogates_are_refused(rig: Rig) -> None:
    rig.write("b.bin", b"\x00\x01")
    _, edit, write = run(
        rig,
        ("read_file", {"file_path": "b.bin"}),
        ("edit", {"file_path": "b.bin", "old_string": "a", "new_string": "b"}),
        ("write_file", {"file_path": "b.bin", "content": "b"}),
    )
    assert edit.is_error
    assert write.is_error

    other = Rig(rig.root.parent)
    try:
        (odd,) = run(other, ("write_file", {"file_path": "odd.txt", "content": "a\ud800b"}))
        assert (other.root / "odd.txt").read_bytes() == b"a?b\n"
        assert not odd.is_error
    finally:
        (other.root / "odd.txt").unlink()


def test_look_mode_changes_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Mode.LOOK)
    rig.write("a.py", CODE)
    rig.person.answer = "allow_once"
    read, *refused = run(
        rig,
        ("read_file", {"file_path": "a.py"}),
        ("edit", {"file_path": "a.py", "old_string": "1", "new_string": "9"}),
        ("write_file", {"file_path": "n.py", "content": "x"}),
        ("run_shell_command", {"command": "touch x"}),
    )
    assert not read.is_error
    assert all(outcome.denied for outcome in refused)
    assert rig.person.cards == []
    assert sorted(path.name for path in rig.root.iterdir()) == ["a.py"]


def test_ask_mode_shows_the_diff_and_takes_no_for_an_answer(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Mode.ASK)
    rig.write("a.py", CODE)
    (outcome,) = run(
        rig, ("edit", {"file_path": "a.py", "old_string": "return 1", "new_string": "return 9"})
    )
    assert outcome.denied
    (card,) = rig.person.cards
    assert "-    return 1\n+    return 9" in card.diff
    assert card.why == "Because the user asked."
    assert rig.read("a.py") == CODE


# Commands


def test_a_command_reports_output_exit_code_and_changes(rig: Rig) -> None:
    command = "echo out; echo err >&2; echo x > new; false"
    (outcome,) = run(rig, ("run_shell_command", {"command": command}))
    assert outcome.exit_code == 1
    assert "out\nerr" in outcome.text
    assert [change.path for change in outcome.changes] == ["new"]


def test_long_output_is_clipped_once_and_stays_readable(rig: Rig) -> None:
    async def scenario() -> None:
        outcome = await rig.call("run_shell_command", command="seq 1 20000")
        assert len(outcome.text) <= 10_000
        assert outcome.text.startswith("1\n2\n")
        assert "20000" in outcome.text[-40:]
        name = outcome.text.split("read_file ")[1].split()[0]
        rest = await rig.call("read_file", file_path=name, offset=9000, limit=2)
        assert rest.text.startswith("  9000\t9000\n")
        await rig.close()

    asyncio.run(scenario())


def test_stop_ends_the_command_and_all_it_started(rig: Rig) -> None:
    async def scenario() -> None:
        cancel = asyncio.Event()
        call = asyncio.create_task(
            rig.call(
                "run_shell_command", cancel, command="sleep 987 | (sleep 986; echo no) ; echo x"
            )
        )
        await asyncio.sleep(1.0)
        cancel.set()
        outcome = await asyncio.wait_for(call, 10)
        assert outcome.stopped
        await rig.close()

    asyncio.run(scenario())
    assert not [line for line in _command_lines() if "sleep 987" in line or "sleep 986" in line]


def _command_lines() -> list[str]:
    return [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])]


def test_a_time_limit_and_an_output_limit(rig: Rig) -> None:
    rig.hands._room.limits = type(rig.hands._room.limits)(output_bytes=200_000)
    timed, flood = run(
        rig,
        ("run_shell_command", {"command": "sleep 60", "timeout": 1}),
        ("run_shell_command", {"command": "yes"}),
    )
    assert "time limit" in timed.text
    assert "wrote too much" in flood.text


@pytest.mark.parametrize("sandboxed", [True, False])
def test_the_child_sees_no_secrets_and_no_keyboard(tmp_path: Path, sandboxed: bool) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "HF_TOKEN": "x", "QT_X": "1"}
    rig = Rig(tmp_path, sandbox=proven_sandbox() if sandboxed else no_sandbox(), environ=environ)
    rig.person.answer = "allow_once"
    (outcome,) = run(rig, ("run_shell_command", {"command": "env; cat; echo $PAGER $CI"}))
    assert "HF_TOKEN" not in outcome.text
    assert "QT_X" not in outcome.text
    assert "cat 1" in outcome.text
    assert outcome.exit_code == 0


def test_always_allow_is_remembered_for_the_simple_command_only(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Mode.ASK)
    if not rig.hands.sandbox.proven:
        pytest.skip(rig.hands.sandbox.sentence)

    async def scenario() -> None:
        rig.person.answer = "allow_always"
        await rig.call("run_shell_command", command="ls -la")
        rig.person.answer = "deny"
        free = await rig.call("run_shell_command", command="ls")
        assert free.decision is not None
        assert free.decision.rule == "allow rule"
        for command in ("ls > f", "env ls", "ls; rm -r x", "ls $(id)"):
            assert (await rig.call("run_shell_command", command=command)).denied, command
        await rig.close()

    asyncio.run(scenario())


class _Swapper:
    """Says yes, and changes the script while the card is open."""

    def __init__(self, script: Path) -> None:
        self.script = script

    async def ask(self, request, reason):  # type: ignore[no-untyped-def]
        self.script.write_text("echo swapped\n")
        return Answer("allow_once")


def test_a_script_swapped_behind_the_card_does_not_run(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Mode.ASK)
    script = rig.write("t.sh", "echo shown\n")
    rig.person = _Swapper(script)  # type: ignore[assignment]
    (outcome,) = run(rig, ("run_shell_command", {"command": "sh t.sh"}))
    assert outcome.is_error
    assert "swapped" not in outcome.text
    assert "changed since it was shown" in outcome.text


def test_a_file_changed_behind_the_card_is_not_overwritten(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Mode.ASK)
    place = rig.write("t.sh", "echo shown\n")
    rig.person = _Swapper(place)  # type: ignore[assignment]
    (outcome,) = run(
        rig, ("edit", {"file_path": "t.sh", "old_string": "echo", "new_string": "print"})
    )
    assert outcome.is_error
    assert place.read_text() == "echo swapped\n"


def test_stop_closes_an_open_card(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Mode.ASK)

    class Silent:
        async def ask(self, request, reason):  # type: ignore[no-untyped-def]
            await asyncio.Event().wait()

    rig.person = Silent()  # type: ignore[assignment]

    async def scenario() -> None:
        cancel = asyncio.Event()
        call = asyncio.create_task(rig.call("write_file", cancel, file_path="a", content="x"))
        await asyncio.sleep(0.2)
        cancel.set()
        assert (await asyncio.wait_for(call, 5)).denied
        await rig.close()

    asyncio.run(scenario())
    assert list(rig.root.iterdir()) == []


def test_the_checklist(rig: Rig) -> None:
    todos = [{"content": "one", "status": "completed"}, {"content": "two", "status": "doing"}]
    (outcome,) = run(rig, ("todo_write", {"todos": todos}))
    assert outcome.text == "[x] one\n[ ] two"
    assert [todo.content for todo in rig.hands.todos.items] == ["one", "two"]


def test_summaries_accept_anything(rig: Rig) -> None:
    box: ToolBox = rig.hands
    for spec in box.specs():
        for arguments in ("", "{", "null", '{"todos": 3}', '{"command": [1]}', '{"file_path": {}}'):
            assert box.summary(ToolCallPart("c", spec.name, arguments))
    run(rig)


def test_a_place_outside_is_readable_once_the_command_was_allowed(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    if not rig.hands.sandbox.proven:
        pytest.skip(rig.hands.sandbox.sentence)
    (tmp_path / "notes.txt").write_text("from outside")
    (tmp_path / "other.txt").write_text("not named")
    rig.person.answer = "allow_once"
    named, hidden, written = run(
        rig,
        ("run_shell_command", {"command": "cat ../notes.txt"}),
        ("run_shell_command", {"command": "cat ../notes.txt; cd ..; cat oth*"}),
        ("run_shell_command", {"command": "echo x >> ../notes.txt"}),
    )
    assert "from outside" in named.text
    assert len(rig.person.cards) == 3
    assert "not named" not in hidden.text
    assert written.exit_code != 0
    assert (tmp_path / "notes.txt").read_text() == "from outside"


def test_a_command_that_asks_for_the_network_is_asked(rig: Rig) -> None:
    (outcome,) = run(rig, ("run_shell_command", {"command": "make get", "network": True}))
    assert outcome.denied
    assert rig.person.cards[0].network


def test_a_command_without_network_is_told_how_to_get_it(rig: Rig) -> None:
    if not rig.hands.sandbox.proven:
        pytest.skip(rig.hands.sandbox.sentence)
    rig.write("get.py", "import socket\nsocket.create_connection(('127.0.0.1', 9))\n")
    (outcome,) = run(rig, ("run_shell_command", {"command": "python3 get.py"}))
    assert "call again with network" in outcome.text


_ODD = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", ".", "..", "a.py", "src", "pipe", "\ud800", "a\0b", "~", "/", "(", "**"]),
    st.none(),
    st.booleans(),
    st.integers(-5, 10**18),
    st.floats(),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)  # fmt: skip
_NAMES = ("read_file", "list_directory", "glob", "grep_search", "edit", "write_file", "todo_write")
_KEYS = st.sampled_from(
    [
        "file_path",
        "path",
        "pattern",
        "glob",
        "limit",
        "offset",
        "old_string",
        "new_string",
        "content",
        "replace_all",
        "todos",
    ]
)


def test_no_arguments_make_the_hands_raise(rig: Rig) -> None:
    rig.write("a.py", CODE)
    rig.write("src/b.py", CODE)
    os.mkfifo(rig.root / "pipe")

    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        @given(st.sampled_from(_NAMES), st.dictionaries(_KEYS, _ODD, max_size=5))
        @settings(max_examples=150, deadline=None)
        def any_call(name: str, arguments: dict[str, object]) -> None:
            call = rig.call(name, **arguments)
            asyncio.run_coroutine_threadsafe(call, loop).result(30)

        await asyncio.to_thread(any_call)
        for command in ("echo \ud800", "echo \udcff", "a\0b", "", " "):
            await rig.call("run_shell_command", command=command)
        await rig.close()

    asyncio.run(scenario())
    assert sorted(path.name for path in rig.root.parent.iterdir()) == ["garret", "work"]
