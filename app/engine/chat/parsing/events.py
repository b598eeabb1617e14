"""What every parser of model output does."""

from __future__ import annotations

import re
from collections.abc import Iterable
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


class Triggers:
    """Texts to look for in a stream; quick also with hundreds of them."""

    def __init__(self, texts: Iterable[str]) -> None:
        listed = sorted(set(texts), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, listed)) or r"(?!)")
        self._prefixes = frozenset(t[:size] for t in listed for size in range(1, len(t)))
        self._longest = max(map(len, listed), default=1) - 1

    def find(self, text: str) -> tuple[int, str] | None:
        """The first one in the text, the longest where several begin at one place."""
        match = self._pattern.search(text)
        return (match.start(), match.group()) if match else None

    def at_start(self, text: str) -> bool:
        return self._pattern.match(text) is not None

    def may_begin(self, text: str) -> bool:
        """Whether the whole text is the beginning of one."""
        return text in self._prefixes

    def held(self, text: str) -> int:
        """Length of the longest suffix that could be the beginning of one."""
        for size in range(min(self._longest, len(text)), 0, -1):
            if text[len(text) - size :] in self._prefixes:
                return size
        return 0


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
