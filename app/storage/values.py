"""What storage hands out: chats and messages with their identity, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from app.core.events import FinishReason
from app.core.messages import Message, Part, Role

MessageState = Literal["complete", "streaming", "stopped", "failed"]
"""`stopped`: the user (or a crash) ended the answer early; what was written is kept.
`failed`: an error ended it; `AnswerDetails.error` says which."""

ChatPlace = Literal["active", "archived", "trash"]


@dataclass(frozen=True, slots=True)
class AnswerDetails:
    """How an answer came about. None means: not known.

    `error` is the wire form of a GarretError (`app.core.errors.error_from_json`).
    `interrupted` marks an answer that a crash or a power cut broke off.
    """

    model: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    ttft_s: float | None = None
    duration_s: float | None = None
    read_tokens_per_s: float | None = None
    write_tokens_per_s: float | None = None
    seed: int | None = None
    memory_bytes: int | None = None
    finish_reason: FinishReason | None = None
    error: Mapping[str, Any] | None = None
    interrupted: bool = False

    def to_json(self) -> dict[str, Any]:
        """Only what is known."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        return {key: value for key, value in found.items() if value not in (None, "", False)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AnswerDetails:
        names = cls.__dataclass_fields__
        return cls(**{key: value for key, value in data.items() if key in names})


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message in a chat's tree. Siblings share `parent_id`; `sibling_ids` are in order of age.

    `context_summary` is None for most. Otherwise the model reads this branch only from here on,
    after this summary of what came before ("" where that was just left out).
    """

    id: int
    chat_id: int
    parent_id: int | None
    message: Message
    state: MessageState = "complete"
    details: AnswerDetails = field(default_factory=AnswerDetails)
    created_at: float = 0.0
    sibling_ids: tuple[int, ...] = ()
    context_summary: str | None = None

    @property
    def role(self) -> Role:
        return self.message.role

    @property
    def parts(self) -> tuple[Part, ...]:
        return self.message.parts

    @property
    def text(self) -> str:
        return self.message.text

    @property
    def sibling_index(self) -> int:
        """0-based place among the siblings: ‹ index+1 / len(sibling_ids) ›."""
        return self.sibling_ids.index(self.id) if self.id in self.sibling_ids else 0


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat without its messages. Times are seconds since the epoch.

    `uid` survives export and import. `sampling` holds only what differs from the model's
    recommended values. `active_leaf` is the last message of the branch on screen.
    """

    id: int
    uid: str
    title: str = ""
    title_is_custom: bool = False
    model: str = ""
    system_prompt: str = ""
    sampling: Mapping[str, float | int] = field(default_factory=dict)
    draft: str = ""
    pinned: bool = False
    archived: bool = False
    trashed_at: float | None = None
    active_leaf: int | None = None
    folder_id: int | None = None
    tags: tuple[str, ...] = ()
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Folder:
    """A named place for chats; `chats` counts those outside the trash."""

    id: int
    name: str
    chats: int = 0


@dataclass(frozen=True, slots=True)
class QueuedMessage:
    """A message written while the model was busy; it is sent when its turn comes."""

    id: int
    chat_id: int
    message: Message
    created_at: float


@dataclass(frozen=True, slots=True)
class SearchHit:
    """One find. `spans` are (start, end) of the matches inside `snippet`, in characters.

    `message_id` is None when the chat's title matched.
    """

    chat_id: int
    chat_title: str
    message_id: int | None
    role: Role | None
    snippet: str
    spans: tuple[tuple[int, int], ...]
    created_at: float
