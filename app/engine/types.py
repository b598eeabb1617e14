"""The seam inside the engine: what the API layer asks for and what the scheduler answers.

`app/engine/api` and `app/engine/chat` see only this module and the control values in
`app.core.control`; nothing above the seam touches llama_cpp.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from app.core.control import EngineStatus, LoadEvent, LoadSpec, ModelInfo
from app.core.events import Timings, Usage

BoundaryKind = Literal["prefix", "message", "end"]
StopReason = Literal["eos", "stop", "length", "cancelled"]


@dataclass(frozen=True, slots=True)
class Boundary:
    """A place in the prompt worth a checkpoint: exactly `n_tokens` tokens lie before it.

    "prefix" ends system + tools (pinned), "message" starts a user or tool message, "end" is the
    end of the prompt.
    """

    n_tokens: int
    kind: BoundaryKind


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids as they will be decoded, with the places worth remembering."""

    tokens: tuple[int, ...]
    boundaries: tuple[Boundary, ...] = ()


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampler settings, each already resolved to a number. Temperature 0 is greedy.

    Chain order: logit_bias, top_k, penalties, top_p, min_p, temperature, dist (engine.md §5.4).
    `top_k` 0 means the whole vocabulary. `logprobs` is how many alternatives to report per token,
    None for no log probabilities at all.
    """

    temperature: float = 0.8
    top_k: int = 40
    top_p: float = 0.95
    min_p: float = 0.05
    repeat_penalty: float = 1.0
    repeat_last_n: int = 64
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    seed: int | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    logprobs: int | None = None


@dataclass(frozen=True, slots=True)
class Grammar:
    """A GBNF grammar, applied by rejection. With triggers it is lazy: it starts to hold once the
    generated text matches one of the patterns (a regular expression whose first group is where
    the grammar begins, as in llama.cpp)."""

    gbnf: str
    root: str = "root"
    trigger_patterns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One sequence to generate. Lower `priority` runs first: 0 the app's own chat, 1 others,
    2 side requests such as titles. `tag` names the conversation, for what is kept of it on disk."""

    prompt: Prompt
    sampling: Sampling = field(default_factory=Sampling)
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    grammar: Grammar | None = None
    priority: int = 1
    ignore_eos: bool = False
    report_special: bool = False
    tag: str = ""


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """One sampled token with the natural-log probability it and its rivals had."""

    token_id: int
    token: bytes
    logprob: float
    top: tuple[tuple[int, bytes, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Progress:
    """The prompt as read so far; `processed` counts reused tokens too."""

    total: int
    cached: int
    processed: int
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Chunk:
    """Generated text, complete characters only, coalesced over a few milliseconds."""

    text: str
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event. `generated_ids` are the tokens as sampled, for splicing into later prompts;
    `stop_text` is the stop string that ended it."""

    reason: StopReason
    usage: Usage
    timings: Timings
    generated_ids: tuple[int, ...] = ()
    stop_text: str | None = None


GenerationEvent = Progress | Chunk | Finished


class Generation(Protocol):
    """A running request. Iterate once; it ends after Finished or raises a GarretError."""

    def __aiter__(self) -> AsyncIterator[GenerationEvent]: ...

    def cancel(self) -> None:
        """Stops within one batch; the tokens already read stay reusable. Safe to call twice."""
        ...


class Tokenizer(Protocol):
    """The vocabulary of one model. Thread-safe; never touches the context."""

    def tokenize(self, text: str, *, parse_special: bool, add_special: bool = False) -> list[int]:
        """Token ids. Control tokens are recognised only with `parse_special`; with `add_special`
        come those the model wants around every text (BOS, CLS and SEP)."""
        ...

    def piece(self, token_id: int, *, special: bool = False) -> bytes:
        """The bytes of one token, however long; empty for control tokens unless `special`."""
        ...

    def is_eog(self, token_id: int) -> bool: ...

    @property
    def bos_text(self) -> str: ...

    @property
    def eos_text(self) -> str: ...


class LoadedModel(Protocol):
    """A model that answers."""

    @property
    def info(self) -> ModelInfo: ...

    @property
    def tokenizer(self) -> Tokenizer: ...

    @property
    def chat_template(self) -> str | None:
        """The GGUF's default Jinja template, untrusted."""
        ...

    @property
    def tool_template(self) -> str | None:
        """The GGUF's `tool_use` variant, where it carries one."""
        ...

    def submit(self, request: GenerationRequest) -> Generation:
        """Queues a request.

        Raises:
            EngineBusy: the queue is full.
            ContextFull: the prompt leaves no room for an answer.
        """
        ...

    async def embed(self, inputs: Sequence[Sequence[int]]) -> list[list[float]]:
        """One vector for each token list (pooled, not normalised). Cancelling stops after the input
        that is being read.

        Raises:
            UnsupportedModel: this model makes no embeddings.
            ContextFull: an input is too long.
        """
        ...


class EngineService(Protocol):
    """All models of this process; what the API layer is built on."""

    def status(self) -> EngineStatus: ...

    def available(self) -> list[ModelInfo]:
        """Loaded models first, then those that can be loaded on demand (only model_id is sure)."""
        ...

    async def model(self, name: str | None) -> LoadedModel:
        """The model of that name, loaded on demand; None or "" means the one that is loaded.

        Raises:
            ModelNotFound, NoModelLoaded, OutOfMemory, BadModelFile, UnsupportedModel.
        """
        ...

    def load(self, spec: LoadSpec) -> AsyncIterator[LoadEvent]:
        """Loads with progress; closing the iterator cancels. The last event has model or error."""
        ...

    async def unload(self, model_id: str) -> None: ...

    def metrics(self) -> Mapping[str, float]:
        """Prometheus gauges and counters by name, without the `garret_` prefix."""
        ...

    async def clear_states(self) -> int:
        """Removes the conversation states kept on disk; how many bytes that freed."""
        ...

    def configure(self, changes: Mapping[str, Any]) -> None:
        """Live changes from the app: `share`, `user_keys`, `allowed_origins`, `models`."""
        ...
