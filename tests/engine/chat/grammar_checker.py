"""Asks llama.cpp itself whether a grammar lets a text pass."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as lib


class GrammarChecker:
    """The vocabulary of one model file, loaded without its weights."""

    def __init__(self, model_path: Path) -> None:
        lib.llama_backend_init()
        parameters = lib.llama_model_default_params()
        parameters.vocab_only = True
        self._model: Any = lib.llama_model_load_from_file(str(model_path).encode(), parameters)
        self._vocab = lib.llama_model_get_vocab(self._model)
        self._end = lib.llama_vocab_eos(self._vocab)

    def close(self) -> None:
        lib.llama_model_free(self._model)

    def accepts(self, gbnf: str, text: str) -> bool:
        """Whether the text, and then the end, are allowed."""
        sampler = lib.llama_sampler_init_grammar(self._vocab, gbnf.encode(), b"root")
        assert sampler, f"llama.cpp cannot parse this grammar:\n{gbnf}"
        try:
            for token in [*self._tokens(text), self._end]:
                if not self._allowed(sampler, token):
                    return False
                if token != self._end:
                    lib.llama_sampler_accept(sampler, token)
            return True
        finally:
            lib.llama_sampler_free(sampler)

    def _tokens(self, text: str) -> list[int]:
        raw = text.encode()
        room = len(raw) + 8
        buffer = (lib.llama_token * room)()
        n = lib.llama_tokenize(self._vocab, raw, len(raw), buffer, room, False, False)
        return list(buffer[:n])

    def _allowed(self, sampler: Any, token: int) -> bool:
        row = lib.llama_token_data(id=token, logit=1.0, p=0.0)
        rows = lib.llama_token_data_array(
            data=ctypes.pointer(row), size=1, selected=-1, sorted=False
        )
        lib.llama_sampler_apply(sampler, ctypes.byref(rows))
        return bool(row.logit > -1e30)
