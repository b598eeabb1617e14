"""How many numbers per token a model's graph keeps at once, from its tensors' shapes.

llama.cpp reserves memory for the widest moment of one layer: ggml's allocator reuses what is no
longer read. The terms below are that moment in each kind of block; they were found in its graphs
(llama-graph.cpp build_ffn and build_moe_ffn, models/delta-net-base.cpp) and agree with what 0.3.36
reports for 33 shapes (no_alloc, CPU): feed-forward blocks to the byte, the others from above.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from app.library.gguf import TensorInfo

_EXPERT = re.compile(r"ffn_(up|gate_up)_(ch|)exps\.weight$")
_SHARED = re.compile(r"ffn_up_shexp\.weight$")
_FEED_FORWARD = re.compile(r"blk\.\d+\.ffn_up\.weight$")
_GATE = re.compile(r"blk\.\d+\.ffn_gate\.weight$")
# Queries with their gate, rotated queries, the result: measured on qwen3next, others need less.
_ATTENTION_WIDTHS = 4.5
# Convolution, projections and repeated heads lie apart: what is free between them is too small.
_SCAN_SLACK = 1.35


def graph_width(n_embd: int, n_experts_used: int, heads: int, tensors: Sequence[TensorInfo]) -> int:
    """Numbers (4 bytes each) per token beside the attention mask; 0 where the shapes don't say.

    `heads` is the width of all query heads together.
    """
    dense = _widest(tensors, _FEED_FORWARD)
    if dense and not any(_GATE.search(tensor.name) for tensor in tensors):
        dense = -(-dense // 2)  # gate and up in one matrix, or no gate at all
    expert = 0
    for tensor in tensors:
        match = _EXPERT.search(tensor.name)
        if match and len(tensor.shape) >= 2:
            width = tensor.shape[1] if match[1] == "up" else tensor.shape[1] // 2
            expert = max(expert, width)
    if not dense and not expert:
        return 0
    # Gate, up and their product; an expert's result reuses the first two where it fits there.
    beside = n_embd if 2 * expert < n_embd else 0
    experts = n_experts_used * (3 * expert + beside) + 2 * _widest(tensors, _SHARED)
    widest = max(3 * dense, experts if expert else 0, int(_ATTENTION_WIDTHS * heads) - 4 * n_embd)
    return widest + 4 * n_embd


def scan_width(n_embd: int, inner: int, groups: int, state: int) -> int:
    """Numbers per token in a recurrent block: input and output of its convolution, gate, result."""
    channels = inner + 2 * groups * state
    return int(_SCAN_SLACK * (3 * n_embd + 2 * channels + 2 * inner)) if inner else 0


def _widest(tensors: Sequence[TensorInfo], name: re.Pattern[str]) -> int:
    return max(
        (t.shape[1] for t in tensors if len(t.shape) >= 2 and name.search(t.name)), default=0
    )
