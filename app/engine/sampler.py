"""The C sampler chain of one request, the grammar beside it, and log probabilities."""

from __future__ import annotations

import ctypes
from typing import Any

import llama_cpp.llama_cpp as lib
import numpy as np
from numpy.typing import NDArray

from app.core.errors import EngineRefused
from app.engine.types import Grammar, Sampling, TokenLogprob
from app.engine.vocabulary import Vocabulary

# Sorting the whole vocabulary for top-p or min-p costs 10 ms a token; what lies beyond the 4,096
# likeliest tokens has no measurable mass.
_CEILING = 4096
_RANDOM_SEED = 0xFFFFFFFF
_TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Candidates:
    """One vocabulary-sized scratch array per decode thread, for requests with a grammar."""

    def __init__(self, n_vocab: int) -> None:
        self._ids = np.arange(n_vocab, dtype=np.int32)
        self._rows: NDArray[Any] = np.zeros(n_vocab, _TOKEN_DATA)
        self._array = lib.llama_token_data_array()
        self._one: NDArray[Any] = np.zeros(1, _TOKEN_DATA)
        self._one_array = lib.llama_token_data_array()

    def fill(self, logits: NDArray[np.float32]) -> Any:
        self._rows["id"] = self._ids
        self._rows["logit"] = logits
        return self._point(self._array, self._rows)

    def one(self, token_id: int) -> Any:
        self._one["id"], self._one["logit"] = token_id, 0.0
        return self._point(self._one_array, self._one)

    def one_refused(self) -> bool:
        return bool(np.isneginf(self._one["logit"][0]))

    @staticmethod
    def _point(array: Any, rows: NDArray[Any]) -> Any:
        array.data = ctypes.cast(
            rows.ctypes.data_as(ctypes.c_void_p), ctypes.POINTER(lib.llama_token_data)
        )
        array.size, array.selected, array.sorted = len(rows), -1, False
        return ctypes.byref(array)


def logits_at(context: Any, index: int, n_vocab: int) -> NDArray[np.float32]:
    """A view of llama.cpp's own logits row; valid until the next decode."""
    pointer = lib.llama_get_logits_ith(context, index)
    return np.ctypeslib.as_array(pointer, (n_vocab,))


