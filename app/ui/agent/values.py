"""What the cards of the agent page show. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from app.agent.events import RunEnded, TokenCount
from app.agent.types import PermissionRequest, Todo, visible

CardState = Literal["running", "done", "failed", "denied", "stopped"]


@dataclass(frozen=True, slots=True)
class ToolCard:
    """One call: a plain line, folded details, what it changed."""

    call_id: str
    summary: str
    state: CardState = "running"
    details: str = ""
    is_diff: bool = False
    note: str = ""  # time, lines added and removed


@dataclass(frozen=True, slots=True)
class ApprovalCard:
    """Something only a person may allow. `answered` is what was said, empty while it waits."""

    request: PermissionRequest
    reason: str
    answered: str = ""

    @property
    def exact(self) -> str:
        """The very bytes that would run or be written, control characters spelled out."""
        if self.request.command:
            return self.request.display_command
        return visible(self.request.diff) if self.request.diff else ""

    @property
    def undo_words(self) -> str:
        words = {
            "yes": "Can be undone.",
            "partly": "Can be undone in part.",
            "no": "Cannot be undone.",
        }
        return f"{words[self.request.undo]} {self.request.undo_note}".strip()


@dataclass(frozen=True, slots=True)
class QuestionCard:
    """Should the run go on?"""

    text: str
    answered: str = ""


@dataclass(frozen=True, slots=True)
class TodoCard:
    """The model's checklist."""

    items: tuple[Todo, ...]


def end_words(ended: RunEnded) -> str:
    """How a run ended, in one line."""
    state = {"done": "Done", "stopped": "Stopped", "failed": "Could not finish"}[ended.status]
    files = len(ended.files_changed)
    changed = "no file changed" if not files else f"{files} file{'s' * (files > 1)} changed"
    return f"{state} in {ended.seconds:.0f} s · {changed} · {token_words(ended.tokens)}"


def token_words(tokens: TokenCount) -> str:
    """What was read anew, reused and written."""
    return (
        f"read {tokens.evaluated:,} tokens ({tokens.reused:,} more remembered), "
        f"wrote {tokens.written:,}"
    )
