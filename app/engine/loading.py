"""From a LoadSpec to a model and a context in memory, with progress, cancel and typed failures."""

from __future__ import annotations

import ctypes
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llama_cpp.llama_cpp as lib
import psutil

from app.core.control import LoadSpec, MemoryUse
from app.core.errors import BadModelFile, ModelError, OutOfMemory, UnsupportedModel
from app.engine.gguf_header import GgufHeader
from app.engine.memory_report import memory_report
from app.engine.native import library

_KV_TYPES = {"f16": 1, "q8_0": 8, "q4_0": 2}  # ggml_type
_KV_BYTES = {"f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
_MIN_CTX, _AUTO_CTX = 2048, 32_768
_LOAD_MODE_NONE = 0
_EXPERTS = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps"


class LoadCancelled(Exception):
    """The caller closed the load."""


@dataclass(slots=True)
class LoadedWeights:
    """A llama_model with everything C still points at."""

    handle: Any
    header: GgufHeader
    keep: list[object]
    log_lines: list[str]


@dataclass(slots=True)
class ContextPlan:
    """The knobs of one context, all resolved to numbers."""

    n_ctx: int
    n_parallel: int
    n_seq_max: int
    n_batch: int
    n_ubatch: int
    n_threads: int
    n_threads_batch: int
    kv_type: str
    embedding: bool = False
    flash_attention: int = -1  # llama_flash_attn_type: automatic


# llama_pooling_type: 1 mean, 2 first token (CLS), 3 last token, 4 a score
_POOLING_KINDS = (1, 2, 3)
_POOLING_RANK = 4


class _BufferOverride(ctypes.Structure):
    _fields_ = [("pattern", ctypes.c_char_p), ("buft", ctypes.c_void_p)]


def load_weights(
    spec: LoadSpec,
    header: GgufHeader,
    on_progress: Callable[[float], bool],
) -> LoadedWeights:
    """Loads the model file; `on_progress` gets 0..1 and returns False to cancel.

    Raises:
        LoadCancelled, BadModelFile, UnsupportedModel, OutOfMemory.
    """
    params = lib.llama_model_default_params()
    cancelled = False

    def progress(fraction: float, _data: object) -> bool:
        nonlocal cancelled
        cancelled = not on_progress(fraction)
        return not cancelled

    callback = lib.llama_progress_callback(progress)
    keep: list[object] = [callback]
    params.progress_callback = callback
    params.n_gpu_layers = spec.n_gpu_layers
    if spec.tensor_split:
        split = (ctypes.c_float * lib.llama_max_devices())(*spec.tensor_split)
        params.tensor_split = split
        keep.append(split)
    if spec.n_cpu_moe > 0:
        keep.append(_keep_experts_on_cpu(params, spec.n_cpu_moe))
        params.load_mode = _LOAD_MODE_NONE
    with library().log.capture() as lines:
        handle = lib.llama_model_load_from_file(os.fsencode(spec.model_path), params)
    if cancelled:
        if handle:
            lib.llama_model_free(handle)
        raise LoadCancelled
    if not handle:
        raise classify_failure(lines, Path(spec.model_path).name, header.size_bytes)
    return LoadedWeights(handle, header, keep, lines)


def _keep_experts_on_cpu(params: Any, n_layers: int) -> object:
    buft = library().cpu_buffer_type()
    patterns = [rf"blk\.{i}{_EXPERTS}".encode() for i in range(n_layers)]
    overrides = (_BufferOverride * (len(patterns) + 1))()
    for slot, pattern in zip(overrides, patterns, strict=False):
        slot.pattern, slot.buft = pattern, buft
    params.tensor_buft_overrides = ctypes.cast(overrides, ctypes.c_void_p)
    return (overrides, patterns)


def classify_failure(lines: list[str], name: str, size_bytes: int) -> ModelError:
    """The typed error behind llama.cpp's log of a failed load."""
    text = "\n".join(lines)
    low = text.lower()
    if re.search(r"unknown (model )?architecture|unsupported model architecture", low):
        found = re.search(r"architecture: '([^']*)'", text)
        arch = f" ({found.group(1)})" if found else ""
        return UnsupportedModel(
            f"{name} is of a kind this engine does not know{arch}.",
            "Update Garret, or choose another model.",
        )
    if re.search(r"out of memory|failed to allocate|unable to allocate|cannot allocate|bad_alloc"
                 r"|mlock|failed to mmap|cudamalloc", low):  # fmt: skip
        return OutOfMemory(
            f"There is not enough memory to load {name}.",
            "Close other programs, choose a smaller model or a shorter context.",
            needed_bytes=size_bytes,
            available_bytes=available_bytes(),
        )
    if "unknown pre-tokenizer" in low or "unknown tokenizer" in low:
        return UnsupportedModel(
            f"{name} uses a tokenizer this engine does not know.",
            "Update Garret, or choose another model.",
        )
    return BadModelFile(
        f"{name} is damaged or incomplete.",
        "Download it again, or choose another model.",
        detail=lines[-1] if lines else "",
    )


def available_bytes() -> int:
    """Memory a model could take now: the accelerators' free memory, else the system's."""
    device = library().device_memory()
    return device[0] if device else int(psutil.virtual_memory().available)


def kv_bytes_per_token(header: GgufHeader, kv_type: str) -> int:
    """Upper bound from the header: every layer (hybrid: every attention layer) keeps K and V."""
    layers = header.number("block_count")
    if interval := header.number("full_attention_interval"):
        layers = layers // interval
    elif header.number("ssm.state_size"):
        layers = max(1, layers // 4)
    heads = header.number("attention.head_count_kv") or header.number("attention.head_count")
    width = header.number("embedding_length") // max(1, header.number("attention.head_count", 1))
    key = header.number("attention.key_length") or width
    value = header.number("attention.value_length") or width
    return int(layers * heads * (key + value) * _KV_BYTES[kv_type])


def state_bytes(header: GgufHeader) -> int:
    """Recurrent state of one sequence in bytes, from the header; 0 for attention-only models.

    R = (conv−1)·(inner + 2·groups·state), S = state·inner floats per recurrent layer (engine.md
    §2.1).
    """
    inner, state = header.number("ssm.inner_size"), header.number("ssm.state_size")
    if not inner or not state:
        return 0
    layers = header.number("block_count")
    interval = header.number("full_attention_interval")
    recurrent = layers - layers // interval if interval else layers
    conv = max(1, header.number("ssm.conv_kernel", 4)) - 1
    groups = max(1, header.number("ssm.group_count", 1))
    return recurrent * 4 * (conv * (inner + 2 * groups * state) + state * inner)


def plan_context(spec: LoadSpec, header: GgufHeader) -> ContextPlan:
    """Resolves every knob the spec leaves to the engine (engine.md §5.6).

    Raises:
        UnsupportedModel: it ranks texts, which is neither an answer nor a vector.
    """
    if header.number("pooling_type") == _POOLING_RANK:
        raise UnsupportedModel(
            "This model only ranks texts by how well they fit a question.",
            "Choose a chat model, or one that makes embeddings.",
        )
    embedding = spec.embedding or makes_embeddings(header)
    n_train = header.number("context_length", 4096) or 4096
    per_sequence = state_bytes(header)
    on_device = library().device_memory() is not None
    left = max(0, available_bytes() - header.tensor_bytes)
    # Each place of a recurrent model costs device memory from the start (75 MiB at full size).
    n_parallel = spec.n_parallel or (4 if per_sequence * 8 <= left // 20 else 2)
    # A sequence of an attention-only model costs next to nothing.
    spare = max(2, min(8, (256 << 20) // per_sequence)) if per_sequence else 12
    n_ctx = spec.n_ctx
    if n_ctx <= 0:
        per_token = max(1, kv_bytes_per_token(header, spec.kv_type))
        affordable = int(left * 0.3) // per_token
        # Short-context models get room for several conversations at once.
        wanted = min(n_train, _AUTO_CTX) if n_train > 8192 else n_train * 2
        n_ctx = max(_MIN_CTX, min(wanted, affordable))
    n_ctx = -(-n_ctx // 256) * 256
    n_ubatch = spec.n_ubatch or 512
    if embedding:  # one input at a time, each in one piece
        n_parallel, spare = 1, 0
        n_ctx = min(n_ctx, -(-n_train // 256) * 256)
        n_ubatch = min(n_ctx, max(n_ubatch, 2048))
    # A GPU works through several micro-batches of one call without waiting in between.
    usual = 2048 if on_device else 512
    n_batch = min(n_ctx, max(spec.n_batch or usual, n_ubatch if embedding else 64))
    threads = spec.n_threads or default_threads()
    return ContextPlan(
        n_ctx=n_ctx,
        n_parallel=n_parallel,
        n_seq_max=min(64, n_parallel + 1 + spare),
        n_batch=n_batch,
        n_ubatch=min(n_ubatch, n_batch),
        n_threads=threads,
        n_threads_batch=threads,
        kv_type=spec.kv_type,
        embedding=embedding,
    )


def makes_embeddings(header: GgufHeader) -> bool:
    """Whether the file says that its model pools what it reads, or looks ahead, instead of
    writing."""
    if header.number("pooling_type") in _POOLING_KINDS:
        return True
    return header.metadata.get(f"{header.architecture}.attention.causal") is False


def default_threads() -> int:
    """Physical cores, leaving one to the rest of the machine where there are more than two."""
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    if sys.platform == "darwin":
        cores = _performance_cores() or cores
    return cores - 1 if cores > 2 else cores


def _performance_cores() -> int:
    """Apple's fast cores: the slow ones hold every thread back at each barrier."""
    libc = ctypes.CDLL(None)
    value, size = ctypes.c_int(), ctypes.c_size_t(4)
    failed = libc.sysctlbyname(
        b"hw.perflevel0.physicalcpu", ctypes.byref(value), ctypes.byref(size), None, 0
    )
    return 0 if failed else value.value


def make_context(weights: LoadedWeights, plan: ContextPlan, name: str) -> tuple[Any, list[str]]:
    """A llama_context and the log lines of its creation.

    Raises:
        OutOfMemory: its buffers could not be allocated.
    """
    params = lib.llama_context_default_params()
    params.n_ctx = plan.n_ctx
    params.n_batch = plan.n_batch
    params.n_ubatch = plan.n_ubatch
    params.n_seq_max = plan.n_seq_max
    params.n_outputs_max = plan.n_seq_max  # 0 would reserve a row of logits for every token
    params.kv_unified = True
    params.n_threads = plan.n_threads
    params.n_threads_batch = plan.n_threads_batch
    params.flash_attn_type = plan.flash_attention
    params.type_k = params.type_v = _KV_TYPES[plan.kv_type]
    params.no_perf = True
    if plan.embedding:
        params.embeddings = True
        params.n_outputs_max = 0
    with library().log.capture() as lines:
        context = lib.llama_init_from_model(weights.handle, params)
    if not context:
        report = memory_report(weights.log_lines + lines, weights.header.tensor_bytes)
        raise OutOfMemory(
            f"There is not enough memory for {name} with {plan.n_ctx:,} tokens of context.",
            "Choose a shorter context or a smaller model, or close other programs.",
            needed_bytes=sum(use.total_bytes for use in report),
            available_bytes=available_bytes(),
        )
    return context, lines


def report_memory(weights: LoadedWeights, lines: list[str]) -> tuple[MemoryUse, ...]:
    """What the model and its context hold, device by device."""
    return memory_report(weights.log_lines + lines, weights.header.tensor_bytes)
