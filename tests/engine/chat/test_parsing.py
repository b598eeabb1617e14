"""Parsers of model output: recorded forms, any chunking, anything hostile."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.engine.chat.control_tokens import ControlTokens
from app.engine.chat.parsing.events import OutputParser, merged
from app.engine.chat.parsing.formats import _FORMATS, GENERIC, make_parser
from app.engine.chat.values import (
    CallArguments,
    CallBegan,
    CallEnded,
    ChatMessage,
    ChatRequest,
    ParseEvent,
    TextPiece,
    ThinkingPiece,
    ToolChoice,
)
from tests.engine.chat.outputs import OUTPUTS, TOOLS, Output

BY_NAME = {found.name: found for _, found in _FORMATS} | {"generic": GENERIC}
CONTROL = ControlTokens(("<|im_end|>", "<|eot_id|>", "[TOOL_CALLS]", "[ARGS]"))


def parser_for(kind: str, **fields: Any) -> OutputParser:
    request = ChatRequest((ChatMessage("user", "x"),), tools=TOOLS, **fields)
    return make_parser(BY_NAME[kind], request, CONTROL, in_thinking=False)


def parse(parser: OutputParser, chunks: list[str], *, truncated: bool = False) -> list[ParseEvent]:
    events: list[ParseEvent] = []
    for chunk in chunks:
        events += parser.feed(chunk)
    return _joined(events + parser.finish(truncated=truncated))


def _joined(events: list[ParseEvent]) -> list[ParseEvent]:
    out: list[ParseEvent] = []
    for event in merged(events):
        last = out[-1] if out else None
        if isinstance(event, CallArguments) and isinstance(last, CallArguments):
            out[-1] = CallArguments(event.index, last.delta + event.delta)
        else:
            out.append(event)
    return out


def split_at(text: str, cuts: list[int]) -> list[str]:
    places = sorted({cut % (len(text) + 1) for cut in cuts})
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


def meaning(events: list[ParseEvent]) -> tuple[str, str, list[tuple[str, Any]]]:
    prose = "".join(e.text for e in events if isinstance(e, TextPiece))
    thinking = "".join(e.text for e in events if isinstance(e, ThinkingPiece))
    names = [e.name for e in events if isinstance(e, CallBegan)]
    arguments = [""] * len(names)
    for event in events:
        if isinstance(event, CallArguments):
            arguments[event.index] += event.delta
    assert [e.index for e in events if isinstance(e, CallEnded)] == list(range(len(names)))
    return prose, thinking, [(n, json.loads(a)) for n, a in zip(names, arguments, strict=True)]


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.name)
def test_a_recorded_output_means_what_it_should(output: Output) -> None:
    prose, thinking, calls = meaning(parse(parser_for(output.kind), [output.text]))
    assert calls == output.calls
    assert prose.strip() == output.prose.strip()
    assert thinking == output.thinking


@pytest.mark.parametrize("output", OUTPUTS, ids=lambda output: output.name)
def test_every_single_cut_and_character_by_character_give_the_same(output: Output) -> None:
    whole = parse(parser_for(output.kind), [output.text])
    for cut in range(1, len(output.text)):
        assert parse(parser_for(output.kind), [output.text[:cut], output.text[cut:]]) == whole, cut
    assert parse(parser_for(output.kind), list(output.text)) == whole


FRAGMENTS = st.sampled_from(
    [
        *("<tool_call>", "</tool_call>", "<function=read_file>", "<function=", "</function>"),
        *("<parameter=path>", "<parameter=limit>", "</parameter>", "\n", " ", "a.py", "7", "```"),
        *("```json\n", '{"name": "read_file"', ', "arguments": {"path": "a"}}', "}", "{", "[", '"'),
        *("<think>", "</think>", "[TOOL_CALLS]", "[ARGS]", "read_file", "list", "\\", "<tools>"),
        *(
            "<|channel|>",
            "analysis",
            "<|message|>",
            "<|end|>",
            "<|call|>",
            "<|start|>",
            "assistant",
        ),
        *(
            " to=functions.list",
            "final",
            "<|im_end|>",
            "<arg_key>",
            "</arg_key>",
            "<arg_value>",
            "é",
        ),
        *("<|tool_call>", "call:list{", "}<tool_call|>", '<|"|>', "<|python_tag|>", "list()", "<"),
        *("<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>", "<minimax:tool_call>"),
        *('<invoke name="list">', "</invoke>", "</minimax:tool_call>", "hello", ".", "<tool_call"),
    ]
)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from(sorted(BY_NAME)),
    st.lists(FRAGMENTS, max_size=25).map("".join),
    st.lists(st.integers(0, 10_000), max_size=12),
    st.booleans(),
)
def test_streamed_equals_whole_for_anything(
    kind: str, text: str, cuts: list[int], truncated: bool
) -> None:
    whole = parse(parser_for(kind), [text], truncated=truncated)
    assert parse(parser_for(kind), split_at(text, cuts), truncated=truncated) == whole
    assert parse(parser_for(kind), list(text), truncated=truncated) == whole


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(OUTPUTS), st.integers(0, 10_000), st.lists(st.integers(0, 10_000), max_size=6)
)
def test_an_answer_cut_anywhere_streams_like_the_whole_cut(
    output: Output, end: int, cuts: list[int]
) -> None:
    text = output.text[: end % (len(output.text) + 1)]
    for truncated in (True, False):
        whole = parse(parser_for(output.kind), [text], truncated=truncated)
        assert parse(parser_for(output.kind), split_at(text, cuts), truncated=truncated) == whole


def test_a_call_cut_by_the_token_limit_does_not_look_finished() -> None:
    for kind, text in (
        (
            "qwen3-coder",
            "<tool_call>\n<function=write_file>\n<parameter=path>\nx\n</parameter>\n"
            "<parameter=content>\nhalf of",
        ),
        (
            "hermes",
            '<tool_call>\n{"name": "write_file", "arguments": {"path": "x", "content": "half',
        ),
        ("mistral", '[TOOL_CALLS]write_file[ARGS]{"path": "x", "content": "half'),
    ):
        events = parse(parser_for(kind), [text], truncated=True)
        arguments = "".join(e.delta for e in events if isinstance(e, CallArguments))
        assert any(isinstance(e, CallBegan) for e in events), kind
        with pytest.raises(ValueError, match=r"."):
            json.loads(arguments)


def test_string_values_are_streamed_while_they_grow() -> None:
    parser = parser_for("qwen3-coder")
    parser.feed("<tool_call>\n<function=write_file>\n<parameter=content>\n")
    events = parser.feed("line one\nline two")
    assert CallArguments(0, "line one\\nline two") in _joined(events)


def test_prose_is_streamed_at_once_and_only_a_possible_trigger_is_held() -> None:
    parser = parser_for("hermes")
    assert parser.feed("Hello ") == [TextPiece("Hello ")]
    assert parser.feed("wor <tool") == [TextPiece("wor ")]
    assert merged(parser.feed("box>")) == [TextPiece("<toolbox>")]


def test_without_tools_nothing_is_taken_for_a_call() -> None:
    text = '<tool_call>\n{"name": "list", "arguments": {}}\n</tool_call>'
    request = ChatRequest((ChatMessage("user", "x"),))
    events = parse(make_parser(GENERIC, request, CONTROL, in_thinking=False), [text])
    assert events == [TextPiece(text)]
    off = parser_for("hermes", tool_choice=ToolChoice("none"))
    assert parse(off, [text]) == [TextPiece(text)]


def test_an_answer_that_begins_inside_reasoning_is_split() -> None:
    request = ChatRequest((ChatMessage("user", "x"),))
    parser = make_parser(GENERIC, request, CONTROL, in_thinking=True)
    assert parse(parser, ["So ", "it is.</thi", "nk>\n\n", "Four."]) == [
        ThinkingPiece("So it is."),
        TextPiece("Four."),
    ]


def test_calls_that_run_away_are_bounded() -> None:
    text = '<tool_call>\n{"name": "list", "arguments": {}}\n</tool_call>\n' * 200
    events = parse(parser_for("hermes"), [text])
    assert sum(isinstance(event, CallBegan) for event in events) == 64


def test_a_long_value_is_parsed_in_linear_time() -> None:
    text = '<tool_call>\n{"name": "write_file", "arguments": {"path": "x", "content": "%s"}}' % (
        "a b\\n" * 20_000
    )
    parser = parser_for("hermes")
    chunks = [text[i : i + 8] for i in range(0, len(text), 8)]
    assert len(meaning(parse(parser, chunks))[2]) == 1


GROWING = [
    ("hermes", '<tool_call>\n{"name": "write_file", "arguments": ARGS}\n</tool_call>'),
    ("llama3", '{"type": "function", "name": "write_file", "parameters": ARGS}'),
    ("mistral-json", '[TOOL_CALLS][{"name": "write_file", "arguments": ARGS, "id": "a1b2c3d4e"}]'),
    ("mistral", "[TOOL_CALLS]write_file[ARGS]ARGS"),
    ("generic", '```json\n{"name": "write_file", "arguments": ARGS}\n```'),
    ("deepseek", "<｜tool▁call▁begin｜>write_file<｜tool▁sep｜>ARGS<｜tool▁call▁end｜>"),
]


@pytest.mark.parametrize(("kind", "form"), GROWING, ids=[kind for kind, _ in GROWING])
def test_json_arguments_are_passed_on_while_they_grow(kind: str, form: str) -> None:
    content = "line\n" * 40
    arguments = json.dumps({"path": "a.py", "content": content})
    text = form[::-1].replace("SGRA", arguments[::-1], 1)[::-1]
    parser = parser_for(kind)
    heard: list[str] = []
    for char in text[: text.index("line") + 5 * 40]:
        heard += [e.delta for e in parser.feed(char) if isinstance(e, CallArguments)]
    assert "line\\nline" in "".join(heard)
    assert len(heard) > 50
    _, _, calls = meaning(parse(parser_for(kind), list(text)))
    assert calls == [("write_file", {"path": "a.py", "content": content})]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ('{"path": "a\nb", "content": "\\d"}', {"path": "a\nb", "content": "\\d"}),
        ('{"content": "say "hi" now", "path": "p"}', {"content": 'say "hi" now', "path": "p"}),
        ("{'path': 'it's', 'deep': True,}", {"path": "it's", "deep": True}),
        ('{"path": "a", "tags": ["x"', {"path": "a", "tags": ["x"]}),
        ('{"path" "a", limit: 07}', {'path" "a': None, "limit": "07"}),
    ],
)
def test_slightly_broken_arguments_are_mended(written: str, meant: dict[str, Any]) -> None:
    text = f'<tool_call>{{"name": "read_file", "arguments": {written}</tool_call> and then'
    prose, _, calls = meaning(parse(parser_for("hermes"), [text]))
    assert calls == [("read_file", meant)]
    assert prose.strip() == "and then"


@given(st.text(alphabet="{}[]\"'\\u0041:, a1.\né<`", max_size=30), st.lists(st.integers(0, 40)))
@settings(max_examples=200, deadline=None)
def test_whatever_the_arguments_are_the_client_gets_json(tail: str, cuts: list[int]) -> None:
    text = '{"name": "read_file", "arguments": {"' + tail
    whole = parse(parser_for("hermes"), [text])
    assert parse(parser_for("hermes"), split_at(text, cuts)) == whole
    for _, arguments in meaning(whole)[2]:
        assert isinstance(arguments, dict)


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>read_file" + "<arg_key>" * 8000 + "</tool_call>",
        "<tool_call>read_file" + "<arg_key>a</arg_key>" * 8000 + "</tool_call>",
        '<minimax:tool_call><invoke name="read_file">'
        + '<parameter name="a">' * 8000
        + "</minimax:tool_call>",
        "```json\n" + "\n" * 60_000,
        "[" * 60_000,
        "{ " * 60_000,
    ],
    ids=["keys", "keys without values", "parameters", "space", "brackets", "braces"],
)
def test_a_model_that_repeats_itself_for_ever_is_read_in_no_time(text: str) -> None:
    """Each took half a minute, in which nobody's stream went on."""
    chunks = [text[at : at + 40] for at in range(0, len(text), 40)]
    prose, _, calls = meaning(parse(parser_for("glm"), chunks))
    assert prose == text or [name for name, _ in calls] == ["read_file"]


def test_values_of_glm_and_minimax_calls_are_found_whatever_surrounds_them() -> None:
    pairs = "<arg_key>x</arg_key><arg_key>path</arg_key>\n<arg_value>a<b</arg_value><arg_key>open"
    text = f"<tool_call>read_file\n{pairs}</tool_call>"
    assert meaning(parse(parser_for("glm"), [text]))[2] == [("read_file", {"path": "a<b"})]
    inner = '<parameter name="path">a\n</parameter><parameter name="open">b'
    text = f'<minimax:tool_call><invoke name="read_file">{inner}</invoke></minimax:tool_call>'
    assert meaning(parse(parser_for("minimax"), [text]))[2] == [("read_file", {"path": "a"})]
