"""The files the engine keeps of conversations, as the app removes them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from app.core.prompt_states import MAX_FORGOTTEN, PromptStates, is_tag, tag_of


def write(states: PromptStates, name: str, tag: str, size: int = 10) -> Path:
    path = states.new_path(name, tag)
    path.write_bytes(bytes(size))
    return path


def test_a_tag_names_no_conversation_and_fits_into_a_files_name() -> None:
    assert is_tag(tag_of("5f0e"))
    assert tag_of("a") != tag_of("b")
    assert not any(map(is_tag, ["", "x", "../" + "a" * 29, "A" * 32, "a" * 33]))


def test_forgetting_a_conversation_leaves_the_others(tmp_path: Path) -> None:
    states = PromptStates(tmp_path)
    write(states, "1", tag_of("a"), 30)
    write(states, "2", tag_of("a"), 40)
    kept = [write(states, "3", tag_of("b")), write(states, "4", "")]
    assert states.forget([tag_of("a")]) == 70
    assert sorted(states.files()) == sorted(kept)
    assert states.forgotten().covers(tag_of("a"), 1)
    assert not states.forgotten().covers(tag_of("b"), 1)
    assert not states.forgotten().covers("", 1)


def test_what_belongs_to_no_chat_any_more_goes_and_what_is_nobodys_stays(tmp_path: Path) -> None:
    states = PromptStates(tmp_path)
    write(states, "1", tag_of("gone"), 30)
    kept = [write(states, "2", tag_of("here")), write(states, "3", "")]
    assert states.keep_only([tag_of("here")]) == 30
    assert sorted(states.files()) == sorted(kept)


def test_clearing_takes_all_and_remembers_when(tmp_path: Path) -> None:
    states = PromptStates(tmp_path)
    states.forget([tag_of("a")])
    write(states, "1", tag_of("b"), 30)
    write(states, "2", "", 5)
    assert states.size_bytes() == 35
    assert states.clear() == 35
    note = states.forgotten()
    assert (states.size_bytes(), note.tags) == (0, (tag_of("a"),))
    assert note.covers("", note.cleared_ns)
    assert not note.covers("", note.cleared_ns + 1)


def test_the_note_is_bounded(tmp_path: Path) -> None:
    states = PromptStates(tmp_path)
    states.forget(str(n) for n in range(MAX_FORGOTTEN))
    states.forget(["new", "new"])
    assert len(states.forgotten().tags) == MAX_FORGOTTEN
    assert states.forgotten().tags[-1] == "new"


@pytest.mark.parametrize("text", ["", "{", "[]", "5", '{"tags": 5, "cleared_ns": 1}', "\x00"])
def test_a_broken_note_forbids_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "forgotten.json").write_text(text)
    states = PromptStates(tmp_path)
    assert not states.forgotten().covers(tag_of("a"), 1)
    states.forget([tag_of("a")])
    assert json.loads((tmp_path / "forgotten.json").read_text())["tags"] == [tag_of("a")]


def test_a_folder_that_is_not_there_is_empty(tmp_path: Path) -> None:
    states = PromptStates(tmp_path / "none")
    assert (states.size_bytes(), states.clear(), states.forget(["a"])) == (0, 0, 0)
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="symlinks need a privilege on Windows")
def test_a_link_is_neither_counted_nor_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    folder = tmp_path / "states"
    folder.mkdir()
    (folder / f"x.{tag_of('a')}.state").symlink_to(outside)
    states = PromptStates(folder)
    assert states.size_bytes() == 0
    states.clear()
    assert outside.read_text() == "mine"
