"""The llama.cpp library of this process: set up once, with its log and its aborts in our hands."""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import llama_cpp
import llama_cpp.llama_cpp as lib
from llama_cpp import _ggml

from app.core.control import DeviceInfo

log = logging.getLogger(__name__)

_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.DEBUG}
_DEVICE_KINDS = ("cpu", "gpu", "igpu", "accel")  # enum ggml_backend_dev_type
_AbortCallback = ctypes.CFUNCTYPE(None, ctypes.c_char_p)


class NativeLog:
    """Receives llama.cpp's log lines from any thread; `capture` collects those of one call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._partial = ""
        self._captures: list[list[str]] = []
        self.callback = lib.llama_log_callback(self._receive)

    def _receive(self, level: int, text: bytes | None, _data: object) -> None:
        with self._lock:
            self._partial += (text or b"").decode("utf-8", "replace")
            *lines, self._partial = self._partial.split("\n")
            for line in lines:
                if line.strip(". "):
                    log.log(_LEVELS.get(level, logging.DEBUG), "%s", line)
                    for lines_of_capture in self._captures:
                        lines_of_capture.append(line)

    @contextmanager
    def capture(self) -> Iterator[list[str]]:
        """The lines llama.cpp logs meanwhile (from every thread of the process)."""
        lines: list[str] = []
        with self._lock:
            self._captures.append(lines)
        try:
            yield lines
        finally:
            with self._lock:
                # by identity: two captures may hold equal lines
                self._captures = [other for other in self._captures if other is not lines]


@dataclass(frozen=True, slots=True)
class HostBuffer:
    """Page-locked host memory an accelerator copies to at full speed; `free` it once."""

    address: int
    free: Callable[[], None]


class _Library:
    def __init__(self) -> None:
        self.log = NativeLog()
        self.folder = Path(_ggml.libggml_base_path)
        self._crash_file: Path | None = None
        self._abort = _AbortCallback(self._on_abort)
        lib.llama_log_set(self.log.callback, None)
        self._base = self._open_base()
        if self._base is not None:
            self._base.ggml_set_abort_callback.restype = ctypes.c_void_p
            self._base.ggml_set_abort_callback(self._abort)
        ggml = _ggml.libggml
        ggml.ggml_backend_reg_count.restype = ctypes.c_size_t
        if ggml.ggml_backend_reg_count() == 0:
            # A build with loadable backends would otherwise search the working directory.
            ggml.ggml_backend_load_all_from_path(str(self.folder).encode())
        lib.llama_backend_init()

    def _open_base(self) -> ctypes.CDLL | None:
        for name in ("libggml-base.so", "libggml-base.so.0", "libggml-base.dylib", "ggml-base.dll"):
            if (self.folder / name).exists():
                return ctypes.CDLL(str(self.folder / name))
        return None

    def set_crash_file(self, path: Path) -> None:
        self._crash_file = path

    def _on_abort(self, message: bytes | None) -> None:
        """The process ends after this call; leave the reason where the parent finds it."""
        text = (message or b"").decode("utf-8", "replace")
        if self._crash_file is not None:
            self._crash_file.write_text(text, encoding="utf-8")
        os.write(2, f"llama.cpp aborted: {text}\n".encode())

    def devices(self) -> tuple[str, ...]:
        """The compute devices llama.cpp sees, by name."""
        ggml, base = _ggml.libggml, self._base
        if base is None:
            return ()
        ggml.ggml_backend_dev_count.restype = ctypes.c_size_t
        ggml.ggml_backend_dev_get.restype = ctypes.c_void_p
        ggml.ggml_backend_dev_get.argtypes = [ctypes.c_size_t]
        base.ggml_backend_dev_name.restype = ctypes.c_char_p
        base.ggml_backend_dev_name.argtypes = [ctypes.c_void_p]
        names = (
            base.ggml_backend_dev_name(ggml.ggml_backend_dev_get(i))
            for i in range(ggml.ggml_backend_dev_count())
        )
        return tuple((name or b"").decode() for name in names)

    def device_memory(self) -> tuple[int, int] | None:
        """Free and total bytes of all accelerators together; None without one."""
        ggml, base = _ggml.libggml, self._base
        if base is None:
            return None
        base.ggml_backend_dev_type.restype = ctypes.c_int
        base.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
        base.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p] + [
            ctypes.POINTER(ctypes.c_size_t)
        ] * 2
        base.ggml_backend_dev_memory.restype = None
        free_sum = total_sum = 0
        for i in range(len(self.devices())):
            device = ggml.ggml_backend_dev_get(i)
            if base.ggml_backend_dev_type(device) == 1:  # GGML_BACKEND_DEVICE_TYPE_GPU
                free, total = ctypes.c_size_t(), ctypes.c_size_t()
                base.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
                free_sum += free.value
                total_sum += total.value
        return (free_sum, total_sum) if total_sum else None

    def device_list(self) -> tuple[DeviceInfo, ...]:
        """Every device with its memory as ggml reports it; on Metal the working set."""
        ggml, base = _ggml.libggml, self._base
        names = self.devices()
        if base is None:
            return ()
        base.ggml_backend_dev_type.restype = ctypes.c_int
        base.ggml_backend_dev_type.argtypes = [ctypes.c_void_p]
        base.ggml_backend_dev_description.restype = ctypes.c_char_p
        base.ggml_backend_dev_description.argtypes = [ctypes.c_void_p]
        base.ggml_backend_dev_memory.argtypes = [ctypes.c_void_p] + [
            ctypes.POINTER(ctypes.c_size_t)
        ] * 2
        base.ggml_backend_dev_memory.restype = None
        found = []
        for i, name in enumerate(names):
            device = ggml.ggml_backend_dev_get(i)
            free, total = ctypes.c_size_t(), ctypes.c_size_t()
            base.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
            kind = base.ggml_backend_dev_type(device)
            text = (base.ggml_backend_dev_description(device) or b"").decode("utf-8", "replace")
            found.append(
                DeviceInfo(
                    name=name,
                    kind=_DEVICE_KINDS[kind] if kind < len(_DEVICE_KINDS) else "accel",
                    description=text,
                    total_bytes=total.value,
                    free_bytes=free.value,
                )
            )
        return tuple(found)

    def host_buffer(self, size_bytes: int) -> HostBuffer | None:
        """Page-locked memory of the first accelerator that offers some; None without one."""
        ggml, base = _ggml.libggml, self._base
        if base is None or size_bytes <= 0:
            return None
        pointer = ctypes.c_void_p
        base.ggml_backend_dev_type.restype = ctypes.c_int
        base.ggml_backend_dev_type.argtypes = [pointer]
        base.ggml_backend_dev_host_buffer_type.restype = pointer
        base.ggml_backend_dev_host_buffer_type.argtypes = [pointer]
        base.ggml_backend_buft_alloc_buffer.restype = pointer
        base.ggml_backend_buft_alloc_buffer.argtypes = [pointer, ctypes.c_size_t]
        base.ggml_backend_buffer_get_base.restype = pointer
        base.ggml_backend_buffer_get_base.argtypes = [pointer]
        base.ggml_backend_buffer_free.restype = None
        base.ggml_backend_buffer_free.argtypes = [pointer]
        for i in range(len(self.devices())):
            device = ggml.ggml_backend_dev_get(i)
            if _DEVICE_KINDS[base.ggml_backend_dev_type(device)] != "gpu":
                continue
            kind = base.ggml_backend_dev_host_buffer_type(device)
            buffer = base.ggml_backend_buft_alloc_buffer(kind, size_bytes) if kind else None
            if buffer:
                address = int(base.ggml_backend_buffer_get_base(buffer))
                return HostBuffer(address, partial(base.ggml_backend_buffer_free, buffer))
        return None

    def cpu_buffer_type(self) -> int:
        """ggml's CPU buffer type, for tensors that must stay in host memory."""
        base = self._base
        if base is None:
            return 0
        base.ggml_backend_cpu_buffer_type.restype = ctypes.c_void_p
        return int(base.ggml_backend_cpu_buffer_type() or 0)


@cache
def library() -> _Library:
    """The library, initialised on first use."""
    return _Library()


def build_name() -> str:
    """Version of the binding and of what it was built with; part of every saved state's key."""
    info: Any = lib.llama_print_system_info()
    text = info.decode("utf-8", "replace") if isinstance(info, bytes) else str(info)
    return f"llama-cpp-python {llama_cpp.__version__} {text.strip()}"
