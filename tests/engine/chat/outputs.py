"""Model outputs as their families write them, and what they mean.

Each: format name, text, expected prose, expected reasoning, expected calls (name, arguments).
"""

# ruff: noqa: E501 - outputs are easier to compare in one piece
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.engine.chat.values import Tool

TOOLS = (
    Tool(
        "read_file",
        "Reads a file.",
        {
            "type": "object",
            "properties": {
                "path": {"type": "string"},
                "limit": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "string"}},
                "deep": {"type": "boolean"},
                "any": {"anyOf": [{"type": "string"}, {"type": "number"}]},
            },
            "required": ["path"],
        },
    ),
    Tool(
        "write_file",
        "Writes a file.",
        {
            "type": "object",
            "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
            "required": ["path", "content"],
        },
    ),
    Tool("list", "Lists.", {}),
)

Call = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Output:
    name: str
    kind: str
    text: str
    prose: str = ""
    thinking: str = ""
    calls: list[Call] = field(default_factory=list)


READ: Call = ("read_file", {"path": "a.py"})
CODE = 'def f():\n    return "</parameter>"\n\n\nprint(f())\n'

OUTPUTS = [
    Output(
        "plain",
        "hermes",
        "Just text with < and { and `code`.",
        "Just text with < and { and `code`.",
    ),
    Output(
        "qwen xml with prose",
        "qwen3-coder",
        "I'll look.\n\n<tool_call>\n<function=read_file>\n<parameter=path>\na.py\n</parameter>\n"
        "<parameter=limit>\n20\n</parameter>\n</function>\n</tool_call>",
        "I'll look.",
        calls=[("read_file", {"path": "a.py", "limit": 20})],
    ),
    Output(
        "qwen xml keeps file content verbatim",
        "qwen3-coder",
        f"<tool_call>\n<function=write_file>\n<parameter=path>\nx.py\n</parameter>\n"
        f"<parameter=content>\n{CODE}\n</parameter>\n</function>\n</tool_call>",
        calls=[("write_file", {"path": "x.py", "content": CODE})],
    ),
    Output(
        "qwen xml without wrapper, types by schema",
        "qwen3-coder",
        "<function=read_file>\n<parameter=path>\n123\n</parameter>\n<parameter=tags>\n"
        '["a", "b"]\n</parameter>\n<parameter=deep>\nTrue\n</parameter>\n<parameter=any>\n7\n'
        "</parameter>\n</function>",
        calls=[("read_file", {"path": "123", "tags": ["a", "b"], "deep": True, "any": 7})],
    ),
    Output(
        "qwen xml null and json stay strings",
        "qwen3-coder",
        "<tool_call>\n<function=write_file>\n<parameter=path>\nnull\n</parameter>\n<parameter=content>\n"
        '{"a": 1}\n</parameter>\n</function>\n</tool_call>',
        calls=[("write_file", {"path": "null", "content": '{"a": 1}'})],
    ),
    Output(
        "qwen xml parallel, no arguments",
        "qwen3-coder",
        "<tool_call>\n<function=list>\n</function>\n</tool_call>\n<tool_call>\n<function=read_file>\n"
        "<parameter=path>\na.py\n</parameter>\n</function>\n</tool_call>",
        calls=[("list", {}), READ],
    ),
    Output(
        "qwen xml with a repeated parameter",
        "qwen3-coder",
        "<tool_call>\n<function=read_file>\n<parameter=path>\na.py\n</parameter>\n<parameter=path>\n"
        "b.py\n</parameter>\n</function>\n</tool_call>",
        calls=[READ],
    ),
    Output(
        "qwen xml with missing closers",
        "qwen3-coder",
        "<tool_call>\n<function=read_file>\n<parameter=path>\na.py\n</parameter>\n",
        calls=[READ],
    ),
    Output(
        "qwen xml missing parameter closer at the end",
        "qwen3-coder",
        "<tool_call>\n<function=read_file>\n<parameter=path>\na.py\n</function>\n</tool_call>",
        calls=[READ],
    ),
    Output(
        "an include is not a call",
        "qwen3-coder",
        "```cpp\n#include <functional>\n```\n<function=unknown>\n<parameter=a>1",
        "```cpp\n#include <functional>\n```\n<function=unknown>\n<parameter=a>1",
    ),
    Output(
        "thinking, then a call inside it",
        "qwen3-coder",
        "<think>\nHm.\n</think>\n\n<tool_call>\n<function=list>\n</function>\n</tool_call>",
        thinking="Hm.",
        calls=[("list", {})],
    ),
    Output(
        "hermes",
        "hermes",
        'Let me see.\n<tool_call>\n{"name": "read_file", "arguments": {"path": "a.py"}}\n</tool_call>',
        "Let me see.",
        calls=[READ],
    ),
    Output(
        "hermes parallel and text after",
        "hermes",
        '<tool_call>\n{"name": "list", "arguments": {}}\n</tool_call>\n<tool_call>\n{"name": '
        '"read_file", "arguments": {"path": "a.py"}}\n</tool_call>\nDone.',
        "Done.",
        calls=[("list", {}), READ],
    ),
    Output(
        "hermes with the closing tag inside a string",
        "hermes",
        '<tool_call>{"name": "write_file", "arguments": {"path": "x", "content": '
        '"a </tool_call> \\"q\\" {b"}}</tool_call>',
        calls=[("write_file", {"path": "x", "content": 'a </tool_call> "q" {b'})],
    ),
    Output(
        "hermes with arguments as a string, and no closing tag",
        "hermes",
        '<tool_call>\n{"name": "read_file", "arguments": "{\\"path\\": \\"a.py\\"}"}',
        calls=[READ],
    ),
    Output(
        "hermes missing the last brace",
        "hermes",
        '<tool_call>\n{"name": "read_file", "arguments": {"path": "a.py"}\n',
        calls=[READ],
    ),
    Output(
        "hermes unknown tool stays text",
        "hermes",
        '<tool_call>\n{"name": "rm", "arguments": {}}\n</tool_call>',
        '<tool_call>\n{"name": "rm", "arguments": {}}\n</tool_call>',
    ),
    Output(
        "hermes broken json stays text",
        "hermes",
        '<tool_call>\n{"name": read_file oops}\n</tool_call> ok',
        '<tool_call>\n{"name": read_file oops}\n</tool_call> ok',
    ),
    Output(
        "hermes raw newline and python literals",
        "hermes",
        '<tool_call>\n{"name": "write_file", "arguments": {"path": "x", "content": "a\nb",}}\n</tool_call>',
        calls=[("write_file", {"path": "x", "content": "a\nb"})],
    ),
    Output(
        "qwen3 with thinking",
        "hermes",
        '<think>\nI should read.\n</think>\n\nSure.\n<tool_call>\n{"name": "list", "arguments": {}}\n'
        "</tool_call>",
        "Sure.",
        "I should read.",
        [("list", {})],
    ),
    Output(
        "small qwen writes a fenced block",
        "hermes",
        'Here:\n\n```json\n{\n  "name": "read_file",\n  "arguments": {\n    "path": "a.py"\n  }\n}\n```',
        "Here:",
        calls=[READ],
    ),
    Output(
        "small qwen writes tools tags",
        "hermes",
        '<tools>\n{"name": "read_file", "arguments": {"path": "a.py"}}\n</tools>',
        calls=[READ],
    ),
    Output(
        "bare json",
        "generic",
        '{"name": "read_file", "parameters": {"path": "a.py"}}',
        calls=[READ],
    ),
    Output(
        "an ordinary fenced json block stays text",
        "generic",
        'Config:\n```json\n{"port": 1, "name": "x"}\n```\nSee?',
        'Config:\n```json\n{"port": 1, "name": "x"}\n```\nSee?',
    ),
    Output("json that is no call stays text", "generic", '{"answer": 42}', '{"answer": 42}'),
    Output("a list stays text", "generic", "[1, 2, 3] is a list", "[1, 2, 3] is a list"),
    Output(
        "llama 3.1 with python tag",
        "llama3",
        '<|python_tag|>{"name": "read_file", "parameters": {"path": "a.py"}}',
        calls=[READ],
    ),
    Output(
        "llama two calls with a semicolon",
        "llama3",
        '{"name": "list", "parameters": {}}; {"name": "read_file", "parameters": {"path": "a.py"}}',
        calls=[("list", {}), READ],
    ),
    Output(
        "llama custom function tag",
        "llama3",
        '<function=read_file>{"path": "a.py"}</function>',
        calls=[READ],
    ),
    Output(
        "mistral list",
        "mistral-json",
        '[TOOL_CALLS][{"name": "read_file", "arguments": {"path": "a.py"}, "id": "123456789"}]',
        calls=[READ],
    ),
    Output(
        "mistral v11, parallel",
        "mistral",
        '[TOOL_CALLS]list[ARGS]{}[TOOL_CALLS]read_file[CALL_ID]abc[ARGS]{"path": "a.py"}',
        calls=[("list", {}), READ],
    ),
    Output(
        "magistral thinking",
        "mistral",
        "[THINK]Easy.[/THINK]It is 4.",
        "It is 4.",
        "Easy.",
    ),
    Output(
        "gemma 4",
        "gemma4",
        '<|tool_call>call:read_file{path:<|"|>a.py<|"|>,limit:5,tags:[<|"|>x<|"|>,<|"|>y<|"|>]}<tool_call|>',
        calls=[("read_file", {"path": "a.py", "limit": 5, "tags": ["x", "y"]})],
    ),
    Output(
        "functiongemma",
        "functiongemma",
        "<start_function_call>call:write_file{content:<escape>a, {b}<escape>,path:<escape>x<escape>}"
        "<end_function_call>",
        calls=[("write_file", {"path": "x", "content": "a, {b}"})],
    ),
    Output(
        "gemma 3 tool code",
        "generic",
        '```tool_code\nprint(read_file(path="a.py"))\n```',
        calls=[READ],
    ),
    Output(
        "harmony with analysis and a call",
        "harmony",
        "<|channel|>analysis<|message|>Need the file.<|end|><|start|>assistant<|channel|>commentary "
        'to=functions.read_file <|constrain|>json<|message|>{"path": "a.py"}<|call|>',
        thinking="Need the file.",
        calls=[READ],
    ),
    Output(
        "harmony recipient in the role, preamble",
        "harmony",
        "<|channel|>commentary<|message|>Looking.<|end|><|start|>assistant to=functions.list"
        "<|channel|>commentary json<|message|>{}<|call|>",
        "Looking.",
        calls=[("list", {})],
    ),
    Output(
        "harmony final",
        "harmony",
        "<|channel|>analysis<|message|>2+2<|end|><|start|>assistant<|channel|>final<|message|>4<|return|>",
        "4",
        "2+2",
    ),
    Output(
        "glm",
        "glm",
        "<think>ok</think>\n<tool_call>read_file\n<arg_key>path</arg_key>\n<arg_value>a.py</arg_value>\n"
        "<arg_key>limit</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
        thinking="ok",
        calls=[("read_file", {"path": "a.py", "limit": 3})],
    ),
    Output(
        "granite",
        "granite",
        '<|tool_call|>[{"name": "read_file", "arguments": {"path": "a.py"}}]',
        calls=[READ],
    ),
    Output(
        "deepseek r1",
        "deepseek",
        "<think>\nx\n</think>\n\nOk<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>read_file\n"
        '```json\n{"path": "a.py"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        "Ok",
        "x",
        [READ],
    ),
    Output(
        "deepseek v3.1, two calls",
        "deepseek",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>list<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
        '<｜tool▁call▁begin｜>read_file<｜tool▁sep｜>{"path": "a.py"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
        calls=[("list", {}), READ],
    ),
    Output(
        "deepseek v3.2",
        "dsml",
        '<｜DSML｜function_calls>\n<｜DSML｜invoke name="read_file">\n<｜DSML｜parameter name="path" '
        'string="true">a.py</｜DSML｜parameter>\n<｜DSML｜parameter name="limit" string="false">4'
        "</｜DSML｜parameter>\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
        calls=[("read_file", {"path": "a.py", "limit": 4})],
    ),
    Output(
        "kimi",
        "kimi",
        "Sure.<|tool_calls_section_begin|><|tool_call_begin|>functions.read_file:0"
        '<|tool_call_argument_begin|>{"path": "a.py"}<|tool_call_end|><|tool_calls_section_end|>',
        "Sure.",
        calls=[READ],
    ),
    Output(
        "minimax",
        "minimax",
        '<think>t</think>\n<minimax:tool_call>\n<invoke name="read_file">\n<parameter name="path">a.py'
        '</parameter>\n<parameter name="limit">2</parameter>\n</invoke>\n</minimax:tool_call>',
        thinking="t",
        calls=[("read_file", {"path": "a.py", "limit": 2})],
    ),
    Output(
        "lfm2",
        "lfm2",
        '<|tool_call_start|>[read_file(path="a.py", limit=2)]<|tool_call_end|>Checking.',
        "Checking.",
        calls=[("read_file", {"path": "a.py", "limit": 2})],
    ),
]
