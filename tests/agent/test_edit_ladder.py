from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.agent.edit_ladder import NoMatch, apply, omission_in
from app.agent.text_file import decode

FILE = "def a():\n    x = 1\n    return x\n\n\ndef b():\n    x = 2\n    return x\n"


def test_an_exact_unique_match_is_replaced() -> None:
    edit = apply(FILE, "x = 1", "x = 10")
    assert edit.text == FILE.replace("x = 1", "x = 10")
    assert edit.rung == "exact"


def test_a_match_in_two_places_is_refused_with_their_lines() -> None:
    with pytest.raises(NoMatch) as problem:
        apply(FILE, "return x", "return y")
    assert problem.value.places == (3, 8)


def test_replace_all_replaces_every_place() -> None:
    assert apply(FILE, "return x", "return y", replace_all=True).text.count("return y") == 2


def test_line_ends_are_those_of_the_file() -> None:
    text = FILE.replace("\n", "\r\n")
    edit = apply(text, "    x = 1\n    return x", "    x = 3\n    y = 4\n    return y", "\r\n")
    assert edit.rung == "line ends"
    assert edit.text == text.replace(
        "    x = 1\r\n    return x", "    x = 3\r\n    y = 4\r\n    return y"
    )


def test_a_mark_in_old_string_is_no_obstacle() -> None:
    assert apply("a = 1\n", "\ufeffa = 1", "a = 2").text == "a = 2\n"


def test_trailing_spaces_and_typographic_quotes_are_looked_past() -> None:
    text = 'say("hi")   \nnext()\n'
    edit = apply(text, "say(“hi”)\nnext()\n", 'say("ho")\nnext()\n')
    assert edit.rung == "trailing space"
    assert edit.text == 'say("ho")\nnext()\n'


def test_a_uniform_indent_shift_is_repaired_and_told() -> None:
    edit = apply(FILE, "x = 1\nreturn x\n", "if x:\n    x = 1\nreturn x\n")
    assert edit.rung == "indentation"
    assert "    if x:\n        x = 1\n    return x\n" in edit.text
    assert "shifted" in edit.note


def test_too_much_indentation_is_taken_off() -> None:
    edit = apply(
        "a\nb = 1\nc = 2\nd\n", "    b = 1\n    c = 2\n", "    b = 3\n    if c:\n        c = 2\n"
    )
    assert edit.text == "a\nb = 3\nif c:\n    c = 2\nd\n"


def test_an_uneven_shift_is_refused() -> None:
    with pytest.raises(NoMatch):
        apply("  a\n    b\n", "a\nb\n", "c\nd\n")


def test_one_level_of_escapes_is_taken_off() -> None:
    edit = apply('print("a")\nx\n', 'print(\\"a\\")\\nx', 'print(\\"b\\")\\ny')
    assert edit.rung == "escapes"
    assert edit.text == 'print("b")\ny\n'


def test_similar_text_is_never_enough() -> None:
    with pytest.raises(NoMatch):
        apply(FILE, "def a():\n    x = 99\n    return x\n", "pass\n")


def test_first_and_last_line_are_no_anchors() -> None:
    body = "start\n" + "keep\n" * 500 + "end\n"
    with pytest.raises(NoMatch):
        apply(body, "start\nother\nend\n", "gone\n")


def test_blank_lines_match_nothing_by_themselves() -> None:
    with pytest.raises(NoMatch):
        apply("a\n  \nb\n", "   \n", "x\n")


@pytest.mark.parametrize(
    ("old", "new"), [("", "x"), ("x = 1", "x = 1"), ("x = 1", "# ... rest of code unchanged ...")]
)
def test_guards_refuse(old: str, new: str) -> None:
    with pytest.raises(NoMatch):
        apply(FILE, old, new)


@pytest.mark.parametrize(
    "line",
    [
        "# ... rest of the code ...",
        "// ... existing code ...",
        "/* unchanged methods */",
        "# rest of function unchanged",
        "<!-- rest of file -->",
        "... existing implementation ...",
        "    // rest of the file remains the same",
    ],
)
def test_placeholders_are_seen(line: str) -> None:
    assert omission_in(f"a = 1\n{line}\nb = 2") == line.strip()


@pytest.mark.parametrize(
    "line",
    [
        "# existing users keep their password",
        "print('rest of the code')",
        "args = [...]",
        "def f(x: int = ...): ...",
        "# the rest",
        "return code",
        "# code = unchanged",
    ],
)
def test_honest_lines_are_no_placeholders(line: str) -> None:
    assert omission_in(f"a\n{line}\nb") == ""


_LINES = st.lists(
    st.sampled_from(["a", "b = 1", "  b = 1", "\tc", "", "  ", "é “x”", "x\u00a0y", "d  "]),
    min_size=1,
    max_size=12,
)
_ENDS = st.sampled_from(["\n", "\r\n"])


@given(_LINES, _ENDS, st.integers(0, 11), st.integers(1, 4), st.text(max_size=20), st.data())
@settings(max_examples=150, deadline=None)
def test_bytes_outside_the_match_never_change(
    lines: list[str], end: str, at: int, count: int, new: str, data: st.DataObject
) -> None:
    text = end.join(lines) + data.draw(st.sampled_from(["", end]))
    part = lines[at : at + count]
    old = data.draw(
        st.sampled_from(
            ["\n".join(part), end.join(part), "\n".join(p.strip() for p in part), "b = 1\n"]
        )
    )
    try:
        edit = apply(text, old, new, end)
    except NoMatch:
        return
    ((start, stop),) = edit.spans
    assert edit.text[:start] == text[:start]
    assert edit.text[start + len(edit.replacement) :] == text[stop:]
    for encoding in ("utf-8", "utf-16-le"):
        try:
            before, after = text.encode(encoding), edit.text.encode(encoding)
        except UnicodeEncodeError:
            continue
        assert after.startswith(text[:start].encode(encoding))
        assert after.endswith(text[stop:].encode(encoding))
        assert len(after) - len(edit.replacement.encode(encoding)) == len(before) - len(
            text[start:stop].encode(encoding)
        )


@given(st.binary(max_size=300))
@settings(max_examples=150, deadline=None)
def test_decoding_and_encoding_gives_the_same_bytes(data: bytes) -> None:
    text = decode(data)
    if text is not None:
        assert text.encode(text.text) == data


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_marked_files_round_trip(encoding: str) -> None:
    data = "ä = 1\r\n".encode(encoding)
    text = decode(data)
    assert text is not None
    assert text.text == "ä = 1\r\n"
    assert text.encode(text.text) == data
