"""Remembers answers as they were sampled, so that a later prompt repeats them token for token.

A template renders an answer from its parsed form, which differs in white space or argument order
from what the model wrote; every such difference would make the engine read the rest of the
conversation again. An answer belongs to the exact prompt text it followed.
"""

from __future__ import annotations

import hashlib
import json
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from app.engine.chat.template_input import parse_arguments
from app.engine.chat.values import ChatMessage

MAX_ANSWERS = 512
_REASONING_SHOWN_CHARS = 80


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: its ids without the end-of-generation token, and what the client got of it."""

    prompt_chars: int
    message_key: str
    token_ids: array[int]
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Splice:
    """Replace the characters [start, end) of the rendered prompt by these ids."""

    start: int
    end: int
    token_ids: Sequence[int]


def message_key(message: ChatMessage) -> str:
    """What makes two answers the same: prose less outer white space, and calls by value."""
    calls = [
        [call.name, json.dumps(parse_arguments(call.arguments), sort_keys=True)]
        for call in message.tool_calls
    ]
    text = json.dumps([message.content.strip(), calls])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


class AnswerMemory:
    """The last answers of one model. Thread-safe."""

    def __init__(self, max_answers: int = MAX_ANSWERS) -> None:
        self._max_answers = max_answers
        self._lock = threading.Lock()
        self._by_prompt: OrderedDict[str, Answer] = OrderedDict()

    def remember(self, prompt: str, message: ChatMessage, token_ids: tuple[int, ...]) -> None:
        """Keeps an answer under the rendered text it followed."""
        if not token_ids:
            return
        ids = array("i", token_ids)
        answer = Answer(len(prompt), message_key(message), ids, message.reasoning)
        # several answers may follow one prompt (regenerate), so the key holds both
        with self._lock:
            self._by_prompt[_key(prompt, answer.message_key)] = answer
            while len(self._by_prompt) > self._max_answers:
                self._by_prompt.popitem(last=False)

    def splices(
        self,
        rendered: str,
        messages: Iterable[ChatMessage],
        end_of_turn: Callable[[str, int], int],
    ) -> list[Splice]:
        """Where in this prompt remembered answers stand, in order."""
        keys = {message_key(m) for m in messages if m.role == "assistant"}
        if not keys:
            return []
        with self._lock:
            candidates = [a for a in self._by_prompt.values() if a.message_key in keys]
        found: dict[int, Splice] = {}
        for answer in candidates:
            start = answer.prompt_chars
            if start >= len(rendered) or start in found:
                continue
            key = _key(rendered[:start], answer.message_key)
            with self._lock:
                known = self._by_prompt.get(key)
                if known is None:
                    continue
                self._by_prompt.move_to_end(key)
            end = end_of_turn(rendered, start)
            shown = known.reasoning.strip()[:_REASONING_SHOWN_CHARS]
            if end < len(rendered) and (not shown or shown in rendered[start:end]):
                found[start] = Splice(start, end, known.token_ids)
        ordered: list[Splice] = []
        for _, splice in sorted(found.items()):
            if not ordered or splice.start >= ordered[-1].end:
                ordered.append(splice)
        return ordered


def _key(prompt: str, answer_key: str) -> str:
    digest = hashlib.blake2b(prompt.encode("utf-8", "replace"), digest_size=16)
    return f"{digest.hexdigest()} {answer_key}"
