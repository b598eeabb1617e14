"""Runs one command: its own process group, no stdin, limits, live output, and a Stop that works."""

from __future__ import annotations

import asyncio
import codecs
import json
import os
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from app.agent.sandbox import Sandbox
from app.agent.types import OutputSink, visible
from app.core.tasks import end_tasks

_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_HEAD_BYTES, _TAIL_BYTES = 256 << 10, 512 << 10
_PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What ends a command. `wall_s` is the model's own time limit, None for none."""

    wall_s: float | None = None
    output_bytes: int = 64 << 20
    processes: int = 512
    memory_bytes: int = 0
    file_bytes: int = 8 << 30


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended. `ended_by` is "" for its own end, else what stopped it: "stop",
    "time", "output", "memory", "processes", "start"."""

    exit_code: int | None
    text: str
    total_bytes: int
    ended_by: str = ""
    elapsed_s: float = 0.0
    detail: str = ""


@dataclass(slots=True)
class _Output:
    """Head and tail of what a command wrote; all of it goes to the spill file."""

    head: bytearray = field(default_factory=bytearray)
    tail: bytearray = field(default_factory=bytearray)
    total: int = 0

    def add(self, data: bytes) -> None:
        self.total += len(data)
        room = _HEAD_BYTES - len(self.head)
        self.head += data[: max(0, room)]
        self.tail += data[max(0, room) :]
        if len(self.tail) > 2 * _TAIL_BYTES:
            del self.tail[:-_TAIL_BYTES]

    def text(self) -> str:
        kept = len(self.head) + len(self.tail)
        gap = f"\n… {self.total - kept:,} bytes …\n".encode() if kept < self.total else b""
        return clean((bytes(self.head) + gap + bytes(self.tail)).decode("utf-8", "replace"))


def clean(text: str) -> str:
    """Terminal output as plain text: no colours, no cursor movement, nothing invisible."""
    text = _ANSI.sub("", text).replace("\r\n", "\n")
    rows = [row.rpartition("\r")[2] if "\r" in row else row for row in text.split("\n")]
    return visible("\n".join(rows))


class Running:
    """One started command. `stop` ends it and all it started, within about a second."""

    def __init__(
        self, process: asyncio.subprocess.Process, control: int, report: int, has_keeper: bool
    ) -> None:
        self.process = process
        self._control = control
        self._report = report
        self._has_keeper = has_keeper

    async def stop(self) -> None:
        """Ends the whole tree; returns when it is gone."""
        children = self._children()
        self._close_control()
        if not self._has_keeper:
            self._signal_group(signal.SIGTERM)
        await self._over(1.0)
        if self.process.returncode is None or not self._has_keeper:
            self._signal_group(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
            for child in children:
                with suppress(psutil.Error):
                    child.kill()
            await self._over(2.0)

    async def _over(self, limit_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self.process.wait()

    def _children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            return []

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            if sys.platform == "win32":
                self.process.kill()
            else:
                os.killpg(self.process.pid, number)

    def reports(self) -> dict[str, Any]:
        """What the launcher told; read once, after the end."""
        facts: dict[str, Any] = {}
        if self._report >= 0:
            with os.fdopen(self._report, "rb") as file:
                for line in file.read().splitlines():
                    with suppress(ValueError):
                        item = json.loads(line)
                        facts |= item if isinstance(item, dict) else {}
            self._report = -1
        return facts

    def _close_control(self) -> None:
        if self._control >= 0:
            os.close(self._control)
            self._control = -1

    def close(self) -> None:
        """Gives the pipes back."""
        self._close_control()
        # An orphan may still hold the output's other end; asyncio has no public way to let go.
        transport = getattr(self.process, "_transport", None)
        if transport is not None:
            transport.close()
        if self._report >= 0:
            os.close(self._report)
            self._report = -1


async def start(
    sandbox: Sandbox,
    argv: Sequence[str],
    root: Path,
    scratch: Path,
    env: Mapping[str, str],
    limits: Limits,
    *,
    network: bool,
    sandboxed: bool,
    reads: Sequence[str] = (),
    output: int | None = None,
) -> Running:
    """Starts a command. `output` is a descriptor for its output, None for a pipe.

    Raises:
        OSError: the system could not start it.
    """
    posix = sys.platform != "win32"
    control_read, control_write = os.pipe() if posix else (-1, -1)
    report_read, report_write = os.pipe() if posix else (-1, -1)
    wrapped = sandbox.wrap(
        argv,
        root,
        scratch,
        env,
        network=network,
        limits={
            "processes": limits.processes,
            "memory_bytes": limits.memory_bytes,
            "file_bytes": limits.file_bytes,
        },
        pipes=(control_read, report_write),
        sandboxed=sandboxed,
        reads=reads,
    )
    flags = {"creationflags": 0x00000200 | 0x08000000} if not posix else {"start_new_session": True}
    try:
        process = await asyncio.create_subprocess_exec(
            *wrapped.argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE if output is None else output,
            stderr=asyncio.subprocess.STDOUT,
            cwd=root,
            env=dict(env),
            pass_fds=(control_read, report_write) if wrapped.is_launcher else (),
            limit=1 << 20,
            **flags,
        )
    except BaseException:
        for fd in (control_write, report_read):
            if fd >= 0:
                os.close(fd)
        raise
    finally:
        for fd in (control_read, report_write):
            if fd >= 0:
                os.close(fd)
    return Running(process, control_write, report_read, wrapped.is_launcher)


async def run(
    running: Running,
    limits: Limits,
    cancel: asyncio.Event,
    output: OutputSink,
    spill: Path,
    keep_waiting: Callable[[float], Awaitable[bool]],
) -> Result:
    """Follows a command to its end.

    Args:
        spill: where all of its output goes.
        keep_waiting: asked after two minutes and then again each time twice as late.
    """
    started = time.monotonic()
    kept = _Output()
    reader = asyncio.create_task(_read(running, kept, output, spill, limits.output_bytes))
    stopper = asyncio.create_task(cancel.wait())
    waiter = asyncio.create_task(running.process.wait())
    ended_by = ""
    patience = _PATIENCE_S
    try:
        while not ended_by:
            elapsed = time.monotonic() - started
            ends = limits.wall_s if limits.wall_s is not None else patience
            done, _ = await asyncio.wait(
                {reader, stopper, waiter},
                timeout=max(0.0, ends - elapsed),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if reader in done:
                ended_by = "output" if reader.result() else ""
                break
            if waiter in done and stopper not in done:  # an orphan may still hold the output
                await asyncio.wait({reader}, timeout=1.0)
                if not reader.done():
                    await running.stop()
                break
            if stopper in done:
                ended_by = "stop"
            elif limits.wall_s is not None:
                ended_by = "time"
            elif await _asked(keep_waiting, patience, reader, stopper):
                patience *= 2
            else:
                ended_by = "stop"
        if ended_by:
            await running.stop()
        await asyncio.wait({waiter}, timeout=5.0)
        await asyncio.wait({reader}, timeout=1.0)
    except asyncio.CancelledError:
        await running.stop()
        raise
    finally:
        await end_tasks(stopper, reader, waiter)
        facts = running.reports()
        running.close()
    ended_by = ended_by or str(facts.get("killed", "")) or ("start" if "error" in facts else "")
    return Result(
        running.process.returncode if not ended_by else None,
        kept.text(),
        kept.total,
        ended_by,
        time.monotonic() - started,
        str(facts.get("error", "")),
    )


async def _asked(
    keep_waiting: Callable[[float], Awaitable[bool]],
    elapsed_s: float,
    reader: asyncio.Task[bool],
    stopper: asyncio.Task[bool],
) -> bool:
    """The answer to "Keep waiting?"; the end of the command or Stop answers it too."""
    question = asyncio.ensure_future(keep_waiting(elapsed_s))
    done, _ = await asyncio.wait({question, reader, stopper}, return_when=asyncio.FIRST_COMPLETED)
    if question in done:
        return question.result()
    await end_tasks(question)
    return True


async def _read(
    running: Running, kept: _Output, output: OutputSink, spill: Path, limit_bytes: int
) -> bool:
    """Reads to the end; True when the limit was passed before."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    stream = running.process.stdout
    if stream is None:
        await running.process.wait()
        return False
    with spill.open("ab") as file:
        while data := await stream.read(65536):
            kept.add(data)
            file.write(data)
            output(clean(decoder.decode(data)))
            if kept.total > limit_bytes:
                return True
    return False
