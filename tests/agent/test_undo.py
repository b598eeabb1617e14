from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.agent.undo.blobs import Blobs, digest_of
from app.agent.undo.journal import Journal
from app.agent.undo.log import Caps, UndoStore
from app.agent.undo.merge import merge
from app.agent.undo.state import ABSENT, State
from app.agent.workspace import Workspace
from app.core.errors import WorkspaceError
from scripts.soak_undo import faults_of, picture


class Bench:
    """A folder with an undo store, an agent and a user."""

    def __init__(self, tmp_path: Path, caps: Caps | None = None, quota: int = 1 << 30) -> None:
        self.tmp_path = tmp_path
        self.root = tmp_path / "work"
        self.root.mkdir(exist_ok=True)
        self.workspace = Workspace(self.root)
        self.store = UndoStore(tmp_path / "undo", self.workspace, caps, quota)
        self.store.begin_turn("run", 1)

    def user(self, path: str, text: str) -> Path:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return place

    def agent(self, path: str, text: str, call: str = "c1") -> None:
        place = self.root / path
        expected = digest_of(place.read_bytes()) if place.exists() else None
        self.store.write(call, path, text.encode(), expected)

    def command(self, text: str, call: str = "c1") -> list[str]:
        before = self.store.before_command()
        subprocess.run(["/bin/sh", "-c", text], cwd=self.root, check=True)
        changes = self.store.record(call, before, self.store.look_after(before))
        return [f"{change.kind} {change.path}" for change in changes]

    def again(self) -> Bench:
        """The same folder after a restart of the app."""
        self.store.close()
        return Bench(self.tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(3))  # scripts/soak_undo.py runs hundreds
def test_random_runs_leave_the_tree_as_it_was(block: int) -> None:
    for seed in range(1 + block * 10, 11 + block * 10):
        assert faults_of(seed, with_user=seed % 2 == 0) == []


