"""What the inner parts need from one another, as Protocols; `compose` hands in the real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from app.core.events import TurnEvent
from app.core.messages import Message


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool offered to the model; `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TurnRequest:
    """Everything that shapes one answer: no setting reaches the engine by a side door.

    `sampling` holds only what differs from the model's recommended values, in the endpoint's own
    names (temperature, top_p, top_k, min_p, seed, presence_penalty, …). `tool_choice` is "auto",
    "none", "required" or a tool's name. `response_schema` asks for JSON of that schema.
    `extra` is merged into the request body as it is.
    """

    model: str
    messages: Sequence[Message]
    tools: Sequence[ToolSpec] = ()
    tool_choice: str = "auto"
    sampling: Mapping[str, float | int] = field(default_factory=dict)
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    response_schema: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


class ChatEngine(Protocol):
    """Any engine that answers: ours, Ollama, llama-server, vLLM, SGLang."""

    def stream(self, request: TurnRequest) -> AsyncIterator[TurnEvent]:
        """One answer. Closing the iterator cancels the generation.

        Raises: `app.core.errors.GarretError` for everything the user can act on.
        """
        ...

    async def models(self) -> list[str]:
        """Ids of the models this engine can answer with."""
        ...

    async def count_tokens(self, request: TurnRequest) -> int | None:
        """Tokens the prompt would take; None where the engine cannot tell."""
        ...

    async def context_tokens(self, model: str) -> int | None:
        """The real context length of a model as loaded; None where the engine cannot tell."""
        ...
