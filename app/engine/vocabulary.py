"""The tokenizer of one model: text to ids and back, whatever the length of a token."""

from __future__ import annotations

import ctypes
import re
from itertools import chain
from typing import Any

import llama_cpp.llama_cpp as lib

_FIRST_BUFFER_BYTES = 512
_LONG_CHARS = 32_768
_AT_ONCE = 64
_UNKNOWN, _CONTROL, _USER_DEFINED = 1, 8, 16  # llama_token_attr


class Vocabulary:
    """Wraps llama_vocab. Safe to use from any thread; holds its model alive through `owner`."""

    def __init__(self, model: Any, owner: object) -> None:
        self._owner = owner
        self.handle = lib.llama_model_get_vocab(model)
        self.n_tokens = int(lib.llama_vocab_n_tokens(self.handle))
        self._pieces: dict[int, bytes] = {}
        self._special_pieces: dict[int, bytes] = {}
        self._found_first: dict[int, re.Pattern[str]] = {}
        self.eog_ids = frozenset(
            i for i in range(self.n_tokens) if lib.llama_vocab_is_eog(self.handle, i)
        )

    def tokenize(self, text: str, *, parse_special: bool, add_special: bool = False) -> list[int]:
        if len(text) > _LONG_CHARS and len(parts := self._parts(text, parse_special)) > 1:
            tokenized = (self.tokenize(part, parse_special=parse_special) for part in parts)
            whole = list(chain.from_iterable(tokenized))
            before, after = self._around() if add_special else ([], [])
            return [*before, *whole, *after]
        raw = text.encode("utf-8", "replace")
        if not raw:
            return []
        room = len(raw) // 3 + 16
        while True:
            buffer = (lib.llama_token * room)()
            n = lib.llama_tokenize(
                self.handle, raw, len(raw), buffer, room, add_special, parse_special
            )
            if n >= 0:
                return list(buffer[:n])
            room = -n

    def _around(self) -> tuple[list[int], list[int]]:
        """What `add_special` puts before and after a text."""
        plain = self.tokenize("a", parse_special=False)
        wrapped = self.tokenize("a", parse_special=False, add_special=True)
        at = next(i for i in range(len(wrapped)) if wrapped[i : i + len(plain)] == plain)
        return wrapped[:at], wrapped[at + len(plain) :]

    def _parts(self, text: str, parse_special: bool) -> list[str]:
        """The text cut before some of the tokens that are found in it before any word is: the
        user-defined ones, with `parse_special` also control tokens.

        llama.cpp's time grows with the square of their number: a megabyte of them took a minute.
        Cut where one begins, a text gives the same tokens as in one piece.
        """
        attributes = _USER_DEFINED | (_UNKNOWN | _CONTROL if parse_special else 0)
        if attributes not in self._found_first:
            self._found_first[attributes] = self._any_of(attributes)
        found = self._found_first[attributes].finditer(text)
        cuts = [match.start() for match in found][::_AT_ONCE]
        return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True) if a < b]

    def _any_of(self, attributes: int) -> re.Pattern[str]:
        found = {
            self.piece(token, special=True).decode("utf-8", "replace")
            for token in range(self.n_tokens)
            if lib.llama_vocab_get_attr(self.handle, token) & attributes
        }
        longest_first = sorted(found - {""}, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def piece(self, token_id: int, *, special: bool = False) -> bytes:
        known = self._special_pieces if special else self._pieces
        found = known.get(token_id)
        if found is None:
            found = known[token_id] = self._read_piece(token_id, special)
        return found

    def _read_piece(self, token_id: int, special: bool) -> bytes:
        if not 0 <= token_id < self.n_tokens:
            return b""
        size = _FIRST_BUFFER_BYTES
        while True:
            buffer = ctypes.create_string_buffer(size)
            n = int(lib.llama_token_to_piece(self.handle, token_id, buffer, size, 0, special))
            if n >= 0:
                return buffer.raw[:n]
            size = -n

    def is_eog(self, token_id: int) -> bool:
        return token_id in self.eog_ids

    @property
    def bos_text(self) -> str:
        return self._text(int(lib.llama_vocab_bos(self.handle)))

    @property
    def eos_text(self) -> str:
        return self._text(int(lib.llama_vocab_eos(self.handle)))

    def _text(self, token_id: int) -> str:
        return self.piece(token_id, special=True).decode("utf-8", "replace")
