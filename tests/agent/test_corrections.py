"""Reading arguments tolerantly, and the words for what cannot be read."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agent.corrections import (
    check_call,
    correction,
    example_arguments,
    json_form,
    read_arguments,
    safe_for_history,
    xml_form,
)
from app.agent.text_calls import find_calls
from app.core.messages import ToolCallPart
from app.core.ports import ToolSpec
from tests.fake_hands import FAKE_SPECS

NESTED = ToolSpec(
    "todo",
    "",
    {
        "type": "object",
        "properties": {
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "text": {"type": "string"},
                        "state": {"type": "string", "enum": ["open", "done"]},
                    },
                },
            },
            "depth": {"type": "integer"},
            "optional": {"type": "string"},
        },
        "required": ["items", "depth"],
    },
)


def known(name: str) -> bool:
    return any(spec.name == name for spec in FAKE_SPECS)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        ("null", {}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('{"a": "", "a": "x"}', {"a": "x"}),
        ('{"a": "x", "a": "y"}', {"a": "x"}),
        ('{"a": 1}{"a": 2}', {"a": 1}),
        ('{"a": "line\nbreak"}', {"a": "line\nbreak"}),
    ],
)
def test_tolerable_arguments_are_read(text: str, wanted: dict[str, object]) -> None:
    assert read_arguments(text) == (wanted, "")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('{"a": ', "not valid JSON"),
        ("{'a': 1}", "not valid JSON"),
        ("[1]", "a list"),
        ("7", "a number"),
        ("true", "true or false"),
        ('{"a": 1} and then', "text after"),
        ("[" * 100_000, "nested"),
    ],
)
def test_intolerable_arguments_say_what_is_wrong(text: str, part: str) -> None:
    arguments, problem = read_arguments(text)
    assert arguments is None
    assert part in problem


def test_a_misspelt_tool_gets_the_nearest_name() -> None:
    checked = check_call(ToolCallPart("1", "readfile", "{}"), FAKE_SPECS, known)
    assert "Did you mean read_file?" in checked.problem


def test_a_prefixed_name_is_accepted() -> None:
    call = ToolCallPart("1", "functions.read_file", '{"file_path": "a"}')
    assert check_call(call, FAKE_SPECS, known).call.name == "read_file"


def test_sound_arguments_keep_their_very_bytes() -> None:
    text = '{ "file_path" :  "a" }'
    call = ToolCallPart("1", "read_file", text)
    assert check_call(call, FAKE_SPECS, known).call.arguments == text
    assert safe_for_history(call) is call


@given(st.text(max_size=80))
def test_history_holds_only_json_objects(text: str) -> None:
    kept = safe_for_history(ToolCallPart("1", "read_file", text))
    assert isinstance(json.loads(kept.arguments), dict)


@pytest.mark.parametrize("spec", [*FAKE_SPECS, NESTED])
def test_the_forms_shown_to_the_model_are_calls_themselves(spec: ToolSpec) -> None:
    for form in (xml_form(spec), json_form(spec)):
        (call,) = find_calls(form, [spec]).calls
        assert json.loads(call.arguments) == example_arguments(spec)
    assert spec.name in correction("it is broken", spec.name, [spec])
    assert "optional" not in example_arguments(NESTED)
