"""A chat request as every wire format means it, and the events of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from app.core.events import Timings, Usage
from app.engine.types import Progress, Sampling, TokenLogprob

ChatRole = Literal["system", "user", "assistant", "tool"]
ToolMode = Literal["auto", "none", "required", "named"]
FinishReason = Literal["stop", "length", "tool_calls", "cancelled"]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call in the history; `arguments` is JSON text as the client sent it back."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message, its content flattened to text."""

    role: ChatRole
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function offered to the model; `parameters` is its JSON Schema."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether a tool may, must or must not be called. `name` is set for "named"; `allowed` are the
    only ones that count, where not all do."""

    mode: ToolMode = "auto"
    name: str = ""
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """Everything that shapes one answer.

    `json_schema` asks for JSON of that schema ({} is any object). `prefill` is text the answer
    must begin with. `deferred_tools` may be called but are not listed in the prompt's front: they
    were described later in the conversation, and listing them would change what is already read.
    `tag` marks what is kept of the conversation on disk.
    """

    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...] = ()
    deferred_tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_calls: bool = True
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    json_schema: Mapping[str, Any] | None = None
    template_options: Mapping[str, Any] = field(default_factory=dict)
    prefill: str = ""
    priority: int = 1
    ignore_eos: bool = False
    tag: str = ""

    @property
    def callable_tools(self) -> tuple[Tool, ...]:
        """The tools a call may name; the prompt lists `tools` whatever the choice is."""
        every, allowed = (*self.tools, *self.deferred_tools), self.tool_choice.allowed
        return tuple(tool for tool in every if tool.name in allowed) if allowed else every


@dataclass(frozen=True, slots=True)
class TextPiece:
    """More prose; `logprobs` of the tokens behind it, when asked for."""

    text: str
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class ThinkingPiece:
    """More reasoning."""

    text: str


@dataclass(frozen=True, slots=True)
class CallBegan:
    """A tool call whose name is known; arguments follow."""

    index: int
    name: str
    call_id: str = ""


@dataclass(frozen=True, slots=True)
class CallArguments:
    """More of a call's arguments, as JSON text."""

    index: int
    delta: str


@dataclass(frozen=True, slots=True)
class CallEnded:
    """A call that is complete."""

    index: int


@dataclass(frozen=True, slots=True)
class AnswerEnded:
    """The last event of an answer. `tokens_evaluated` etc. are inside usage and timings."""

    reason: FinishReason
    usage: Usage
    timings: Timings
    stop_text: str | None = None


ParseEvent = TextPiece | ThinkingPiece | CallBegan | CallArguments | CallEnded
AnswerEvent = Progress | ParseEvent | AnswerEnded
