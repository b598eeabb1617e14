"""One engine process: started with its secrets on a pipe, watched by one thread, never orphaned.

The engine ends at end-of-file on its stdin, so it cannot outlive this process however this one
dies. `subprocess` and a thread are used rather than asyncio's own because child watching differs
between the Qt loop and plain asyncio.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from app.client.engine_socket import new_socket_path, remove_socket
from app.client.spawn import SpareEngine, engine_command, log_size, spawn
from app.core.control import EngineBoot, EngineReady
from app.core.errors import EngineDied, EngineNotInstalled

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 3.0
OWN_URL = "http://localhost"  # over a Unix socket there is no other
_WINDOWS_ILLEGAL_INSTRUCTION = 0xC000001D


class EngineProcess:
    """A started engine. Create with `start`."""

    def __init__(
        self,
        popen: subprocess.Popen[bytes],
        ready: EngineReady,
        exited: asyncio.Event,
        read_log: Callable[[], str],
    ) -> None:
        self._popen = popen
        self._exited = exited
        self._read_log = read_log
        self.ready = ready

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def endpoint_url(self) -> str | None:
        """Where other programs reach it; None while no port is open."""
        host = f"[{self.ready.host}]" if ":" in self.ready.host else self.ready.host
        return f"http://{host}:{self.ready.port}" if self.ready.port else None

    @property
    def base_url(self) -> str:
        """What the app itself asks, through `ready.socket` where there is one."""
        if self.ready.socket or self.endpoint_url is None:
            return OWN_URL
        return self.endpoint_url

    @classmethod
    async def start(
        cls,
        boot: EngineBoot,
        log_path: Path,
        *,
        command: Sequence[str] | None = None,
        spare: SpareEngine | None = None,
        libraries: Path | None = None,
        timeout_s: float = READY_TIMEOUT_S,
    ) -> EngineProcess:
        """Starts the engine, or goes on with a spare one, and waits until its socket listens.

        `libraries` is the folder of another backend's llama.cpp. A Unix socket is chosen here
        unless `boot` names one.

        Raises:
            EngineNotInstalled: llama-cpp-python does not import.
            EngineDied: it ended, or was not ready within `timeout_s`.
        """
        loop = asyncio.get_running_loop()
        boot = replace(boot, socket=boot.socket or new_socket_path())
        exited, first_line = asyncio.Event(), loop.create_future()
        fits = spare is not None and command is None and spare.libraries == libraries
        taken = spare.take() if spare is not None and fits else None
        if taken is not None:
            popen, log_start = taken
        else:
            log_start = log_size(log_path)
            popen = spawn(list(command or engine_command(libraries=libraries)), log_path)

        def read_log() -> str:
            return log_tail(log_path, log_start)

        watcher = threading.Thread(
            target=_watch,
            args=(popen, boot.socket, _poster(loop), first_line, exited),
            name="engine-watch",
            daemon=True,
        )
        watcher.start()
        try:
            assert popen.stdin is not None
            popen.stdin.write(json.dumps(boot.to_json()).encode() + b"\n")
            popen.stdin.flush()
            async with asyncio.timeout(timeout_s):
                line = await asyncio.shield(first_line)
        except (BrokenPipeError, TimeoutError):
            line = b""
        except BaseException:
            _kill(popen)
            raise
        try:
            ready = EngineReady.from_json(json.loads(line))
        except (ValueError, TypeError):
            _kill(popen)
            await exited.wait()
            raise death_error(popen.returncode, read_log()) from None
        return cls(popen, ready, exited, read_log)

    async def wait(self) -> int:
        """Waits for the end of the process; its exit code, negative for a signal."""
        await self._exited.wait()
        return self._popen.returncode

    def death(self) -> EngineDied | EngineNotInstalled:
        """Why it ended, once it has."""
        return death_error(self._popen.returncode, self._read_log())

    async def stop(self) -> None:
        """Asks it to end by closing its stdin, then kills it."""
        if self._popen.stdin is not None:
            with contextlib.suppress(OSError):
                self._popen.stdin.close()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                await self._exited.wait()
        except TimeoutError:
            _kill(self._popen)
            await self._exited.wait()


def log_tail(path: Path, start: int = 0, limit_bytes: int = 8192) -> str:
    """The end of the engine's log, nothing from before `start`; empty when there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(min(start, size), size - limit_bytes))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""


# What llama.cpp, its backends, Python and the C library say when memory runs out.
_MEMORY_WORDS = (
    "out of memory", "failed to allocate", "bad_alloc", "OutOfMemory", "MemoryError",
    "mem_buffer != NULL", "can't start new thread", "Cannot allocate memory", "OutOfDeviceMemory",
)  # fmt: skip


def death_error(returncode: int | None, tail: str) -> EngineDied | EngineNotInstalled:
    """One sentence for an exit code and the end of the log."""
    facts = {"returncode": returncode, "log_tail": tail[-2000:]}
    if "No module named 'llama_cpp'" in tail or "Failed to load shared library" in tail:
        return EngineNotInstalled(
            "The engine (llama-cpp-python) is not installed or does not load.",
            "Run python3 scripts/run.py again to install it.",
            **facts,
        )
    if "address already in use" in tail.lower():
        return EngineDied(
            "Another program already uses the endpoint's port.",
            "Choose another port with --port or in Settings, or stop the other program.",
            reason="port",
            **facts,
        )
    if returncode == -getattr(signal, "SIGKILL", 9):
        return EngineDied(
            "The engine was stopped by the system, most likely because memory ran out.",
            "Close other programs, or choose a smaller model or context.",
            reason="killed",
            **facts,
        )
    if returncode in (-getattr(signal, "SIGILL", 4), _WINDOWS_ILLEGAL_INSTRUCTION):
        return EngineDied(
            "This engine uses instructions that this computer's processor does not have.",
            "Start Garret from a checkout: python3 scripts/run.py builds an engine that fits.",
            reason="processor",
            **facts,
        )
    if any(word in tail for word in _MEMORY_WORDS):
        return EngineDied(
            "The engine ran out of memory.",
            "Choose a smaller model or a smaller context.",
            reason="memory",
            **facts,
        )
    return EngineDied(
        "The engine stopped unexpectedly.",
        "It is started again by itself; if it keeps happening, choose another model.",
        reason="crash",
        **facts,
    )


_Poster = Callable[[Callable[[], object]], None]


def _poster(loop: asyncio.AbstractEventLoop) -> _Poster:
    def post(callback: Callable[[], object]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
            loop.call_soon_threadsafe(callback)

    return post


def _watch(
    popen: subprocess.Popen[bytes],
    socket_path: str,
    post: _Poster,
    first_line: asyncio.Future[bytes],
    exited: asyncio.Event,
) -> None:
    assert popen.stdout is not None
    line = popen.stdout.readline(65536)
    post(lambda: None if first_line.done() else first_line.set_result(line))
    while popen.stdout.read(65536):
        pass  # nothing more is expected; the pipe must not fill up
    popen.wait()
    remove_socket(socket_path)
    popen.stdout.close()
    if popen.stdin is not None:
        with contextlib.suppress(OSError):
            popen.stdin.close()
    post(exited.set)


def _kill(popen: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        popen.kill()
