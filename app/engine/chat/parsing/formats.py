"""Which way of writing tool calls a model was taught, read off its chat template."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from app.engine.chat.capabilities import TemplateCapabilities
from app.engine.chat.control_tokens import ControlTokens
from app.engine.chat.parsing import written_forms as forms
from app.engine.chat.parsing.events import OutputParser, PlainParser
from app.engine.chat.parsing.harmony import HarmonyParser
from app.engine.chat.parsing.qwen_xml import FUNCTION, QwenXmlReader
from app.engine.chat.parsing.readers import (
    FAIL,
    MORE,
    ChoiceReader,
    HeadedJsonReader,
    JsonReader,
    Offered,
    Reader,
    Step,
    UntilReader,
)
from app.engine.chat.parsing.stream import Syntax, ToolStream
from app.engine.chat.parsing.thinking import TAGS, ThinkingSplitter
from app.engine.chat.values import ChatRequest

_CALL = "<tool_call>"
_DEEPSEEK_MARKS = ("<｜tool▁sep｜>", "<｜tool▁call▁begin｜>", "<｜tool▁calls▁begin｜>")
_DEEPSEEK_ENDS = ("<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>")
_KIMI_MARKS = ("<|tool_call_argument_begin|>",)
_KIMI_ENDS = ("<|tool_call_end|>", "<|tool_calls_section_end|>")
_MISTRAL_MARKS = ("[ARGS]", "[CALL_ID]")
# around calls whose inside is known
_WRAPPERS = ("<seed:tool_call>", "</seed:tool_call>", "<|tool_calls_section_begin|>")
MAX_NOISE = 400
MAX_INFO_CHARS = 20
_INFO = re.compile(r"\s*\w*\s*")
_FENCE_WORDS = ("", "json", "tool_call", "tool_calls", "tool", "function_call", "xml")


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """`trigger` begins a call; `special` says that the format is written in control tokens."""

    name: str
    trigger: str = ""
    special: bool = False


GENERIC = ToolFormat("generic", _CALL)
# the first format all of whose marks are in the template is the model's
_FORMATS: tuple[tuple[tuple[str, ...], ToolFormat], ...] = (
    (("<|channel|>", "<|start|>", "<|message|>"), ToolFormat("harmony", "", special=True)),
    (("<|tool_call>", "<tool_call|>"), ToolFormat("gemma4", "<|tool_call>", special=True)),
    (
        ("<start_function_call>",),
        ToolFormat("functiongemma", "<start_function_call>", special=True),
    ),
    (("<minimax:tool_call>",), ToolFormat("minimax", "<minimax:tool_call>", special=True)),
    (("｜DSML｜",), ToolFormat("dsml", "<｜DSML｜function_calls>", special=True)),
    (("<｜tool▁call▁begin｜>",), ToolFormat("deepseek", "<｜tool▁calls▁begin｜>", special=True)),
    (("<|tool_call_begin|>",), ToolFormat("kimi", "<|tool_calls_section_begin|>", special=True)),
    (("<arg_key>",), ToolFormat("glm", _CALL, special=True)),
    ((_CALL, FUNCTION, "<parameter="), ToolFormat("qwen3-coder", _CALL)),
    (("[TOOL_CALLS]", "[ARGS]"), ToolFormat("mistral", "[TOOL_CALLS]", special=True)),
    (("[TOOL_CALLS]",), ToolFormat("mistral-json", "[TOOL_CALLS]", special=True)),
    (("<|tool_call|>",), ToolFormat("granite", "<|tool_call|>", special=True)),
    (("<|tool_call_start|>",), ToolFormat("lfm2", "<|tool_call_start|>", special=True)),
    (("<|tool_list_start|>",), ToolFormat("lfm2", "<|tool_call_start|>", special=True)),
    ((_CALL,), ToolFormat("hermes", _CALL)),
    (("<|eot_id|>", '"parameters"'), ToolFormat("llama3", "<|python_tag|>", special=True)),
    (("<|python_tag|>",), ToolFormat("llama3", "<|python_tag|>", special=True)),
)


def detect_format(template: str, can: TemplateCapabilities) -> ToolFormat:
    """The format the template teaches; the generic one where it knows no tools."""
    for marks, found in _FORMATS:
        if all(mark in template for mark in marks):
            return found if can.tools or found.name == "harmony" else GENERIC
    return GENERIC


def make_parser(
    tool_format: ToolFormat, request: ChatRequest, control: ControlTokens, *, in_thinking: bool
) -> OutputParser:
    """The parser of one answer."""
    looks_for_calls = bool(request.callable_tools) and request.tool_choice.mode != "none"
    offered = request.callable_tools if looks_for_calls else ()
    tools = Offered({tool.name: tool.parameters for tool in offered})
    if tool_format.name == "harmony":
        return HarmonyParser(tools.names)
    noise = control.texts[:MAX_NOISE] if tool_format.special else ()
    noise = tuple(text for text in noise if text not in TAGS and text not in TAGS.values())
    following: OutputParser
    if looks_for_calls:
        following = tool_stream(tools, noise)
    else:
        following = ToolStream((), noise=noise) if noise else PlainParser()
    enders = (_CALL,) if looks_for_calls and tool_format.name == "qwen3-coder" else ()
    return ThinkingSplitter(following, inside=in_thinking, enders=enders)


def tool_stream(tools: Offered, noise: tuple[str, ...] = ()) -> ToolStream:
    """Knows all formats at once: models also write calls in ways their template does not show."""

    def json(*closers: str) -> Callable[[], Reader]:
        return lambda: JsonReader(tools, closers)

    def headed(marks: tuple[str, ...], fillers: tuple[str, ...] = ()) -> Callable[[], Reader]:
        return lambda: HeadedJsonReader(tools, marks, fillers)

    def until(parse: Callable[[str, Offered], forms.Calls], *closers: str) -> Callable[[], Reader]:
        return lambda: UntilReader(closers, lambda body: parse(body, tools))

    def wrapped() -> Reader:
        return ChoiceReader(lambda text, final: _in_tool_call(text, tools, final=final))

    def mistral() -> Reader:
        return ChoiceReader(
            lambda text, _final: (
                JsonReader(tools) if text[0] in "[{" else HeadedJsonReader(tools, _MISTRAL_MARKS)
            )
        )

    def lfm2() -> Reader:
        closer = "<|tool_call_end|>"
        return UntilReader((closer,), lambda body: forms.python_calls(body, tools))

    gemma = until(forms.gemma_calls, "<tool_call|>", "<end_function_call>")
    deepseek = headed(_DEEPSEEK_MARKS, _DEEPSEEK_ENDS)
    syntaxes = [
        Syntax(_CALL, wrapped),
        Syntax(FUNCTION, lambda: QwenXmlReader(tools, wrapped=False)),
        Syntax("<tools>", json("</tools>")),
        Syntax("<tool>", json("</tool>")),
        Syntax("<function_call>", json("</function_call>")),
        Syntax("```", lambda: _FenceReader(tools), at_line_start=True),
        Syntax("<|tool_call|>", json("<|/tool_call|>", "</tool_call>")),
        Syntax("<|python_tag|>", lambda: _python_tag(tools)),
        Syntax("[TOOL_CALLS]", mistral),
        Syntax("<|tool_call>", gemma),
        Syntax("<start_function_call>", gemma),
        Syntax("<minimax:tool_call>", until(forms.invoke_calls, "</minimax:tool_call>")),
        Syntax("<｜DSML｜function_calls>", until(forms.invoke_calls, "</｜DSML｜function_calls>")),
        Syntax("<｜tool▁calls▁begin｜>", deepseek),
        Syntax("<｜tool▁call▁begin｜>", deepseek),
        Syntax("<|tool_call_begin|>", headed(_KIMI_MARKS, _KIMI_ENDS)),
        Syntax("<|tool_call_start|>", lfm2),
    ]
    return ToolStream(syntaxes, bare=json(), noise=(*_WRAPPERS, *noise))


def _in_tool_call(text: str, tools: Offered, *, final: bool) -> Reader | None:
    """Four formats begin with `<tool_call>`."""
    if text[0] in "{[":
        return JsonReader(tools, ("</tool_call>",))
    if text[0] == "<":
        return QwenXmlReader(tools, wrapped=True)
    name = text.split("<", 1)[0].strip()
    if name in tools.names and ("<" in text or final):
        return UntilReader(("</tool_call>",), lambda body: forms.glm_calls(body, tools))
    if "<" not in text and not final and any(known.startswith(name) for known in tools.names):
        raise LookupError
    return None


class _FenceReader:
    """A fenced block that holds calls: its info word, the calls, the closing fence."""

    def __init__(self, tools: Offered) -> None:
        self._tools = tools
        self._inner: Reader | None = None
        self._head = 0

    def read(self, text: str, *, final: bool, truncated: bool) -> Step:
        if self._inner is None:
            word, newline, _ = text.partition("\n")
            if not newline:
                plausible = not final and len(word) <= MAX_INFO_CHARS and _INFO.fullmatch(word)
                return MORE if plausible else FAIL
            self._inner = self._reader_for(word.strip().lower())
            if self._inner is None:
                return FAIL
            self._head = len(word) + 1
        step = self._inner.read(text[self._head :], final=final, truncated=truncated)
        if step.status == "fail" or not (step.used or step.parts):
            return step
        used, self._head = self._head + step.used, 0
        return Step(step.status, used, step.parts)

    def _reader_for(self, word: str) -> Reader | None:
        if word == "tool_code":
            return UntilReader(("```",), lambda body: forms.python_calls(body, self._tools))
        return JsonReader(self._tools, ("```",)) if word in _FENCE_WORDS else None


def _python_tag(tools: Offered) -> Reader:
    return ChoiceReader(
        lambda text, _final: (
            JsonReader(tools)
            if text[0] in "[{"
            else UntilReader(
                ("<|eom_id|>", "<|eot_id|>"), lambda body: forms.python_calls(body, tools)
            )
        )
    )
