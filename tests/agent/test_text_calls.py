"""Calls that stand in the text of an answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agent.text_calls import MAX_CALLS, find_calls, visible_length
from app.core.ports import ToolSpec

SPECS = (
    ToolSpec(
        "read_file",
        "Reads.",
        {
            "type": "object",
            "properties": {
                "file_path": {"type": "string"},
                "limit": {"type": "integer"},
                "offset": {"type": "integer"},
            },
            "required": ["file_path"],
        },
    ),
    ToolSpec(
        "write_file",
        "Writes.",
        {
            "type": "object",
            "properties": {"file_path": {"type": "string"}, "content": {"type": "string"}},
            "required": ["file_path", "content"],
        },
    ),
)
PATH = "<parameter=file_path>\na.py\n</parameter>"
READ = f"<function=read_file>\n{PATH}\n</function>"
XML = (
    "<tool_call>\n<function=write_file>\n<parameter=file_path>\na.py\n</parameter>\n"
    "<parameter=content>\n{body}\n</parameter>\n</function>\n</tool_call>"
)


def only(text: str) -> tuple[str, dict[str, object]]:
    found = find_calls(text, SPECS)
    assert not found.problem
    (call,) = found.calls
    return call.name, json.loads(call.arguments)


@pytest.mark.parametrize(
    "text",
    [
        f"<tool_call>\n{READ}\n</tool_call>",
        f"I will look.\n\n{READ}\n</tool_call>",
        f"<tool_call>\n<function=read_file>\n{PATH}",
        "<tool_call>\n<function=read_file>\n<parameter=file_path>\na.py\n</function>\n</tool_call>",
        "<tool_call>\n<function=read_file>\n<parameter=file_path>\na.py",
        '<tool_call>\n{"name": "read_file", "arguments": {"file_path": "a.py"}}\n</tool_call>',
        '<tool_call>{"name": "read_file", "arguments": {"file_path": "a.py"}}',
        '<tool_call>\n{"name": "read_file", "arguments": "{\\"file_path\\": \\"a.py\\"}"}',
        '<tools>\n{"name": "read_file", "arguments": {"file_path": "a.py"}}\n</tools>',
        'Here:\n```json\n{"name": "read_file", "arguments": {"file_path": "a.py"}}\n```',
        '{"name": "read_file", "parameters": {"file_path": "a.py"}}',
        '[{"name": "read_file", "arguments": {"file_path": "a.py"}}]',
        '```\n{"tool": "read_file", "args": {"file_path": "a.py"}}\n```',
        '<function=read_file>{"file_path": "a.py"}</function>',
        '{"function": {"name": "read_file", "arguments": {"file_path": "a.py"}}}',
    ],
)
def test_every_known_shape_is_the_same_call(text: str) -> None:
    assert only(text) == ("read_file", {"file_path": "a.py"})


@pytest.mark.parametrize(
    "text",
    [
        "Just prose.",
        "#include <functional>\nint main() { std::function<int()> f; }",
        "Use <function=frobnicate> to do that.",
        '```json\n{"name": "my-package", "version": "1.0.0"}\n```',
        '```json\n{"name": "read_file", "arguments": {"file_path": "a"}}\n```\nis a call.',
        "",
    ],
)
def test_text_that_is_no_call_stays_text(text: str) -> None:
    found = find_calls(text, SPECS)
    assert found.calls == ()
    assert found.problem == ""


def test_a_values_newlines_and_closers_inside_it_are_kept() -> None:
    body = "\nprint('</parameter>')\nx = '</tool_call>'\n"
    assert only(XML.format(body=body))[1]["content"] == body


def test_string_values_stay_strings_and_others_are_typed() -> None:
    assert only(XML.format(body="null"))[1]["content"] == "null"
    assert only(XML.format(body='{"a": 1}'))[1]["content"] == '{"a": 1}'
    text = (
        "<function=read_file>\n<parameter=limit>\n20\n</parameter>\n"
        "<parameter=file_path>\n7\n</parameter>\n</function>"
    )
    assert only(text)[1] == {"limit": 20, "file_path": "7"}


def test_of_repeated_parameters_the_first_counts_unless_it_is_empty() -> None:
    def text(first: str, second: str) -> str:
        return (
            f"<function=read_file>\n<parameter=file_path>\n{first}\n</parameter>\n"
            f"<parameter=file_path>\n{second}\n</parameter>\n</function>"
        )

    assert only(text("a", "b"))[1] == {"file_path": "a"}
    assert only(text("", "b"))[1] == {"file_path": "b"}


def test_several_calls_are_parallel_and_a_runaway_is_capped() -> None:
    one = "<tool_call>\n" + READ.replace("a.py", "{}") + "\n</tool_call>\n"
    found = find_calls("Look.\n" + "".join(one.format(n) for n in range(30)), SPECS)
    assert len(found.calls) == MAX_CALLS
    assert found.prose == "Look."


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("<tool_call>\n<function=read_fil>\n</function>\n</tool_call>", "read_file"),
        ('<tool_call>\n{"name": "read_file", "arguments": {"file_path": }}\n</tool_call>', "JSON"),
        ('<tool_call>\n{"name": "cat", "arguments": {}}\n</tool_call>', "no tool called"),
        ("I will.\n<tool_call>\n", "no function"),
    ],
)
def test_an_unreadable_call_is_named_as_such(text: str, part: str) -> None:
    found = find_calls(text, SPECS)
    assert found.calls == ()
    assert part in found.problem


def test_a_call_cut_off_by_length_is_never_run() -> None:
    whole = XML.format(body="x = 1")
    for end in range(len("<tool_call>\n"), len(whole) - len("</function>\n</tool_call>") - 14):
        assert find_calls(whole[:end], SPECS, cut=True).calls == ()


@given(st.text(max_size=400))
def test_any_text_is_read_without_an_exception(text: str) -> None:
    find_calls(text, SPECS)
    find_calls("<tool_call>" + text, SPECS, cut=True)
    assert 0 <= visible_length(text, ["read_file"]) <= len(text)


@given(st.text(alphabet="ab\n<>/{}\"' =é", max_size=60))
def test_file_content_comes_through_byte_for_byte(content: str) -> None:
    if "parameter" not in content:
        assert only(XML.format(body=content))[1]["content"] == content


@given(st.data())
def test_what_is_shown_never_depends_on_how_the_text_was_cut(data: st.DataObject) -> None:
    text = "Let me look. a < b <tool_call>\n<function=read_file>\n"
    names = ["read_file"]
    shown = 0
    position = 0
    while position < len(text):
        position += data.draw(st.integers(1, 9))
        length = visible_length(text[:position], names)
        assert length <= text.index("<tool_call>")
        shown = max(shown, length)
    assert shown == text.index("<tool_call>")
