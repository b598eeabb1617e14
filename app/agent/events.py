"""What happens in an agent run, as the window and `--json` draw it.

Order of one request: RunStarted (StepStarted … StepEnded)* RunEnded. Within a step come progress,
text and calls; `Approval` and `Question` hold a future that whoever draws them resolves, and deny
or no is what they come to when nobody does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from app.agent.types import Answer, Change, PermissionRequest, Todo, ToolKind, ToolOutcome
from app.core.events import PromptProgress
from app.core.messages import ToolCallPart

RunStatus = Literal["done", "stopped", "failed"]


class Tier(StrEnum):
    """How the model is spoken to."""

    NATIVE = "a"  # the engine renders the tools and parses the calls
    JSON = "b"  # tools described in the prompt, calls as JSON in the text
    WHOLE_FILE = "c"  # no tools: files in the prompt, whole files in the answer


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of a step or a run: read anew, reused from the engine's memory, written."""

    evaluated: int = 0
    reused: int = 0
    written: int = 0

    def __add__(self, other: TokenCount) -> TokenCount:
        return TokenCount(
            self.evaluated + other.evaluated,
            self.reused + other.reused,
            self.written + other.written,
        )


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A request was accepted; `context_tokens` is None where the engine cannot tell."""

    run_id: str
    model: str
    tier: Tier
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class TierChosen:
    """The way of speaking changed after the run had started, and why in one sentence."""

    tier: Tier
    reason: str


@dataclass(frozen=True, slots=True)
class StepStarted:
    """The model is asked for its next answer; steps of a request count from 1."""

    number: int


@dataclass(frozen=True, slots=True)
class Reading:
    """How far the engine has read the prompt."""

    progress: PromptProgress


@dataclass(frozen=True, slots=True)
class Text:
    """More prose of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Thinking:
    """More reasoning of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class WritingCall:
    """A call is being written; `characters` is how much of it there is."""

    name: str
    characters: int


@dataclass(frozen=True, slots=True)
class AnswerDiscarded:
    """The text since StepStarted does not count: the engine stopped and is asked again."""

    reason: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    """The answer is complete; `seconds` is the time it took."""

    number: int
    tokens: TokenCount
    seconds: float


@dataclass(frozen=True, slots=True)
class CallProposed:
    """The model asked for a tool; `summary` is one plain line."""

    call: ToolCallPart
    kind: ToolKind | None
    summary: str


@dataclass(frozen=True, slots=True)
class Approval:
    """A card: somebody must answer, deny is the default."""

    request: PermissionRequest
    reason: str
    answer: asyncio.Future[Answer]

    def resolve(self, answer: Answer) -> None:
        """Gives the answer; a second one is ignored."""
        if not self.answer.done():
            self.answer.set_result(answer)


@dataclass(frozen=True, slots=True)
class CallOutput:
    """Live output of a running tool."""

    call_id: str
    text: str


@dataclass(frozen=True, slots=True)
class CallFinished:
    """A tool came to its end, with what it changed."""

    call: ToolCallPart
    outcome: ToolOutcome
    seconds: float


@dataclass(frozen=True, slots=True)
class TodosChanged:
    """The model's checklist."""

    items: tuple[Todo, ...]


@dataclass(frozen=True, slots=True)
class Correction:
    """An answer could not be used; `text` is what the model was told about it."""

    text: str


@dataclass(frozen=True, slots=True)
class TidyingMemory:
    """The conversation is being summarised, or was: then both token counts are known."""

    done: bool = False
    before_tokens: int = 0
    after_tokens: int = 0


@dataclass(frozen=True, slots=True)
class WaitingForEngine:
    """The engine does not answer; it is asked again in `seconds`."""

    sentence: str
    attempt: int
    seconds: float


@dataclass(frozen=True, slots=True)
class UserSaid:
    """A message typed during the run was handed to the model."""

    text: str


QuestionKind = Literal["continue", "loop", "stuck"]


@dataclass(frozen=True, slots=True)
class Question:
    """Should the run go on? No is the default."""

    kind: QuestionKind
    text: str
    answer: asyncio.Future[bool]

    def resolve(self, answer: bool) -> None:
        """Gives the answer; a second one is ignored."""
        if not self.answer.done():
            self.answer.set_result(answer)


@dataclass(frozen=True, slots=True)
class TestsRun:
    """The tests were run (whole-file tier); `output` is what they printed, clipped."""

    command: str
    passed: bool
    output: str
    round_number: int

    __test__ = False  # not a pytest class


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The request is over. `message` is the last answer or the plain reason it ended."""

    status: RunStatus
    message: str
    turns: int
    tokens: TokenCount
    changes: tuple[Change, ...] = ()
    seconds: float = 0.0
    facts: dict[str, int] = field(default_factory=dict)

    @property
    def files_changed(self) -> tuple[str, ...]:
        """Workspace-relative paths, sorted."""
        return tuple(sorted({change.path for change in self.changes}))


AgentEvent = (
    RunStarted
    | TierChosen
    | StepStarted
    | Reading
    | Text
    | Thinking
    | WritingCall
    | AnswerDiscarded
    | StepEnded
    | CallProposed
    | Approval
    | CallOutput
    | CallFinished
    | TodosChanged
    | Correction
    | TidyingMemory
    | WaitingForEngine
    | UserSaid
    | Question
    | TestsRun
    | RunEnded
)
