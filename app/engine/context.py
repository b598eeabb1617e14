"""A llama_context as the decode thread uses it: one batch, sequence memory, state blobs.

Every method belongs to the decode thread. Memory calls that can fail say so; callers must look.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import llama_cpp.llama_cpp as lib
import numpy as np
from numpy.typing import NDArray

from app.engine.staging import Staging

PARTIAL_ONLY = 1  # LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY: the recurrent part alone
_STATE_SLACK_BYTES = 64 << 10  # headers and cell lists beside the tensors
NO_SLOT = 1  # llama_decode: no room in the KV cache, nothing changed


class DecodeFailed(Exception):
    """llama_decode returned a code other than 0 or 1; the sequences in the batch are undefined."""

    def __init__(self, code: int) -> None:
        super().__init__(f"llama_decode returned {code}")
        self.code = code


class Batch:
    """A llama_batch allocated once and filled through numpy views of its own arrays."""

    def __init__(self, capacity: int) -> None:
        self.handle = lib.llama_batch_init(capacity, 0, 1)
        self.capacity = capacity
        as_array = np.ctypeslib.as_array
        self._token: NDArray[np.int32] = as_array(self.handle.token, (capacity,))
        self._pos: NDArray[np.int32] = as_array(self.handle.pos, (capacity,))
        self._logits: NDArray[np.int8] = as_array(self.handle.logits, (capacity,))
        n_seq: NDArray[np.int32] = as_array(self.handle.n_seq_id, (capacity,))
        n_seq[:] = 1
        pointers = ctypes.cast(self.handle.seq_id, ctypes.POINTER(ctypes.c_void_p))
        # llama_batch_init allocates one small array for each token; each is written in place.
        self._seq = [
            ctypes.cast(pointers[i], ctypes.POINTER(ctypes.c_int32)) for i in range(capacity)
        ]
        self.n_tokens = 0

    def clear(self) -> None:
        self.n_tokens = 0

    def add(
        self, tokens: NDArray[np.int32] | Sequence[int], position: int, seq: int, *, output: bool
    ) -> int:
        """Appends consecutive tokens; only the last may ask for logits. Returns its index."""
        start, count = self.n_tokens, len(tokens)
        end = start + count
        self._token[start:end] = tokens
        self._pos[start:end] = range(position, position + count) if count > 1 else position
        self._logits[start:end] = 0
        for i in range(start, end):
            self._seq[i][0] = seq
        if output:
            self._logits[end - 1] = 1
        self.n_tokens = end
        return end - 1

    def output_all(self) -> None:
        """Marks every token as output, as pooling needs it."""
        self._logits[: self.n_tokens] = 1

    def close(self) -> None:
        lib.llama_batch_free(self.handle)


class Context:
    """Owns a llama_context; `close` frees it (before the model)."""

    def __init__(self, handle: Any, n_batch: int) -> None:
        self.handle = handle
        self.memory = lib.llama_get_memory(handle)
        self.n_ctx = int(lib.llama_n_ctx(handle))
        self.n_seq_max = int(lib.llama_n_seq_max(handle))
        self.n_ubatch = int(lib.llama_n_ubatch(handle))
        self.batch = Batch(n_batch)
        self._staging: Staging | None = None

    def stage_states(self, state_bytes: int) -> None:
        """Reads recurrent states through page-locked memory, where a device offers that."""
        staging = Staging(state_bytes + _STATE_SLACK_BYTES)
        if staging.works:
            self._staging = staging
        else:
            staging.close()

    def settle(self) -> None:
        """Completes the blobs that `read_state` gave out; call before looking into one."""
        if self._staging is not None:
            self._staging.settle()

    def close(self) -> None:
        if self._staging is not None:
            self._staging.close()
        self.batch.close()
        lib.llama_free(self.handle)

    def decode(self) -> bool:
        """Evaluates the batch. False means the KV cache has no room and nothing changed.

        Raises:
            DecodeFailed: the sequences of this batch must be cleared.
        """
        self.batch.handle.n_tokens = self.batch.n_tokens
        code = int(lib.llama_decode(self.handle, self.batch.handle))
        if code == 0:
            return True
        if code == NO_SLOT:
            return False
        raise DecodeFailed(code)

    def synchronize(self) -> None:
        lib.llama_synchronize(self.handle)

    def set_threads(self, n_threads: int, n_threads_batch: int) -> None:
        lib.llama_set_n_threads(self.handle, n_threads, n_threads_batch)

    def length(self, seq: int) -> int:
        """Number of tokens both memory parts agree on."""
        return int(lib.llama_memory_seq_pos_max(self.memory, seq)) + 1

    def trim(self, seq: int, n_tokens: int) -> bool:
        """Keeps the first `n_tokens`; False when the memory cannot forget (nothing changed)."""
        return bool(lib.llama_memory_seq_rm(self.memory, seq, n_tokens, -1))

    def clear(self, seq: int) -> None:
        lib.llama_memory_seq_rm(self.memory, seq, -1, -1)

    def copy(self, source: int, target: int) -> None:
        """Shares the attention cells of `source`; the recurrent cell is copied on write."""
        self.clear(target)
        lib.llama_memory_seq_cp(self.memory, source, target, -1, -1)

    def state_size(self, seq: int, flags: int = 0) -> int:
        return int(lib.llama_state_seq_get_size_ext(self.handle, seq, flags))

    def read_state(self, seq: int, flags: int = 0) -> NDArray[np.uint8] | None:
        """A state blob, None when llama.cpp cannot give one; look into it after `settle` only."""
        size = self.state_size(seq, flags)
        if size <= 0:
            return None
        staging = self._staging if flags & PARTIAL_ONLY else None
        if staging is not None and (borrowed := staging.borrow(size)) is not None:
            target = ctypes.cast(borrowed, ctypes.POINTER(ctypes.c_uint8))
            written = int(lib.llama_state_seq_get_data_ext(self.handle, target, size, seq, flags))
            return staging.keep(size) if written == size else None
        blob: NDArray[np.uint8] = np.empty(size, np.uint8)
        pointer = blob.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        written = int(lib.llama_state_seq_get_data_ext(self.handle, pointer, size, seq, flags))
        return blob if written == size else None

    def write_state(self, blob: NDArray[np.uint8], seq: int, flags: int = 0) -> bool:
        """Loads a blob; after False the sequence must be cleared."""
        self.settle()
        pointer = blob.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        size = len(blob)
        return int(lib.llama_state_seq_set_data_ext(self.handle, pointer, size, seq, flags)) == size
