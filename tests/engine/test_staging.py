"""States read through page-locked memory are the states themselves."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest

from app.engine import staging as module
from app.engine.native import HostBuffer
from app.engine.staging import Staging

_SIZE = 1 << 20


class _Library:
    """Ordinary memory in the place of an accelerator's."""

    def __init__(self) -> None:
        self.memory: list[ctypes.Array[ctypes.c_uint8]] = []
        self.freed = 0

    def host_buffer(self, size_bytes: int) -> HostBuffer | None:
        memory = (ctypes.c_uint8 * size_bytes)()
        self.memory.append(memory)
        return HostBuffer(ctypes.addressof(memory), self._free)

    def _free(self) -> None:
        self.freed += 1


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> _Library:
    library = _Library()
    monkeypatch.setattr(module, "library", lambda: library)
    return library


def _write(staging: Staging, value: int, size: int) -> None:
    address = staging.borrow(size)
    assert address is not None
    ctypes.memset(address, value, size)


def test_every_state_is_kept_whole_although_the_buffers_are_used_again(fake: _Library) -> None:
    staging = Staging(_SIZE)
    sizes = [_SIZE, 1000, _SIZE // 2, 77, _SIZE]
    blobs = []
    for value, size in enumerate(sizes, start=1):
        _write(staging, value, size)
        blobs.append(staging.keep(size))
    staging.settle()
    for value, (size, blob) in enumerate(zip(sizes, blobs, strict=True), start=1):
        assert len(blob) == size
        assert np.all(blob == value)
    staging.close()
    assert fake.freed == len(fake.memory) == 2


def test_a_larger_state_takes_the_ordinary_way(fake: _Library) -> None:
    staging = Staging(_SIZE)
    assert staging.borrow(_SIZE + 1) is None
    staging.close()


def test_without_page_locked_memory_nothing_is_staged(
    fake: _Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    none: Callable[[int], HostBuffer | None] = lambda _size: None  # noqa: E731
    monkeypatch.setattr(fake, "host_buffer", none)
    staging = Staging(_SIZE)
    assert not staging.works
    assert staging.borrow(100) is None
    staging.close()
