"""Makes an answer be a tool call, or JSON of a schema, from its first token."""

from __future__ import annotations

from dataclasses import dataclass

from app.engine.chat.parsing.formats import ToolFormat
from app.engine.chat.values import ChatRequest
from app.engine.types import Grammar


@dataclass(frozen=True, slots=True)
class Forcing:
    """`opening` is written into the prompt as the answer's beginning; `grammar` holds the rest."""

    opening: str = ""
    grammar: Grammar | None = None
    closes_thinking: bool = False


def forcing_for(request: ChatRequest, tool_format: ToolFormat, template: str) -> Forcing:
    """What the request's tool_choice or response format demands; nothing for most requests."""
    del request, tool_format, template
    return Forcing()
