"""Checkpoints of recurrent state in host memory, under a byte budget, evicted by usefulness.

A checkpoint is the state after exactly its token prefix. It can be loaded into any sequence whose
attention cells hold that prefix, so the store belongs to the model, not to a sequence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

CheckpointKind = Literal["prefix", "message", "end"]
Tokens = NDArray[np.int32]
Logits = NDArray[np.float32]

_MAX_CHECKPOINTS = 512
_KIND_WEIGHT: dict[CheckpointKind, float] = {"prefix": 8.0, "message": 1.0, "end": 1.0}


@dataclass(eq=False, slots=True)
class Checkpoint:
    """`blob` is the PARTIAL_ONLY state after `tokens`; `parent` the next shorter one kept.

    `logits` are what the model said there, kept at the end of a prompt: with them another answer
    to the same prompt needs nothing evaluated.
    """

    tokens: Tokens
    blob: NDArray[np.uint8]
    kind: CheckpointKind
    used_at: int
    parent: Checkpoint | None = None
    logits: Logits | None = None

    @property
    def n_tokens(self) -> int:
        return len(self.tokens)

    @property
    def size_bytes(self) -> int:
        said = 0 if self.logits is None else self.logits.nbytes
        return len(self.blob) + self.tokens.nbytes + said

    def serves(self, prompt: Tokens, common: int) -> bool:
        """Whether a prompt that agrees in its first `common` tokens can go on from here: it must
        have a token left to evaluate, or its logits must be known."""
        n = self.n_tokens
        return n <= min(common, len(prompt) - 1) or (
            self.logits is not None and n == common == len(prompt)
        )


class CheckpointStore:
    """All checkpoints of one model. `budget_bytes` is never exceeded."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.used_bytes = 0
        self._items: list[Checkpoint] = []
        self._clock = 0

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Checkpoint]:
        return iter(self._items)

    def tick(self) -> None:
        """One request has come: everything not used meanwhile ages."""
        self._clock += 1

    def matching(self, tokens: Tokens, limit: int) -> list[Checkpoint]:
        """Checkpoints whose prefix begins `tokens` and is at most `limit` long, longest first."""
        found = [
            item
            for item in self._items
            if item.n_tokens <= limit and np.array_equal(item.tokens, tokens[: item.n_tokens])
        ]
        return sorted(found, key=lambda item: -item.n_tokens)

    def after(self, tokens: Tokens) -> Checkpoint | None:
        """The one after exactly these tokens."""
        same = (item for item in self._items if item.n_tokens == len(tokens))
        return next((item for item in same if np.array_equal(item.tokens, tokens)), None)

    def touch(self, item: Checkpoint) -> None:
        item.used_at = self._clock

    def add(
        self,
        tokens: Tokens,
        blob: NDArray[np.uint8],
        kind: CheckpointKind,
        logits: Logits | None = None,
    ) -> bool:
        """Keeps a copy of the prefix with its blob and logits; False when it cannot fit."""
        size = len(blob) + tokens.nbytes + (0 if logits is None else logits.nbytes)
        if size > self.budget_bytes:
            return False
        path = self.matching(tokens, len(tokens))
        if path and path[0].n_tokens == len(tokens):
            same = path[0]
            same.used_at = self._clock
            if kind == "prefix":
                same.kind = kind
            if same.logits is not None or logits is None:
                return True
            self._remove(same)  # what comes in its place knows more
            path, kind = path[1:], same.kind
        parent = path[0] if path else None
        item = Checkpoint(tokens.copy(), blob, kind, self._clock, parent, logits)
        while self.used_bytes + size > self.budget_bytes or len(self._items) >= _MAX_CHECKPOINTS:
            self._remove(min(self._items, key=self._usefulness))
        for other in self._items:
            longer = other.parent is item.parent and other.n_tokens > item.n_tokens
            if longer and np.array_equal(other.tokens[: item.n_tokens], item.tokens):
                other.parent = item
        self._items.append(item)
        self.used_bytes += item.size_bytes
        return True

    def discard(self, item: Checkpoint) -> None:
        if item in self._items:
            self._remove(item)

    def clear(self) -> None:
        self._items.clear()
        self.used_bytes = 0

    def _usefulness(self, item: Checkpoint) -> float:
        """Tokens that would have to be read again without it, less likely with age."""
        gap = item.n_tokens - (item.parent.n_tokens if item.parent else 0)
        return gap * _KIND_WEIGHT[item.kind] / (1 + self._clock - item.used_at)

    def _remove(self, item: Checkpoint) -> None:
        self._items.remove(item)
        self.used_bytes -= item.size_bytes
        for other in self._items:
            if other.parent is item:
                other.parent = item.parent
