from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agent.diff import unified
from app.agent.hunks import hunks, without

_TEXT = st.lists(st.sampled_from([b"a\n", b"b\r\n", b"c\n", b"d"]), max_size=10).map(b"".join)


def test_one_hunk_is_taken_back_and_the_other_kept() -> None:
    before, after = b"1\n2\n3\n4\n5\n", b"1\nX\n3\n4\nY\nZ\n"
    assert [(hunk.removed, hunk.added) for hunk in hunks(before, after)] == [
        ((b"2\n",), (b"X\n",)),
        ((b"5\n",), (b"Y\n", b"Z\n")),
    ]
    assert without(before, after, {0}) == b"1\n2\n3\n4\nY\nZ\n"
    assert without(before, after, {1}) == b"1\nX\n3\n4\n5\n"


@given(_TEXT, _TEXT)
def test_all_hunks_taken_back_is_before_and_none_is_after(before: bytes, after: bytes) -> None:
    assert without(before, after, ()) == after
    assert without(before, after, range(len(hunks(before, after)))) == before


def test_binary_files_have_no_hunks() -> None:
    assert hunks(b"\0a", b"\0b") == ()
    with pytest.raises(ValueError, match="no such hunk"):
        without(b"\0a", b"\0b", {0})


def test_a_unified_diff_counts_lines_from_the_top() -> None:
    old = "".join(f"line {n}\n" for n in range(100))
    text = unified(old, old.replace("line 80\n", "LINE 80\n"), "a.txt")
    assert "@@ -78,7 +78,7 @@" in text
    assert "-line 80\n+LINE 80\n" in text
    assert unified(old, old, "a.txt") == ""
    assert "Only line ends differ." in unified("a\n", "a\r\n", "a.txt")


def test_a_new_file_shows_whole() -> None:
    assert unified("", "a\nb\n", "n.txt") == "--- /dev/null\n+++ n.txt\n@@ -0,0 +1,2 @@\n+a\n+b\n"
