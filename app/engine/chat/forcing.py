"""Makes an answer be a tool call, or JSON of a schema, from its first token.

The beginning that is the same for every such answer is written into the prompt; a grammar holds
the rest. Grammars are never used for tool_choice "auto": they cost time on every token, and a
fixed order of arguments makes good models worse.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.core.errors import EngineRefused
from app.engine.chat.grammar.calls import call_rule, shape_of, written_name
from app.engine.chat.grammar.rules import Rules, UnsupportedSchema, literal
from app.engine.chat.grammar.schema import SchemaGrammar
from app.engine.chat.parsing.formats import ToolFormat
from app.engine.chat.values import ChatRequest
from app.engine.types import Grammar

_HARMONY_FINAL = "<|channel|>final<|message|>"


@dataclass(frozen=True, slots=True)
class Forcing:
    """`opening` is written into the prompt as the answer's beginning; `grammar` holds the rest."""

    opening: str = ""
    grammar: Grammar | None = None
    closes_thinking: bool = False


def forcing_for(request: ChatRequest, tool_format: ToolFormat, template: str) -> Forcing:
    """What the request's tool_choice or response format demands; nothing for most requests.

    Raises:
        EngineRefused: status 400, for schemas no grammar can hold.
    """
    choice = request.tool_choice
    shape = shape_of(tool_format, template)
    if choice.mode in ("required", "named"):
        named = choice.mode == "named"
        tools = [tool for tool in request.callable_tools if not named or tool.name == choice.name]
        opening = shape.before
        if named:
            opening += written_name(shape, choice.name) + shape.between
        rules = Rules()
        root = call_rule(rules, shape, tools, named=named)
        return Forcing(opening, _grammar(rules, root), closes_thinking=True)
    if request.json_schema is None:
        return Forcing()
    rules = Rules()
    try:
        if request.json_schema:
            grammar = SchemaGrammar(rules, request.json_schema, strict=True)
            root = grammar.rule(request.json_schema, "answer")
        else:
            root = rules.base("object")
    except UnsupportedSchema as problem:
        raise EngineRefused(
            f"This response schema cannot be enforced: it uses {problem}.",
            "Simplify the schema.",
            status=400,
        ) from problem
    if request.callable_tools and choice.mode == "auto":
        call = call_rule(rules, shape, request.callable_tools, named=False)
        final = f"{literal(_HARMONY_FINAL)} " if tool_format.name == "harmony" else ""
        root = f"{final}{root} | {literal(shape.before)} {call}"
        return Forcing("", _grammar(rules, root), closes_thinking=True)
    opening = _HARMONY_FINAL if tool_format.name == "harmony" else ""
    return Forcing(opening, _grammar(rules, root), closes_thinking=True)


def _grammar(rules: Rules, root: str) -> Grammar:
    if rules.is_too_large:
        raise EngineRefused(
            "The schemas of this request are too large to be enforced.",
            "Offer fewer tools, or a simpler schema.",
            status=400,
        )
    return Grammar(rules.text(root))
