"""What every parser of model output does."""

from __future__ import annotations

from typing import Protocol

from app.engine.chat.values import ParseEvent, TextPiece, ThinkingPiece


class OutputParser(Protocol):
    """Turns generated text into events. Never raises: what cannot be parsed is text.

    The events' texts, joined, do not depend on how the output was cut into pieces.
    """

    def feed(self, text: str) -> list[ParseEvent]:
        """Events that are certain so far; a text that may begin a call is held back."""
        ...

    def finish(self, *, truncated: bool = False) -> list[ParseEvent]:
        """The rest. `truncated` says that the answer was cut by its token limit, so that an
        unfinished call must not look finished."""
        ...


class PlainParser:
    """Everything is prose."""

    def feed(self, text: str) -> list[ParseEvent]:
        return [TextPiece(text)] if text else []

    def finish(self, *, truncated: bool = False) -> list[ParseEvent]:
        del truncated
        return []


def held_back(text: str, triggers: tuple[str, ...]) -> int:
    """Length of the longest suffix of the text that could be the beginning of a trigger."""
    longest = max((len(trigger) for trigger in triggers), default=1) - 1
    for size in range(min(longest, len(text)), 0, -1):
        suffix = text[len(text) - size :]
        if any(trigger.startswith(suffix) for trigger in triggers):
            return size
    return 0


def merged(events: list[ParseEvent]) -> list[ParseEvent]:
    """Neighbouring texts of one kind joined; for comparing and for answers in one piece."""
    out: list[ParseEvent] = []
    for event in events:
        last = out[-1] if out else None
        if isinstance(event, TextPiece) and isinstance(last, TextPiece):
            out[-1] = TextPiece(last.text + event.text, last.logprobs + event.logprobs)
        elif isinstance(event, ThinkingPiece) and isinstance(last, ThinkingPiece):
            out[-1] = ThinkingPiece(last.text + event.text)
        else:
            out.append(event)
    return out
