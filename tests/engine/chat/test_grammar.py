"""Grammars of JSON schemas and forced calls, judged by llama.cpp's own grammar parser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.core.errors import EngineRefused
from app.engine.chat.forcing import forcing_for
from app.engine.chat.grammar.rules import Rules, UnsupportedSchema, until
from app.engine.chat.grammar.schema import SchemaGrammar, schema_to_gbnf
from app.engine.chat.parsing.formats import _FORMATS, GENERIC
from app.engine.chat.values import ChatMessage, ChatRequest, Tool, ToolChoice
from tests.engine.chat.grammar_checker import GrammarChecker
from tests.engine.chat.outputs import TOOLS
from tests.engine.chat.test_parsing import BY_NAME, meaning, parse, parser_for


@pytest.fixture(scope="module")
def checker(starter_model_path: Path) -> Iterator[GrammarChecker]:
    checker = GrammarChecker(starter_model_path)
    yield checker
    checker.close()


PERSON = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 5},
        "age": {"type": "integer", "minimum": 0, "maximum": 130},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "v": {"type": ["integer", "null"]},
                "kids": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["v"],
        }
    },
}
CASES: list[tuple[dict[str, Any], list[Any], list[str]]] = [
    ({}, [{}, {"a": [1, {"b": None}]}], ["[]", "1", '{"a":}', "", "{} x"]),
    (
        PERSON,
        [{"name": "Al", "age": 7}, {"name": "Al", "age": 130, "tags": ["a", "b"]}],
        [
            '{"name": "", "age": 7}',
            '{"name": "toolong", "age": 7}',
            '{"name": "Al", "age": 131}',
            '{"name": "Al", "age": -1}',
            '{"name": "Al"}',
            '{"name": "Al", "age": 7, "x": 1}',
            '{"name": "Al", "age": 7, "tags": ["a","b","a"]}',
        ],
    ),
    (
        TREE,
        [{"v": 1, "kids": [{"v": None, "kids": []}]}, {"v": -5}],
        ['{"kids": []}', '{"v": "x"}'],
    ),
    (
        {"anyOf": [{"type": "string"}, {"type": "number"}]},
        ["x", 1.5, -2e10, 'é\n"\\'],
        ["true", '"', "1.", "01"],
    ),
    ({"const": {"a": "ü"}}, [{"a": "ü"}], ['{"a":"ü"}']),
    ({"enum": ["red", 3, None]}, ["red", 3, None], ['"blue"']),
    ({"type": "boolean"}, [True, False], ["1"]),
    ({"type": "integer", "exclusiveMinimum": 0, "maximum": 2**53}, [1, 10, 99999], ["0", "-1"]),
    ({"type": "integer", "minimum": -12, "maximum": 205}, [-12, -1, 0, 9, 10, 205], ["-13", "206"]),
    ({"type": "number", "minimum": 0, "maximum": 1}, [0, 0.25, 1, 1.0], ["1.5", "-0.5", "2"]),
    ({"type": "string", "pattern": "^[a-z]{2,3}-\\d+$"}, ["ab-1", "abc-99"], ['"a-1"', '"ab-"']),
    ({"type": "string", "pattern": "(foo|bar)"}, ["foo", "a bar b"], ['"fo"']),
    ({"type": "string", "format": "date"}, ["2026-11-23"], ['"2026-13-01"', '"x"']),
    ({"type": "string", "format": "date-time"}, ["2026-11-23T10:00:00Z"], ['"2026-11-23"']),
    (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        [{}, {"a": 1, "b": 2}],
        ['{"a": "x"}'],
    ),
    (
        {
            "allOf": [
                {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                {"properties": {"b": {"type": "string"}}, "required": ["b"]},
            ]
        },
        [{"a": 1, "b": "x"}],
        ['{"a": 1}', '{"b": "x"}'],
    ),
    (
        {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}]},
        [["a", 1]],
        ['["a"]', '[1, "a"]'],
    ),
    ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, [[1, 2], [1, 2, 3]], ["[1]"]),
]


@pytest.mark.parametrize(("schema", "good", "bad"), CASES, ids=lambda value: json.dumps(value)[:40])
def test_a_schema_lets_its_values_pass_and_nothing_else(
    checker: GrammarChecker, schema: dict[str, Any], good: list[Any], bad: list[str]
) -> None:
    gbnf = schema_to_gbnf(schema)
    for value in good:
        assert checker.accepts(gbnf, json.dumps(value, ensure_ascii=False)), (value, gbnf)
    for text in bad:
        assert not checker.accepts(gbnf, text), (text, gbnf)


def test_indented_json_passes_too(checker: GrammarChecker) -> None:
    value = {"name": "Al", "age": 7, "tags": ["a"]}
    assert checker.accepts(schema_to_gbnf(PERSON), json.dumps(value, indent=2))


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(-3000, 3000), st.integers(0, 3000), st.integers(-4000, 7000))
def test_integer_bounds_are_exact(checker: GrammarChecker, low: int, size: int, value: int) -> None:
    gbnf = schema_to_gbnf({"type": "integer", "minimum": low, "maximum": low + size})
    assert checker.accepts(gbnf, str(value)) == (low <= value <= low + size)


@pytest.mark.parametrize(
    "schema",
    [
        {"not": {"type": "string"}},
        {"type": "string", "pattern": "(?=x)y"},
        {"type": "string", "pattern": "(a"},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/nowhere"},
        {"type": "thing"},
        {"enum": []},
        {"enum": list(range(20_001))},
        {"type": "string", "pattern": "^" + "a?" * 33 + "$"},
        {"type": "string", "pattern": "^(a?){900}$"},
        {"type": "string", "pattern": "(a|b*)+"},
        {"type": "string", "pattern": "^(a{1,900}){1,900}$"},
        {"type": "string", "pattern": "(" * 400 + "a" + ")" * 400},
        {"type": "integer", "multipleOf": 3},
        {"type": "array", "uniqueItems": True},
        {"type": "object", "patternProperties": {"^a": {}}},
        {"type": "integer", "minimum": 5, "maximum": 1},
    ],
    ids=str,
)
def test_what_a_grammar_cannot_hold_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedSchema):
        schema_to_gbnf(schema)


def test_joining_huge_lists_of_properties_is_given_up_early() -> None:
    """They took minutes, with everybody waiting."""

    def part(number: int) -> dict[str, Any]:
        names = (f"k{number}_{i}" for i in range(300))
        return {"type": "object", "properties": {name: {"type": "string"} for name in names}}

    with pytest.raises(UnsupportedSchema):
        schema_to_gbnf({"allOf": [part(number) for number in range(600)]})
    with pytest.raises(UnsupportedSchema):
        schema_to_gbnf({"properties": {f"k{i}": {"type": "string"} for i in range(100_000)}})


def test_a_reference_to_itself_ends(checker: GrammarChecker) -> None:
    with pytest.raises(UnsupportedSchema):
        schema_to_gbnf({"allOf": [{"$ref": "#"}], "type": "object"})
    gbnf = schema_to_gbnf({"anyOf": [{"type": "null"}, {"type": "array", "items": {"$ref": "#"}}]})
    assert checker.accepts(gbnf, "[[null], []]")


def test_until_stops_at_the_first_delimiter(checker: GrammarChecker) -> None:
    rules = Rules()
    gbnf = rules.text(f'{until(rules, "aab")} "!"')
    for text in ("aab!", "xaaab!", "aaaaab!", "a aab!", "é\naab!"):
        assert checker.accepts(gbnf, text), text
    for text in ("aab", "aabaab!", "ab!", "aa!"):
        assert not checker.accepts(gbnf, text), text


SCHEMAS = st.recursive(
    st.sampled_from(
        [
            {"type": "string"},
            {"type": "integer", "minimum": 1},
            {"type": "number"},
            {"enum": ["x", 1]},
            {"type": ["string", "null"]},
            {},
            {"type": "string", "pattern": "^\\w+$"},
        ]
    ),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.dictionaries(st.text(max_size=6), inner, max_size=4).map(
            lambda p: {"type": "object", "properties": p, "required": list(p)[:2]}
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=8,
)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(SCHEMAS)
def test_any_schema_becomes_a_grammar_llama_cpp_can_parse(
    checker: GrammarChecker, schema: dict[str, Any]
) -> None:
    rules = Rules()
    gbnf = rules.text(SchemaGrammar(rules, schema, strict=True).rule(schema))
    checker.accepts(gbnf, "x")


ARGUMENTS = {"path": "a.py", "limit": 3}
FORCED: dict[str, str] = {
    "generic": '{"path": "a.py", "limit": 3}}\n</tool_call>',
    "hermes": '{"path": "a.py", "limit": 3}}\n</tool_call>',
    "llama3": '{"path": "a.py", "limit": 3}}',
    "mistral": '{"path": "a.py", "limit": 3}',
    "mistral-json": '{"path": "a.py", "limit": 3}}]',
    "granite": '{"path": "a.py", "limit": 3}}]',
    "harmony": '{"path": "a.py", "limit": 3}',
    "qwen3-coder": "<parameter=path>\na.py\n</parameter>\n<parameter=limit>\n3\n</parameter>\n"
    "</function>\n</tool_call>",
    "glm": "<arg_key>path</arg_key>\n<arg_value>a.py</arg_value>\n<arg_key>limit</arg_key>\n"
    "<arg_value>3</arg_value>\n</tool_call>",
    "deepseek": '{"path": "a.py", "limit": 3}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    "kimi": '{"path": "a.py", "limit": 3}<|tool_call_end|><|tool_calls_section_end|>',
}


@pytest.mark.parametrize("kind", sorted(FORCED))
def test_a_forced_call_is_held_by_its_grammar_and_understood(
    checker: GrammarChecker, kind: str
) -> None:
    named = ChatRequest(
        (ChatMessage("user", "x"),), tools=TOOLS, tool_choice=ToolChoice("named", "read_file")
    )
    forcing = forcing_for(named, BY_NAME[kind], "")
    assert forcing.grammar is not None
    answer = FORCED[kind]
    assert checker.accepts(forcing.grammar.gbnf, answer)
    assert not checker.accepts(forcing.grammar.gbnf, "Sure, I will.")
    _, _, calls = meaning(parse(parser_for(kind), [forcing.opening + answer]))
    assert calls == [("read_file", ARGUMENTS)]

    required = ChatRequest(
        (ChatMessage("user", "x"),), tools=TOOLS, tool_choice=ToolChoice("required")
    )
    any_call = forcing_for(required, BY_NAME[kind], "")
    assert any_call.grammar is not None
    rest = (forcing.opening + answer).removeprefix(any_call.opening)
    assert checker.accepts(any_call.grammar.gbnf, rest)
    assert not checker.accepts(any_call.grammar.gbnf, "rm" + rest)
    assert not checker.accepts(any_call.grammar.gbnf, "")


def test_every_known_format_can_be_forced(checker: GrammarChecker) -> None:
    for _, found in [*_FORMATS, ((), GENERIC)]:
        request = ChatRequest(
            (ChatMessage("user", "x"),), tools=TOOLS, tool_choice=ToolChoice("required")
        )
        forcing = forcing_for(request, found, "")
        assert forcing.grammar is not None
        assert not checker.accepts(forcing.grammar.gbnf, "hello")


def test_tools_with_an_answer_schema_allow_a_call_or_the_json(checker: GrammarChecker) -> None:
    request = ChatRequest((ChatMessage("user", "x"),), tools=TOOLS, json_schema=PERSON)
    forcing = forcing_for(request, BY_NAME["hermes"], "")
    assert forcing.grammar is not None
    assert checker.accepts(forcing.grammar.gbnf, '{"name": "Al", "age": 7}')
    call = '<tool_call>\n{"name": "list", "arguments": {}}\n</tool_call>'
    assert checker.accepts(forcing.grammar.gbnf, call)
    assert not checker.accepts(forcing.grammar.gbnf, "hello")


def test_a_tool_schema_that_cannot_be_held_still_forces_some_object(
    checker: GrammarChecker,
) -> None:
    tool = Tool("odd", "", {"type": "object", "properties": {"a": {"type": "thing"}}})
    request = ChatRequest(
        (ChatMessage("user", "x"),), tools=(tool,), tool_choice=ToolChoice("named", "odd")
    )
    for kind, answer in (
        ("hermes", '{"a": 1}}\n</tool_call>'),
        ("qwen3-coder", "</function>\n</tool_call>"),
    ):
        forcing = forcing_for(request, BY_NAME[kind], "")
        assert forcing.grammar is not None
        assert checker.accepts(forcing.grammar.gbnf, answer), kind


def test_an_unsupported_response_schema_is_a_clear_400() -> None:
    request = ChatRequest((ChatMessage("user", "x"),), json_schema={"not": {}})
    with pytest.raises(EngineRefused, match="'not'") as caught:
        forcing_for(request, GENERIC, "")
    assert caught.value.facts["status"] == 400
