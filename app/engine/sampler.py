"""The C sampler chain of one request, the grammar beside it, and log probabilities."""

from __future__ import annotations

import ctypes
from functools import cache
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
# Up to this k the likeliest tokens are picked out before the C chain sees them.
_MAX_NARROW_K = 256
# How many to aim at: the deeper in the distribution, the steadier from token to token.
_AIM_PER_K, _AIM_LEAST = 8, 200
_MOST_LIKELIEST = 8192
_RANDOM_SEED = 0xFFFFFFFF
_TOKEN_DATA = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])


class Candidates:
    """Scratch arrays of one decode thread: the whole vocabulary, or only its likeliest tokens."""

    def __init__(self, n_vocab: int) -> None:
        self._ids = np.arange(n_vocab, dtype=np.int32)
        # Eight flags a word, so that the few words with a set flag are found in one pass.
        self._words: NDArray[np.uint64] = np.zeros(-(-n_vocab // 8), np.uint64)
        self._flags: NDArray[np.bool_] = self._words.view(np.bool_)
        self._rows: NDArray[Any] = np.zeros(n_vocab, _TOKEN_DATA)
        self._array = lib.llama_token_data_array()
        self._one: NDArray[Any] = np.zeros(1, _TOKEN_DATA)
        self._one_array = lib.llama_token_data_array()
        self._rows_at, self._one_at = _pointer(self._rows), _pointer(self._one)

    def fill(self, logits: NDArray[np.float32]) -> Any:
        self._rows["id"] = self._ids
        self._rows["logit"] = logits
        return self._point(self._array, self._rows_at, len(self._rows))

    def likeliest(self, logits: NDArray[np.float32], k: int, threshold: float) -> tuple[Any, float]:
        """At least the `k` likeliest tokens, in id order, and the threshold to try next time.

        The chain on a whole vocabulary of 151,936 took 0.29 ms a token on the development VM; one
        comparison leaves it a few hundred instead (0.07 to 0.2 ms). The set is
        {logit > threshold}: as soon as it has k members it contains the k likeliest.
        """
        np.greater(logits, threshold, out=self._flags[: len(logits)])
        words = np.flatnonzero(self._words != 0)
        row, column = self._flags.reshape(-1, 8)[words].nonzero()
        ids = words[row] * 8 + column
        if not k <= len(ids) <= _MOST_LIKELIEST:
            wanted = min(_AIM_PER_K * k + _AIM_LEAST, len(logits))
            threshold = float(np.partition(logits, -wanted)[-wanted])
            ids = np.flatnonzero(logits >= threshold)
            if len(ids) < k:  # a broken model's NaN: let llama.cpp deal with it
                return self.fill(logits), np.inf
        found = logits[ids]
        rows = self._rows[: len(ids)]
        rows["id"] = ids
        rows["logit"] = found
        wanted = min(_AIM_PER_K * k + _AIM_LEAST, len(ids) - 1)
        lowest = float(np.partition(found, -wanted - 1)[-wanted - 1]) if wanted else threshold
        # Half a unit of slack: from token to token the whole distribution moves up and down.
        return self._point(self._array, self._rows_at, len(ids)), lowest - 0.5

    def one(self, token_id: int) -> Any:
        self._one["id"], self._one["logit"] = token_id, 0.0
        return self._point(self._one_array, self._one_at, 1)

    def one_refused(self) -> bool:
        return bool(np.isneginf(self._one["logit"][0]))

    @staticmethod
    def _point(array: Any, rows_at: Any, n_rows: int) -> Any:
        array.data = rows_at
        array.size, array.selected, array.sorted = n_rows, -1, False
        return ctypes.byref(array)


def _pointer(rows: NDArray[Any]) -> Any:
    return ctypes.cast(rows.ctypes.data_as(ctypes.c_void_p), ctypes.POINTER(lib.llama_token_data))


@cache
def _row_type(n_vocab: int) -> Any:
    return ctypes.c_float * n_vocab


def logits_at(context: Any, index: int, n_vocab: int) -> NDArray[np.float32]:
    """A view of llama.cpp's own logits row; valid until the next decode."""
    pointer = lib.llama_get_logits_ith(context, index)
    row = _row_type(n_vocab).from_address(ctypes.addressof(pointer.contents))
    return np.frombuffer(row, np.float32)


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
        self._threshold = np.inf
        # How many of the likeliest tokens the chain looks at; 0: all of them.
        self._narrow_k = 0
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

    def sample(self, logits: NDArray[np.float32], candidates: Candidates) -> int:
        """The next token after `logits`, one for each token of the vocabulary; accepts it
        everywhere."""
        if self._narrow_k:
            rows, self._threshold = candidates.likeliest(logits, self._narrow_k, self._threshold)
        else:
            rows = candidates.fill(logits)
        lib.llama_sampler_apply(self._chain, rows)
        token = self._selected(rows)
        if self._grammar is None:
            lib.llama_sampler_accept(self._chain, token)
            return token
        lib.llama_sampler_apply(self._grammar, candidates.one(token))
        if candidates.one_refused():
            rows = candidates.fill(logits)
            lib.llama_sampler_apply(self._grammar, rows)
            lib.llama_sampler_apply(self._chain, rows)
            token = self._selected(rows)
        lib.llama_sampler_accept(self._chain, token)
        lib.llama_sampler_accept(self._grammar, token)
        return token

    def logprob(self, logits: NDArray[np.float32], token: int) -> TokenLogprob:
        """Natural-log probabilities of the model itself, before any sampler."""
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
        seen = 1 if greedy and not penalised else top_k
        # A bias may lift any token to the top: then the chain must see all of them.
        if seen <= _MAX_NARROW_K and not bias:
            self._narrow_k = seen
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
