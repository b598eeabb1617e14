"""What the inner parts need from one another, as Protocols; `compose` hands in the real ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
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
    `extra` is merged into the request body as it is. `conversation_tag` marks what our own engine
    keeps of the conversation on disk (`app.core.prompt_states`).
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
    conversation_tag: str = ""


class ChatEngine(Protocol):
    """Any engine that answers: ours, Ollama, llama-server, vLLM, SGLang."""

    def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        """One answer. Closing the generator (contextlib.aclosing) cancels the generation.

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


@dataclass(frozen=True, slots=True)
class RunHead:
    """What identifies one agent run; `started_at` is seconds since the epoch."""

    run_id: str
    workspace: str
    model: str
    mode: str
    task: str
    started_at: float


class RunRecords(Protocol):
    """Where agent runs are written down as they happen, so that a crash loses nothing.

    An entry is a plain JSON object with a `kind`; the agent alone knows the kinds
    (`app.agent.record`). Entries of a run keep their order.
    """

    async def begin(self, head: RunHead) -> None:
        """Notes a new run; a run_id is never used twice."""
        ...

    async def append(self, run_id: str, entry: Mapping[str, Any]) -> None:
        """Adds one entry; on the disk when this returns.

        Raises: `app.core.errors.StorageError`.
        """
        ...

    async def end(self, run_id: str, status: str) -> None:
        """Marks the run as over: "done", "stopped" or "failed"."""
        ...

    async def head(self, run_id: str) -> RunHead | None:
        """The run's head; None for an unknown id."""
        ...

    async def entries(self, run_id: str) -> list[dict[str, Any]]:
        """All entries in order; empty for an unknown id."""
        ...

    async def unfinished(self, workspace: str) -> list[RunHead]:
        """Runs in this folder that never ended, newest first."""
        ...
