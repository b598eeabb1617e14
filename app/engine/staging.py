"""Recurrent states on their way from an accelerator to ordinary memory.

A state of Qwen3-Coder-Next is 75 MiB. Copied straight into fresh memory it goes through a buffer of
the driver, and every page is touched for the first time; into page-locked memory it takes 2.3 ms on
an H100 (measured), and the copy from there runs on another thread meanwhile.
"""

from __future__ import annotations

import ctypes
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from app.engine.native import library

Blob = NDArray[np.uint8]
_N_BUFFERS = 2


class Staging:
    """A few page-locked buffers of one size. Belongs to the decode thread."""

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes
        self._buffers = [library().host_buffer(size_bytes) for _ in range(_N_BUFFERS)]
        self._copies: list[Future[None] | None] = [None] * _N_BUFFERS
        self._next = 0
        self._worker: ThreadPoolExecutor | None = None

    @property
    def works(self) -> bool:
        """False where no device offers page-locked memory, or it has run out."""
        return all(self._buffers)

    def borrow(self, size_bytes: int) -> ctypes.c_void_p | None:
        """A buffer to read a state into; `keep` must follow. None: not for this size."""
        if not self.works or size_bytes > self._size_bytes:
            return None
        self._settle(self._next)
        return ctypes.c_void_p(self._address())

    def keep(self, size_bytes: int) -> Blob:
        """What was read into the borrowed buffer, as memory of its own; complete after `settle`."""
        memory = (ctypes.c_uint8 * size_bytes).from_address(self._address())
        source = np.ctypeslib.as_array(memory)
        blob: Blob = np.empty(size_bytes, np.uint8)
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, "state copy")
        self._copies[self._next] = self._worker.submit(np.copyto, blob, source)
        self._next = (self._next + 1) % _N_BUFFERS
        return blob

    def settle(self) -> None:
        """Waits for the copies under way: before a blob is used."""
        for index in range(_N_BUFFERS):
            self._settle(index)

    def close(self) -> None:
        self.settle()
        if self._worker is not None:
            self._worker.shutdown()
        for buffer in self._buffers:
            if buffer is not None:
                buffer.free()

    def _address(self) -> int:
        buffer = self._buffers[self._next]
        assert buffer is not None
        return buffer.address

    def _settle(self, index: int) -> None:
        copy, self._copies[index] = self._copies[index], None
        if copy is not None:
            copy.result()
