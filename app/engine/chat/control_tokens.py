"""Keeps control tokens in foreign text from being read as control tokens.

A file may contain `<|im_end|>`. Prompts are tokenized with control tokens recognised, because the
template's own scaffold needs them; so each occurrence in foreign text gets a mark after its first
character before rendering, and the rendered text is cut there before tokenizing: no piece then
spells the token. Ordinary text gets no mark and is tokenized exactly as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from app.engine.types import Tokenizer

_FIRST_MARK = 0xE000
_LAST_MARK = 0xF8FF
_PLAIN_KEY = re.compile(r"[\w.$ -]*\Z")
_NOTHING = re.compile(r"(?!)")


def control_texts(tokenizer: Tokenizer, n_vocab: int) -> tuple[str, ...]:
    """The texts of all control tokens: those whose piece is empty unless asked for."""
    found = set()
    for token_id in range(n_vocab):
        if not tokenizer.piece(token_id):
            text = tokenizer.piece(token_id, special=True).decode("utf-8", "replace")
            if len(text) > 1:
                found.add(text)
    return tuple(sorted(found, key=len, reverse=True))


class ControlTokens:
    """The control tokens of one vocabulary, ready to be searched for."""

    def __init__(
        self, texts: tuple[str, ...], eog_texts: tuple[str, ...] = (), longest_bytes: int = 0
    ) -> None:
        """`longest_bytes` is the size of the vocabulary's longest token; 0 for not known."""
        self.texts = texts
        self.longest_bytes = longest_bytes
        self._any = _alternatives(texts)
        self._eog = _alternatives(eog_texts)
        self._starts = {text[:size] for text in texts for size in range(1, len(text))}
        self._longest = max((len(text) for text in texts), default=0)

    @classmethod
    def of(cls, tokenizer: Tokenizer, n_vocab: int) -> ControlTokens:
        """Scans the vocabulary; about 0.2 s for 150,000 tokens, so once for each model."""
        eog = tuple(
            tokenizer.piece(token_id, special=True).decode("utf-8", "replace")
            for token_id in range(n_vocab)
            if tokenizer.is_eog(token_id)
        )
        longest = max((len(tokenizer.piece(i, special=True)) for i in range(n_vocab)), default=0)
        found = control_texts(tokenizer, n_vocab)
        return cls(found, tuple(text for text in eog if text), longest)

    def offsets(self, text: str) -> list[int]:
        """Where control tokens start in rendered text, in order."""
        return [match.start() for match in self._any.finditer(text)]

    def next_end_of_turn(self, text: str, start: int) -> int:
        """Where the next end-of-generation token starts; the text's length if there is none."""
        match = self._eog.search(text, start)
        return match.start() if match else len(text)

    def mark_all(self, value: Any, mark: str) -> Any:
        """A copy of a JSON value with every string and key made harmless."""
        if isinstance(value, str):
            return self.mark(value, mark)
        if isinstance(value, Mapping):
            return {
                self._mark_key(str(key), mark): self.mark_all(item, mark)
                for key, item in value.items()
            }
        if isinstance(value, list | tuple):
            return [self.mark_all(item, mark) for item in value]
        return value

    def mark(self, text: str, mark: str) -> str:
        """The text with a mark inside everything that spells, or could begin, a control token."""
        places = set(self._occurrences(text))
        body = text.rstrip()
        for size in range(min(self._longest - 1, len(body)), 0, -1):
            # the scaffold could complete what the text's end begins
            if body[len(body) - size :] in self._starts:
                places.add(len(body) - size + 1)
                break
        if not places:
            return text
        cuts = sorted(places)
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        return mark.join(pieces)

    def _mark_key(self, key: str, mark: str) -> str:
        # keys are put between the scaffold's own characters, as in `<KEY>`
        return key if _PLAIN_KEY.match(key) else mark.join((key[:1], key[1:]))

    def _occurrences(self, text: str) -> Iterator[int]:
        match = self._any.search(text)
        while match:
            yield match.start() + 1
            match = self._any.search(text, match.start() + 1)


def free_mark(serialized: str) -> str:
    """A private-use character that does not occur in the text.

    Raises:
        ValueError: all of them do.
    """
    for code in range(_FIRST_MARK, _LAST_MARK + 1):
        if chr(code) not in serialized:
            return chr(code)
    raise ValueError("the text uses every private-use character")


def _alternatives(texts: tuple[str, ...]) -> re.Pattern[str]:
    if not texts:
        return _NOTHING
    return re.compile("|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)))
