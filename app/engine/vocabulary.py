"""The tokenizer of one model: text to ids and back, whatever the length of a token."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp.llama_cpp as lib

_FIRST_BUFFER_BYTES = 512


class Vocabulary:
    """Wraps llama_vocab. Safe to use from any thread; holds its model alive through `owner`."""

    def __init__(self, model: Any, owner: object) -> None:
        self._owner = owner
        self.handle = lib.llama_model_get_vocab(model)
        self.n_tokens = int(lib.llama_vocab_n_tokens(self.handle))
        self._pieces: dict[int, bytes] = {}
        self._special_pieces: dict[int, bytes] = {}
        self.eog_ids = frozenset(
            i for i in range(self.n_tokens) if lib.llama_vocab_is_eog(self.handle, i)
        )

    def tokenize(self, text: str, *, parse_special: bool, add_special: bool = False) -> list[int]:
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
