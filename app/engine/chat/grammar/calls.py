"""Grammars that leave a model no choice but to call a tool, in its own format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.engine.chat.grammar.rules import Rules, UnsupportedSchema, literal, until
from app.engine.chat.grammar.schema import SchemaGrammar
from app.engine.chat.parsing.formats import ToolFormat
from app.engine.chat.parsing.qwen_xml import types_of
from app.engine.chat.values import Tool

_DEEPSEEK_OPEN = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>"
_DEEPSEEK_CLOSE = "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"


@dataclass(frozen=True, slots=True)
class CallShape:
    """`before` NAME `between` ARGUMENTS `after`, with arguments written in one of three ways."""

    before: str
    between: str
    after: str
    style: str = "json"  # json, xml (Qwen3-Coder) or glm


def shape_of(tool_format: ToolFormat, template: str) -> CallShape:
    """How this format writes one call. Formats without a shape of their own take the generic one,
    which every parser understands."""
    match tool_format.name:
        case "qwen3-coder":
            return CallShape("<tool_call>\n<function=", ">\n", "</function>\n</tool_call>", "xml")
        case "glm":
            return CallShape("<tool_call>", "\n", "</tool_call>", "glm")
        case "llama3":
            return CallShape('{"name": "', '", "parameters": ', "}")
        case "mistral-json":
            return CallShape('[TOOL_CALLS][{"name": "', '", "arguments": ', "}]")
        case "mistral":
            return CallShape("[TOOL_CALLS]", "[ARGS]", "")
        case "granite":
            return CallShape('<|tool_call|>[{"name": "', '", "arguments": ', "}]")
        case "deepseek" if "```json" in template:
            middle = "\n```json\n"
            before = f"{_DEEPSEEK_OPEN}function<｜tool▁sep｜>"
            return CallShape(before, middle, f"\n```{_DEEPSEEK_CLOSE}")
        case "deepseek":
            return CallShape(_DEEPSEEK_OPEN, "<｜tool▁sep｜>", _DEEPSEEK_CLOSE)
        case "kimi":
            return CallShape(
                "<|tool_calls_section_begin|><|tool_call_begin|>functions.",
                ":0<|tool_call_argument_begin|>",
                "<|tool_call_end|><|tool_calls_section_end|>",
            )
        case "harmony":
            return CallShape(
                "<|channel|>commentary to=functions.", " <|constrain|>json<|message|>", ""
            )
        case _:
            return CallShape('<tool_call>\n{"name": "', '", "arguments": ', "}\n</tool_call>")


def written_name(shape: CallShape, name: str) -> str:
    """The name as it stands in a call: inside a JSON string it may need escapes."""
    return json.dumps(name, ensure_ascii=False)[1:-1] if shape.before.endswith('"') else name


def call_rule(rules: Rules, shape: CallShape, tools: Sequence[Tool], *, named: bool) -> str:
    """What follows `before` (or, with `named`, what follows the one tool's `between`)."""
    options = []
    for tool in tools:
        head = "" if named else literal(written_name(shape, tool.name) + shape.between) + " "
        tail = f" {literal(shape.after)}" if shape.after else ""
        options.append(f"{head}{_arguments(rules, shape, tool)}{tail}")
    return rules.add("call", " | ".join(options))


def _arguments(rules: Rules, shape: CallShape, tool: Tool) -> str:
    schema: Mapping[str, Any] = {"type": "object", **tool.parameters}
    if not isinstance(schema.get("properties"), Mapping):
        schema = {**schema, "properties": {}}
    try:
        if shape.style == "json":
            return SchemaGrammar(rules, schema, strict=False).rule(schema, tool.name)
        return _pairs(rules, shape, tool, schema)
    except UnsupportedSchema:
        return rules.base("object") if shape.style == "json" else _any_pairs(rules, shape)


def _pairs(rules: Rules, shape: CallShape, tool: Tool, schema: Mapping[str, Any]) -> str:
    required = schema.get("required")
    required = set(required) if isinstance(required, list) else set()
    parts = []
    for key, inner in schema["properties"].items():
        grammar = SchemaGrammar(rules, schema, strict=False)
        pair = _pair(rules, shape, key, inner, grammar)
        name = rules.add(f"{tool.name}-{key}", pair)
        parts.append(name if key in required else f"{name}?")
    return rules.add(tool.name, " ".join(parts) or '""')


def _ends(shape: CallShape) -> tuple[str, str, str]:
    """What opens a pair (with {key}), and what closes its value before and after the newline."""
    if shape.style == "xml":
        return "<parameter={key}>\n", "\n</parameter>", "\n"
    return "<arg_key>{key}</arg_key>\n<arg_value>", "</arg_value>", "\n"


def _pair(rules: Rules, shape: CallShape, key: str, inner: Any, grammar: SchemaGrammar) -> str:
    opening, closing, gap = _ends(shape)
    head = literal(opening.replace("{key}", key))
    if types_of(inner) in ({"string"}, set()):
        values = inner.get("enum") if isinstance(inner, Mapping) else None
        if isinstance(values, list) and values and all(isinstance(v, str) for v in values):
            choice = " | ".join(literal(value) for value in values)
            return f"{head} ( {choice} ) {literal(closing + gap)}"
        return f"{head} {until(rules, closing)} {literal(gap)}"
    return f"{head} {grammar.rule(inner, key)} {literal(closing + gap)}"


def _any_pairs(rules: Rules, shape: CallShape) -> str:
    opening, closing, gap = _ends(shape)
    before, _, after = opening.partition("{key}")
    pair = f"{literal(before)} [a-zA-Z0-9_.-]{{1,64}} {literal(after)} {until(rules, closing)}"
    return f"( {pair} {literal(gap)} )*"
