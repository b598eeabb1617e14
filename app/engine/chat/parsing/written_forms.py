"""Calls that are written neither as JSON nor as Qwen's XML: GLM, MiniMax, Gemma, Python."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.engine.chat.parsing.jsonish import MAX_LITERAL_CHARS
from app.engine.chat.parsing.qwen_xml import coerce, types_of
from app.engine.chat.parsing.readers import Offered

Calls = list[tuple[str, str]] | None
# Each of these matches one tag: with what lies between them in the pattern, a model that repeats an
# opening tag for ever would be searched to its end from every one of them.
_GLM_KEY, _GLM_KEY_END = "<arg_key>", "</arg_key>"
_GLM_VALUE, _GLM_VALUE_END = re.compile(r"\s*<arg_value>"), "</arg_value>"
_INVOKE = re.compile(r'<(?:｜DSML｜)?invoke name="([^"<]*)"\s*>')
_INVOKE_END = re.compile(r"</(?:｜DSML｜)?invoke>")
_PARAMETER = re.compile(r'<(?:｜DSML｜)?parameter name="([^"<]*)"(?: string="(true|false)")?\s*>')
_PARAMETER_END = re.compile(r"</(?:｜DSML｜)?parameter>")
_GEMMA_CALL = re.compile(r"\s*call:([\w.\-:/]+)\s*(?=\{)")
_GEMMA_QUOTES = ('<|"|>', "<escape>")
_GEMMA_KEY = re.compile(r"\s*([^:{}\[\],]+?)\s*:")
_GEMMA_SCALAR = re.compile(r"[^,}\]]*")


def _typed(tools: Offered, name: str, raw: Mapping[str, str]) -> str:
    properties = tools.schemas[name].get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    values: dict[str, Any] = {}
    for key, text in raw.items():
        schema = properties.get(key)
        is_string = schema is None or types_of(schema) == {"string"}
        values[key] = text if is_string else coerce(text, schema)
    return json.dumps(values, ensure_ascii=False)


def one_newline_less(text: str) -> str:
    """The text without exactly one leading and one trailing newline."""
    text = text.removeprefix("\n")
    return text.removesuffix("\n")


def glm_calls(body: str, tools: Offered) -> Calls:
    """`NAME`, then `<arg_key>K</arg_key>` and `<arg_value>V</arg_value>` pairs."""
    name = body.split("<arg_key>", 1)[0].strip()
    if name not in tools.names:
        return None
    raw: dict[str, str] = {}
    for key, value in _glm_pairs(body):
        raw.setdefault(key.strip(), value)
    return [(name, _typed(tools, name, raw))]


def _glm_pairs(body: str) -> Iterator[tuple[str, str]]:
    """Keys with their values, the last of which may lack its end."""
    at = 0
    while (start := body.find(_GLM_KEY, at)) >= 0:
        start += len(_GLM_KEY)
        end = body.find(_GLM_KEY_END, start)
        if end < 0:
            return
        value = _GLM_VALUE.match(body, end + len(_GLM_KEY_END))
        if value is None:
            at = end
            continue
        stop = body.find(_GLM_VALUE_END, value.end())
        at = len(body) if stop < 0 else stop
        yield body[start:end], body[value.end() : at]


def invoke_calls(body: str, tools: Offered) -> Calls:
    """`<invoke name="N">` with `<parameter name="K">V</parameter>`: MiniMax, DeepSeek V3.2."""
    found: list[tuple[str, str]] = []
    for (name,), inner in _elements(body, _INVOKE, _INVOKE_END, open_end=True):
        if name not in tools.names:
            return None
        raw: dict[str, str] = {}
        typed: dict[str, Any] = {}
        for (key, is_string), value in _elements(inner, _PARAMETER, _PARAMETER_END):
            if is_string == "false":
                typed[key] = coerce(value, {})
            else:
                raw.setdefault(key, value if is_string else one_newline_less(value))
        arguments = {**json.loads(_typed(tools, name, raw)), **typed}
        found.append((name, json.dumps(arguments, ensure_ascii=False)))
    return found or None


def _elements(
    text: str, opening: re.Pattern[str], closing: re.Pattern[str], *, open_end: bool = False
) -> Iterator[tuple[tuple[str, ...], str]]:
    """What the opening tags say, and what is between them and the next closing tag. With `open_end`
    the last may lack its end."""
    at = 0
    while start := opening.search(text, at):
        end = closing.search(text, start.end())
        if end is None:
            if open_end:
                yield start.groups(""), text[start.end() :]
            return
        yield start.groups(""), text[start.end() : end.start()]
        at = end.end()


def gemma_calls(body: str, tools: Offered) -> Calls:
    """`call:NAME{key:<|"|>text<|"|>,other:3}`: Gemma 4 and FunctionGemma."""
    match = _GEMMA_CALL.match(body)
    if match is None or match.group(1) not in tools.names:
        return None
    try:
        value, _ = _gemma_value(body, match.end(), 0)
    except (ValueError, IndexError):
        return None
    return [(match.group(1), json.dumps(value, ensure_ascii=False))]


def _gemma_value(text: str, at: int, depth: int) -> tuple[Any, int]:
    if depth > 60:
        raise ValueError("nested too deeply")
    while at < len(text) and text[at].isspace():
        at += 1
    for quote in _GEMMA_QUOTES:
        if text.startswith(quote, at):
            end = text.index(quote, at + len(quote))
            return text[at + len(quote) : end], end + len(quote)
    if at >= len(text):
        raise ValueError("the call ends too early")
    if text[at] in "{[":
        return _gemma_group(text, at, depth)
    if text[at] == '"':
        value, size = json.JSONDecoder(strict=False).raw_decode(text[at:])
        return value, at + size
    scalar = _GEMMA_SCALAR.match(text, at)
    assert scalar is not None
    raw = scalar.group().strip()
    try:
        return json.loads(raw), scalar.end()
    except ValueError:
        return raw, scalar.end()


def _gemma_group(text: str, at: int, depth: int) -> tuple[Any, int]:
    is_object = text[at] == "{"
    closer = "}" if is_object else "]"
    pairs: dict[str, Any] = {}
    items: list[Any] = []
    at += 1
    while True:
        while at < len(text) and (text[at].isspace() or text[at] == ","):
            at += 1
        if at >= len(text) or text[at] == closer:  # a missing end is forgiven
            return (pairs if is_object else items), at + 1
        if is_object:
            key = _GEMMA_KEY.match(text, at)
            if key is None:
                raise ValueError("no key")
            name = key.group(1)
            for quote in (*_GEMMA_QUOTES, '"'):
                name = name.removeprefix(quote).removesuffix(quote)
            pairs[name], at = _gemma_value(text, key.end(), depth + 1)
        else:
            item, at = _gemma_value(text, at, depth + 1)
            items.append(item)


def python_calls(body: str, tools: Offered) -> Calls:
    """`f(a=1)`, `[f(a=1), g()]` or `print(f(a=1))`: Llama's and Gemma's Python-like calls."""
    if len(body) > MAX_LITERAL_CHARS:
        return None
    try:
        tree = ast.parse(body.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    nodes = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
    found: list[tuple[str, str]] = []
    for node in nodes:
        call = _python_call(node, tools)
        if call is None:
            return None
        found.append(call)
    return found or None


def _python_call(node: ast.expr, tools: Offered) -> tuple[str, str] | None:
    if not isinstance(node, ast.Call):
        return None
    name = ast.unparse(node.func)
    if name == "print" and name not in tools.names and len(node.args) == 1:
        return _python_call(node.args[0], tools)
    if name not in tools.names:
        return None
    properties = tools.schemas[name].get("properties")
    keys = list(properties) if isinstance(properties, Mapping) else []
    values: dict[str, Any] = {}
    try:
        for key, argument in zip(keys, node.args, strict=False):
            values[key] = ast.literal_eval(argument)
        for keyword in node.keywords:
            if keyword.arg is None:
                return None
            values[keyword.arg] = ast.literal_eval(keyword.value)
        return name, json.dumps(values, ensure_ascii=False)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
