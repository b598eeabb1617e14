"""How a model is loaded: everything that decides memory."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.control import KvType
from app.library.facts import ModelFacts

CELL_PAD = 256


@dataclass(frozen=True, slots=True)
class Shape:
    """How a model is loaded: everything that decides memory."""

    n_ctx: int
    n_parallel: int = 1
    kv_type: KvType = "f16"
    n_ubatch: int = 512
    n_gpu_layers: int = -1
    n_cpu_moe: int = 0


def sequences(facts: ModelFacts, n_parallel: int) -> int:
    """Sequences the engine reserves: those that answer, one for work, and spare ones in which it
    keeps conversations (app/engine/loading.py): up to 256 MiB of recurrent state, or 12 that cost
    nothing."""
    one = facts.state_bytes_per_sequence
    spare = max(2, min(8, (256 << 20) // one)) if one else 12
    return min(64, max(1, n_parallel) + 1 + spare)


def padded(n_ctx: int) -> int:
    """llama.cpp rounds cells up to 256."""
    return -(-n_ctx // CELL_PAD) * CELL_PAD
