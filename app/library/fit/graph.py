"""Working memory by llama.cpp's own rules: what it reserves for one micro-batch, place by place.

Sources: llama_context::sched_reserve and ggml-backend.cpp (inputs are copied to each device, four
times where several work in turns; weights of an offloaded operation are staged beside it),
ggml_backend_cuda_graph_optimize (the experts' results stay until they are summed up) and
ggml_cuda_flash_attn_ext_get_alloc_size (a quantized cache is unpacked, layer by layer).
"""

from __future__ import annotations

from app.library.facts import ModelFacts
from app.library.fit.shape import Shape, padded, sequences

# Values per token where nobody knows the feed-forward width: the most seen, at 21.5 widths.
_USUAL_WIDTHS = 24
_PIPELINE_COPIES = 4  # GGML_SCHED_MAX_COPIES
# ggml's allocator cannot always put the next staged matrix where the last one was.
_STAGED_MATRICES = 2
_SMALL_BYTES = 1 << 20


def tokens(facts: ModelFacts, shape: Shape) -> int:
    """Tokens of the micro-batch that memory is reserved for: equally many of each sequence."""
    n_seq = sequences(facts, shape.n_parallel)
    return -(-min(shape.n_ctx, shape.n_ubatch) // n_seq) * n_seq


def mask_bytes(facts: ModelFacts, shape: Shape) -> int:
    """The attention mask in half precision, and a second one for windowed layers."""
    cells = padded(shape.n_ctx)
    if facts.window_tokens:
        n_seq = sequences(facts, shape.n_parallel)
        cells += min(cells, padded(facts.window_tokens * n_seq + shape.n_ubatch))
    return 2 * cells * tokens(facts, shape)


def inputs_bytes(facts: ModelFacts, shape: Shape) -> int:
    """What the processor prepares for a micro-batch: its embeddings and its mask."""
    return mask_bytes(facts, shape) + 4 * facts.n_embd * tokens(facts, shape) + _SMALL_BYTES


def graph_bytes(facts: ModelFacts, shape: Shape) -> int:
    """Intermediate results of one micro-batch and its mask, on one device."""
    width = facts.graph_width or _USUAL_WIDTHS * facts.n_embd
    state = facts.state_bytes_per_layer if facts.recurrent_layers else 0
    scan = 4 * facts.scan_width * tokens(facts, shape)
    scan += 3 * state * sequences(facts, shape.n_parallel) // 2
    results = max(4 * width * tokens(facts, shape), scan)
    return results + mask_bytes(facts, shape) + _SMALL_BYTES


def output_bytes(facts: ModelFacts, shape: Shape) -> int:
    """A row of logits for each sequence."""
    return 4 * facts.n_vocab * sequences(facts, shape.n_parallel)


def gpu_graph_bytes(facts: ModelFacts, shape: Shape, n_gpus: int, *, unified: bool = False) -> int:
    """Working memory on all GPUs together; Metal (`unified`) needs less of it than CUDA."""
    n = facts.n_layers
    whole = not 0 <= shape.n_gpu_layers <= n and not shape.n_cpu_moe
    copies = _PIPELINE_COPIES if whole and n_gpus > 1 else 1
    one = graph_bytes(facts, shape) + 4 * facts.n_embd * tokens(facts, shape)
    one += (copies - 1) * inputs_bytes(facts, shape)
    if not unified:
        one += 4 * facts.n_experts_used * facts.n_embd * tokens(facts, shape)
        one += _unpacked_bytes(facts, shape)
    if not whole:
        one += _staged_bytes(facts, shape)
    return one * n_gpus


def cpu_graph_bytes(facts: ModelFacts, shape: Shape, n_gpus: int) -> int:
    """Working memory in main memory, the logits included."""
    outputs = output_bytes(facts, shape)
    if not n_gpus or 0 <= shape.n_gpu_layers <= facts.n_layers:
        return graph_bytes(facts, shape) + outputs
    copies = _PIPELINE_COPIES if n_gpus > 1 and not shape.n_cpu_moe else 1
    return copies * inputs_bytes(facts, shape) + outputs


def _unpacked_bytes(facts: ModelFacts, shape: Shape) -> int:
    """One layer's quantized keys and values in half precision."""
    if shape.kv_type == "f16":
        return 0
    widest = max((layer.k_width + layer.v_width for layer in facts.layers), default=0)
    return 2 * widest * padded(shape.n_ctx)


def _staged_bytes(facts: ModelFacts, shape: Shape) -> int:
    """Room on the GPU for matrices that lie in main memory: prompts are multiplied there."""
    n = facts.n_layers
    on_gpu = n if shape.n_gpu_layers < 0 else min(shape.n_gpu_layers, n)
    matrix = 0
    for index, layer in enumerate(facts.layers):
        if index < n - on_gpu or index < shape.n_cpu_moe:
            rest = layer.weights_bytes - layer.expert_bytes if index < n - on_gpu else 0
            matrix = max(matrix, (layer.expert_bytes or rest) // 3)
    return _STAGED_MATRICES * matrix