def test_what_a_command_did_is_named_and_undone(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.user("keep.txt", "keep")
    bench.user("gone.txt", "gone")
    bench.user("sub/deep.txt", "deep")
    before = picture(bench.root)
    changes = bench.command("rm gone.txt; echo more >> keep.txt; mkdir n; echo x > n/x; mv sub s2")
    assert changes == [
        "deleted gone.txt", "modified keep.txt", "created n/x", "created s2/deep.txt",
        "deleted sub/deep.txt",
    ]  # fmt: skip
    report = bench.store.undo_run("run")
    assert report.conflicts == ()
    assert picture(bench.root) == before
    bench.store.redo("run")
    assert (bench.root / "n/x").read_text() == "x\n"
    assert not (bench.root / "gone.txt").exists()


def test_a_file_the_user_made_in_the_agents_folder_stays(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.agent("made/by_agent.txt", "x")
    bench.user("made/by_user.txt", "mine")
    bench.store.undo_run("run")
    assert not (bench.root / "made/by_agent.txt").exists()
    assert (bench.root / "made/by_user.txt").read_text() == "mine"


def test_a_created_file_the_user_changed_is_not_deleted(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.agent("new.txt", "agent")
    bench.user("new.txt", "user")
    report = bench.store.undo_run("run")
    assert [conflict.path for conflict in report.conflicts] == ["new.txt"]
    assert (bench.root / "new.txt").read_text() == "user"


def test_both_changed_different_lines_and_both_survive(tmp_path: Path) -> None:
    lines = [f"line {number}\n" for number in range(20)]
    bench = Bench(tmp_path)
    bench.user("a.txt", "".join(lines))
    bench.agent("a.txt", "".join(["AGENT\n", *lines[1:]]))
    bench.user("a.txt", "".join(["AGENT\n", *lines[1:-1], "USER\n"]))
    report = bench.store.undo_run("run")
    assert report.merged == ("a.txt",)
    assert (bench.root / "a.txt").read_text() == "".join([*lines[:-1], "USER\n"])


def test_the_same_line_is_a_question_not_a_guess(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.user("a.txt", "one\ntwo\n")
    bench.agent("a.txt", "AGENT\ntwo\n")
    bench.user("a.txt", "USER\ntwo\n")
    report = bench.store.undo_run("run")
    assert report.conflicts
    assert (bench.root / "a.txt").read_text() == "USER\ntwo\n"


def test_an_edit_of_the_users_between_two_calls_is_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.user("a.txt", "".join(f"{n}\n" for n in range(9)))
    bench.agent("a.txt", (bench.root / "a.txt").read_text().replace("0\n", "AGENT 1\n"), "c1")
    bench.user("a.txt", (bench.root / "a.txt").read_text().replace("4\n", "USER\n"))
    bench.agent("a.txt", (bench.root / "a.txt").read_text().replace("8\n", "AGENT 2\n"), "c2")
    bench.store.undo_run("run")
    assert (bench.root / "a.txt").read_text() == "0\n1\n2\n3\nUSER\n5\n6\n7\n8\n"


def test_one_call_one_turn_one_file(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for name in ("a", "b", "c"):
        bench.user(name, "0")
    bench.agent("a", "1", "c1")
    bench.store.begin_turn("run", 2)
    bench.agent("b", "1", "c2")
    bench.agent("c", "1", "c3")
    bench.store.undo_call("run", "c3")
    assert [(bench.root / name).read_text() for name in "abc"] == ["1", "1", "0"]
    bench.store.undo_turn("run", 2)
    assert [(bench.root / name).read_text() for name in "abc"] == ["1", "0", "0"]
    bench.store.undo_file("run", "a")
    assert [(bench.root / name).read_text() for name in "abc"] == ["0", "0", "0"]
    assert bench.store.changes("run") == ()
    for _ in range(3):
        bench.store.redo("run")
    assert [(bench.root / name).read_text() for name in "abc"] == ["1", "1", "1"]


def test_undo_works_after_a_restart(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.user("a", "before")
    bench.agent("a", "after")
    bench.command("echo x > b; chmod 700 a")
    again = bench.again()
    assert {change.path for change in again.store.changes("run")} == {"a", "b"}
    again.store.undo_run("run")
    assert (again.root / "a").read_text() == "before"
    assert not (again.root / "b").exists()


def test_a_crash_between_record_and_write_costs_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.user("a", "before")
    after = State("file", bench.store.blobs.put(b"after"), 0o644, "", 5)
    before = State("file", bench.store.blobs.put(b"before"), (bench.root / "a").stat().st_mode & 0o777, "", 6)  # fmt: skip # noqa: E501
    bench.store._journal("run").add(1, "c1", [("a", before, after), ("never", ABSENT, after)])
    again = bench.again()
    report = again.store.undo_run("run")
    assert report.conflicts == ()
    assert (again.root / "a").read_text() == "before"


def test_a_torn_journal_line_is_passed_over(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.user("a", "0")
    bench.agent("a", "1")
    (journal,) = (tmp_path / "undo").rglob("*.jsonl")
    with journal.open("a") as file:
        file.write('{"op": "change", "n": 9, "pa')
    again = bench.again()
    assert again.store.undo_run("run").restored == ("a",)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "a//b", 3])
def test_a_journal_cannot_name_a_place_outside(tmp_path: Path, path: object) -> None:
    line = {"op": "change", "n": 1, "turn": 1, "call": "c", "path": path}
    state = State("file", "0" * 64, 0o644).to_json()
    (tmp_path / "run.jsonl").write_text(
        json.dumps({**line, "before": ABSENT.to_json(), "after": state}) + "\n"
    )
    assert Journal(tmp_path, "run").records == []


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "x" * 200])
def test_a_run_id_is_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="run id"):
        Journal(tmp_path, name)


def test_what_the_caps_leave_out_is_named_and_not_guessed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Caps(file_bytes=100))
    bench.user("large.bin", "x" * 1000)
    bench.user("small.txt", "small")
    bench.store.before_command()
    assert bench.store.coverage.note == "Undo does not cover: large.bin."
    bench.command("echo y >> large.bin; echo y >> small.txt; head -c 500 /dev/zero > fresh.bin")
    report = bench.store.undo_run("run")
    assert report.not_covered == ("large.bin",)
    assert (bench.root / "small.txt").read_text() == "small"
    assert not (bench.root / "fresh.bin").exists()


def test_nothing_is_called_new_in_a_folder_that_was_not_listed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Caps(list_s=-1.0, sure_files=0))
    bench.user("mine/a.txt", "mine")
    before = bench.store.before_command()
    assert not before.complete
    bench.user("mine/b.txt", "mine too")
    bench.store.record("c1", before, bench.store.look_after(before))
    bench.store.undo_run("run")
    assert (bench.root / "mine/b.txt").exists()


