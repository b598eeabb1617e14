"""Whole conversations swapped out to host memory, so that another can take their sequence id."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.engine.checkpoints import Tokens

MIN_TOKENS = 192


@dataclass(eq=False, slots=True)
class SavedState:
    """`blob` is the full state (attention cells and recurrent part) after `tokens`."""

    tokens: Tokens
    blob: NDArray[np.uint8]

    @property
    def size_bytes(self) -> int:
        return len(self.blob) + self.tokens.nbytes


class SavedStates:
    """Least recently used goes first. `budget_bytes` is never exceeded."""

    def __init__(self, budget_bytes: int) -> None:
        self.budget_bytes = budget_bytes
        self.used_bytes = 0
        self._items: list[SavedState] = []

    def __len__(self) -> int:
        return len(self._items)

    def all(self) -> list[SavedState]:
        return list(self._items)

    def room_for(self, size_bytes: int) -> bool:
        """Whether a blob of this size may be kept at all."""
        return 0 < size_bytes <= self.budget_bytes

    def add(self, tokens: Tokens, blob: NDArray[np.uint8]) -> bool:
        """Keeps a copy of the tokens with the blob; replaces what the new one contains."""
        item = SavedState(tokens.copy(), blob)
        if item.size_bytes > self.budget_bytes:
            return False
        for other in self.all():
            n = len(other.tokens)
            if n <= len(tokens) and np.array_equal(other.tokens, tokens[:n]):
                self.discard(other)
        while self.used_bytes + item.size_bytes > self.budget_bytes:
            self.discard(self._items[0])
        self._items.append(item)
        self.used_bytes += item.size_bytes
        return True

    def touch(self, item: SavedState) -> None:
        if item in self._items:
            self._items.remove(item)
            self._items.append(item)

    def discard(self, item: SavedState) -> None:
        if item in self._items:
            self._items.remove(item)
            self.used_bytes -= item.size_bytes