class Sampler:
    """Sampling state of one request. Use on the decode thread; `close` frees the C side.

    Order: logit_bias, top_k, penalties, top_p, min_p, temperature, dist (engine.md §5.4). The
    grammar tests the one sampled token and masks the vocabulary only after a refusal.
    """

    def __init__(
        self, vocabulary: Vocabulary, sampling: Sampling, grammar: Grammar | None = None
    ) -> None:
        self._vocabulary = vocabulary
        self._n_logprobs = sampling.logprobs
        self._grammar = self._init_grammar(grammar) if grammar else None
        self._keep: list[object] = []
        self._chain = self._init_chain(sampling)

    @property
    def wants_logprobs(self) -> bool:
        return self._n_logprobs is not None

    def close(self) -> None:
        if self._chain is not None:
            lib.llama_sampler_free(self._chain)
            self._chain = None
        if self._grammar is not None:
            lib.llama_sampler_free(self._grammar)
            self._grammar = None

    def sample(self, context: Any, index: int, candidates: Candidates) -> int:
        """The next token from the logits at batch position `index`; accepts it everywhere."""
        if self._grammar is None:
            return int(lib.llama_sampler_sample(self._chain, context, index))
        logits = logits_at(context, index, self._vocabulary.n_tokens)
        rows = candidates.fill(logits)
        lib.llama_sampler_apply(self._chain, rows)
        token = self._selected(rows)
        lib.llama_sampler_apply(self._grammar, candidates.one(token))
        if candidates.one_refused():
            rows = candidates.fill(logits)
            lib.llama_sampler_apply(self._grammar, rows)
            lib.llama_sampler_apply(self._chain, rows)
            token = self._selected(rows)
        lib.llama_sampler_accept(self._chain, token)
        lib.llama_sampler_accept(self._grammar, token)
        return token

    def logprob(self, context: Any, index: int, token: int) -> TokenLogprob:
        """Natural-log probabilities of the model itself, before any sampler."""
        logits = logits_at(context, index, self._vocabulary.n_tokens)
        peak = float(logits.max())
        norm = peak + float(np.log(np.exp(logits - peak, dtype=np.float64).sum()))
        n_top = min(self._n_logprobs or 0, len(logits))
        top: tuple[tuple[int, bytes, float], ...] = ()
        if n_top > 0:
            best = np.argpartition(logits, -n_top)[-n_top:]
            best = best[np.argsort(-logits[best])]
            top = tuple(
                (int(i), self._vocabulary.piece(int(i), special=True), float(logits[i]) - norm)
                for i in best
            )
        piece = self._vocabulary.piece(token, special=True)
        return TokenLogprob(token, piece, float(logits[token]) - norm, top)

    @staticmethod
    def _selected(rows: Any) -> int:
        array = rows._obj
        return int(array.data[array.selected].id)

    def _init_grammar(self, grammar: Grammar) -> Any:
        gbnf, root = grammar.gbnf.encode(), grammar.root.encode()
        if grammar.trigger_patterns:
            patterns = [pattern.encode() for pattern in grammar.trigger_patterns]
            array = (ctypes.c_char_p * len(patterns))(*patterns)
            made = lib.llama_sampler_init_grammar_lazy_patterns(
                self._vocabulary.handle, gbnf, root, array, len(patterns), None, 0
            )
        else:
            made = lib.llama_sampler_init_grammar(self._vocabulary.handle, gbnf, root)
        if not made:
            raise EngineRefused(
                "The output format asked for cannot be turned into a grammar.",
                "Simplify the schema or the grammar.",
                status=400,
            )
        return made

    def _init_chain(self, s: Sampling) -> Any:
        params = lib.llama_sampler_chain_default_params()
        params.no_perf = True
        chain = lib.llama_sampler_chain_init(params)

        def add(sampler: Any) -> None:
            lib.llama_sampler_chain_add(chain, sampler)

        n_vocab = self._vocabulary.n_tokens
        bias = [(i, b) for i, b in s.logit_bias if 0 <= i < n_vocab]
        if bias:
            array = (lib.llama_logit_bias * len(bias))()
            for slot, (token, value) in zip(array, bias, strict=True):
                slot.token, slot.bias = token, value
            self._keep.append(array)
            add(lib.llama_sampler_init_logit_bias(n_vocab, len(bias), array))
        penalised = s.repeat_penalty != 1.0 or s.presence_penalty or s.frequency_penalty
        greedy = s.temperature <= 0
        top_k = s.top_k if s.top_k > 0 else 0
        if greedy:
            top_k = 256 if penalised else 0
        elif not top_k and (penalised or s.top_p < 1 or s.min_p > 0):
            top_k = _CEILING
        if top_k:
            add(lib.llama_sampler_init_top_k(top_k))
        if penalised:
            last_n = s.repeat_last_n if s.repeat_last_n >= 0 else 4096
            add(
                lib.llama_sampler_init_penalties(
                    n_vocab, last_n, s.repeat_penalty, s.frequency_penalty, s.presence_penalty
                )
            )
        if greedy:
            add(lib.llama_sampler_init_greedy())
            return chain
        if s.top_p < 1:
            add(lib.llama_sampler_init_top_p(s.top_p, 1))
        if s.min_p > 0:
            add(lib.llama_sampler_init_min_p(s.min_p, 1))
        add(lib.llama_sampler_init_temp(s.temperature))
        seed = _RANDOM_SEED if s.seed is None else s.seed % _RANDOM_SEED
        add(lib.llama_sampler_init_dist(seed))
        return chain
