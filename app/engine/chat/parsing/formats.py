"""Which way of writing tool calls a model was taught, read off its chat template."""

from __future__ import annotations

from dataclasses import dataclass

from app.engine.chat.capabilities import TemplateCapabilities
from app.engine.chat.control_tokens import ControlTokens
from app.engine.chat.parsing.events import OutputParser, PlainParser
from app.engine.chat.values import ChatRequest


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """`trigger` begins a call; `special` says that the format is written in control tokens."""

    name: str
    trigger: str = ""
    special: bool = False


def detect_format(template: str, can: TemplateCapabilities) -> ToolFormat:
    del template, can
    return ToolFormat("generic")


def make_parser(
    tool_format: ToolFormat, request: ChatRequest, control: ControlTokens, *, in_thinking: bool
) -> OutputParser:
    del tool_format, request, control, in_thinking
    return PlainParser()
