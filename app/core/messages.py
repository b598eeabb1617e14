"""What is said in a conversation: messages made of typed parts.

Values have no identity; ids and parent links belong to storage.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "tool"]


@dataclass(frozen=True, slots=True)
class TextPart:
    """Prose, as Markdown."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingPart:
    """Reasoning the model showed before its answer."""

    text: str
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class ToolCallPart:
    """One call the model asked for; `arguments` is the JSON text exactly as the engine sent it."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ToolResultPart:
    """What a tool answered, already clipped to what the model will see."""

    call_id: str
    name: str
    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class AttachmentPart:
    """A text file or a long paste that travels with a message."""

    name: str
    media_type: str
    text: str


Part = TextPart | ThinkingPart | ToolCallPart | ToolResultPart | AttachmentPart

_KINDS: dict[str, type[Part]] = {
    "text": TextPart,
    "thinking": ThinkingPart,
    "tool_call": ToolCallPart,
    "tool_result": ToolResultPart,
    "attachment": AttachmentPart,
}
_NAMES = {cls: name for name, cls in _KINDS.items()}


def part_to_json(part: Part) -> dict[str, Any]:
    """The stored form of a part: its fields plus `kind`."""
    return {"kind": _NAMES[type(part)], **{f: getattr(part, f) for f in part.__dataclass_fields__}}


def part_from_json(data: dict[str, Any]) -> Part:
    """The part behind its stored form.

    Raises:
        ValueError: the kind is unknown or a field is missing.
    """
    kind = data.get("kind")
    cls = _KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise ValueError(f"unknown message part: {kind!r}")
    fields = {name: data[name] for name in cls.__dataclass_fields__ if name in data}
    try:
        return cls(**fields)
    except TypeError as error:
        raise ValueError(f"message part {kind!r}: {error}") from error


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of one speaker."""

    role: Role
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, role: Role, text: str) -> Message:
        """A message that is only prose."""
        return cls(role, (TextPart(text),))

    @property
    def text(self) -> str:
        """The prose of all text parts, in order."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def tool_calls(self) -> tuple[ToolCallPart, ...]:
        """The calls in this message, in order."""
        return tuple(part for part in self.parts if isinstance(part, ToolCallPart))