def test_the_git_folder_is_never_touched(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.user(".git/HEAD", "ref")
    assert bench.command("echo new > .git/HEAD; echo x > .git/index; git init -q nested") == []
    bench.store.undo_run("run")
    assert (bench.root / ".git/HEAD").read_text() == "new\n"
    assert (bench.root / "nested/.git/HEAD").exists()


def test_odd_names_come_back(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    names = [b"a\x1b[2K", b"new\nline", b"\xff\xfe", "\u202egnp".encode(), b"-rf", b" "]
    for name in names:
        with open(os.path.join(os.fsencode(bench.root), name), "wb") as file:
            file.write(name)
    before = sorted(os.listdir(os.fsencode(bench.root)))
    bench.command("find . -mindepth 1 -delete")
    assert os.listdir(bench.root) == []
    bench.store.undo_run("run")
    assert sorted(os.listdir(os.fsencode(bench.root))) == before


def test_a_file_that_changed_since_it_was_shown_is_not_written(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.user("a", "one")
    with pytest.raises(WorkspaceError):
        bench.store.write("c1", "a", b"two", digest_of(b"other"))
    with pytest.raises(WorkspaceError):
        bench.store.write("c1", "a", b"two", None)
    assert (bench.root / "a").read_text() == "one"


def test_a_version_chosen_hunk_by_hunk_is_undoable(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.user("a", "1\n2\n3\n")
    bench.agent("a", "X\n2\nY\n")
    assert bench.store.before_and_after("run", "a") == (b"1\n2\n3\n", b"X\n2\nY\n")
    bench.store.keep_version("run", "a", b"1\n2\nY\n", digest_of(b"X\n2\nY\n"))
    (change,) = bench.store.changes("run")
    assert change.after == digest_of(b"1\n2\nY\n")
    with pytest.raises(WorkspaceError):
        bench.store.keep_version("run", "a", b"z", digest_of(b"X\n2\nY\n"))
    bench.store.undo_run("run")
    assert (bench.root / "a").read_text() == "1\n2\n3\n"


@pytest.mark.skipif(sys.platform == "win32", reason="packs are rewritten only where files lock")
def test_the_quota_drops_the_oldest_runs(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    for number in range(4):
        bench.store.begin_turn(f"run{number}", 1)
        bench.user(f"f{number}", "x")
        bench.agent(f"f{number}", os.urandom(50_000).hex(), "c")
    for number, journal in enumerate(sorted((tmp_path / "undo").rglob("run?.jsonl"))):
        os.utime(journal, (1000 + number, 1000 + number))
    bench.store.close()
    small = Bench(tmp_path, quota=150_000)
    assert small.store.blobs.stored_bytes < 150_000
    assert small.store.undo_run("run3").restored == ("f3",)
    assert small.store.undo_run("run0").restored == ()


def test_contents_survive_and_damage_is_noticed(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    digests = [blobs.put(data) for data in (b"", b"a" * 5000, os.urandom(5000))]
    blobs.close()
    again = Blobs(tmp_path)
    assert [len(again.get(digest) or b"") for digest in digests] == [0, 5000, 5000]
    (pack,) = tmp_path.glob("*.pack")
    data = bytearray(pack.read_bytes())
    data[-1] ^= 1
    pack.write_bytes(data)
    assert Blobs(tmp_path).get(digests[2]) is None
    pack.write_bytes(data[:100])
    assert Blobs(tmp_path).get(digests[2]) is None


_TEXT = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"d\n", b"e\n"]), max_size=12)


@given(_TEXT, _TEXT)
@settings(max_examples=200, deadline=None)
def test_merging_with_one_side_unchanged_is_exact(base: list[bytes], other: list[bytes]) -> None:
    one, two = b"".join(base), b"".join(other)
    assert merge(one, one, two) == two
    assert merge(one, two, one) == two
    assert merge(one, two, two) == two


@given(_TEXT, st.integers(0, 11), st.integers(0, 11))
@settings(max_examples=200, deadline=None)
def test_a_merge_keeps_what_the_user_wrote(base: list[bytes], at: int, where: int) -> None:
    mine = [*base[:at], b"USER\n", *base[at:]]
    theirs = [*base[:where], b"AGENT\n", *base[where:]]
    merged = merge(b"".join(base), b"".join(mine), b"".join(theirs))
    if merged is not None:
        assert merged.count(b"USER\n") == 1
        assert merged.count(b"AGENT\n") == 1
        left = [line for line in merged.splitlines(True) if line not in (b"USER\n", b"AGENT\n")]
        assert left == base
