"""Starts one command inside Landlock and seccomp, and stays as its keeper. Linux, stdlib only.

Run as `garret _sandbox SPEC -- ARGV…`; SPEC is a JSON object (`app.agent.sandbox_kernel.Spec`).
Neither this module nor what it imports may import anything else of Garret: its start is the wait
before every command.

The keeper is not sandboxed. It adopts every orphan of the command (child subreaper), so that Stop
finds all of them; it ends the tree when its control pipe closes (Garret is gone), when limits are
passed, and when the command itself has ended. What happens is told on the report pipe as JSON
lines: started, error, killed.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from app.agent.sandbox_keeper import Keeper, children_of, end_tree
from app.agent.sandbox_kernel import (
    Refused,
    Spec,
    drop_capabilities,
    forbid_new_privileges,
    landlock_abi,
    missing_at,
    restrict_calls,
    restrict_files,
)

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_S = 0.3
_WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

_libc = ctypes.CDLL(None, use_errno=True)


def _limit(spec: Spec) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if spec.file_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (spec.file_bytes, spec.file_bytes))
    with suppress(OSError, ValueError, IndexError), open("/proc/loadavg", encoding="ascii") as file:
        running = int(file.read().split()[3].partition("/")[2])
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        wanted = running + spec.processes
        if hard == resource.RLIM_INFINITY or wanted < hard:
            resource.setrlimit(resource.RLIMIT_NPROC, (wanted, wanted))


def _become(spec: Spec, argv: list[str], channel: socket.socket) -> None:
    """The child: puts the sandbox up, hands the listener over, becomes the command."""
    try:
        for fd in (spec.control_fd, spec.report_fd):
            if fd >= 0:
                os.close(fd)
        for number in (
            signal.SIGTERM,
            signal.SIGINT,
            signal.SIGHUP,
            signal.SIGPIPE,
            signal.SIGCHLD,
        ):
            signal.signal(number, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        _limit(spec)
        abi, listener = 0, -1
        if spec.sandbox:
            abi = min(landlock_abi(), spec.max_abi)
            if abi < 1:
                raise Refused("the kernel has no Landlock")
            drop_capabilities()
            forbid_new_privileges()
            restrict_files(spec, abi)
            listener = restrict_calls(spec, abi)
        missing = missing_at(abi, listener >= 0) if spec.sandbox else []
        text = json.dumps({"started": os.getpid(), "abi": abi, "missing": missing})
        if listener >= 0:
            socket.send_fds(channel, [text.encode()], [listener])
            os.close(listener)
        else:
            channel.sendall(text.encode())
        channel.close()
        os.execv(argv[0], argv)  # noqa: S606
    except (OSError, Refused) as error:
        with suppress(OSError):
            channel.sendall(json.dumps({"error": str(error)}).encode())
        os.write(2, f"garret: {error}\n".encode())
    os._exit(125)


class _Watch:
    """Waits for the command and for what ends it."""

    def __init__(self, spec: Spec, child: int, keeper: Keeper | None, wake: int) -> None:
        self._spec = spec
        self._child = child
        self._keeper = keeper
        self._wake = wake
        self._poll = select.poll()
        self._poll.register(wake, select.POLLIN)
        if spec.control_fd >= 0:
            self._poll.register(spec.control_fd, select.POLLIN | select.POLLHUP)
        if keeper is not None:
            self._poll.register(keeper.listener, select.POLLIN)

    def run(self, report: Callable[[dict[str, Any]], None]) -> int:
        """The exit status of the command; 128 + signal where it was killed, 143 on Stop."""
        next_look = time.monotonic() + _LOOK_S
        while True:
            if any(not self._go_on(fd, event) for fd, event in self._poll.poll(_LOOK_S * 1000)):
                return 143
            status = self._reaped()
            if status is not None:
                return status
            if time.monotonic() >= next_look:
                next_look = time.monotonic() + _LOOK_S
                over = self._over()
                if over:
                    report({"killed": over})
                    return 137

    def _go_on(self, fd: int, event: int) -> bool:
        keeper = self._keeper
        if keeper is not None and fd == keeper.listener:
            if not event & select.POLLIN or not keeper.serve():
                self._poll.unregister(fd)
            return True
        if fd == self._wake:
            return all(number == signal.SIGCHLD for number in os.read(fd, 64))
        return bool(os.read(fd, 64))  # the control pipe closed: Garret is gone, or said Stop

    def _reaped(self) -> int | None:
        with suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == self._child:
                    code = os.waitstatus_to_exitcode(status)
                    return code if code >= 0 else 128 - code
                if pid == 0:
                    break
        return None

    def _over(self) -> str:
        tree = children_of(os.getpid())
        if len(tree) > self._spec.processes:
            return "processes"
        return "memory" if 0 < self._spec.memory_bytes < sum(tree.values()) else ""


def main(argv: list[str]) -> int:
    """Runs one command; `argv` is SPEC, "--", and the command's own argv."""
    if len(argv) < 3 or argv[1] != "--":
        os.write(2, b"garret _sandbox is started by Garret itself.\n")
        return 125
    try:
        spec = Spec(json.loads(argv[0]))
    except (ValueError, TypeError, AttributeError):
        os.write(2, b"garret: the sandbox was started with a wrong spec.\n")
        return 125

    def report(item: dict[str, Any]) -> None:
        if spec.report_fd >= 0:
            with suppress(OSError):
                os.write(spec.report_fd, json.dumps(item).encode() + b"\n")

    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for number in _WATCHED:
        signal.signal(number, lambda *_: None)
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    child = os.fork()
    if child == 0:
        mine.close()
        _become(spec, argv[2:], theirs)
    theirs.close()
    text, descriptors, _, _ = socket.recv_fds(mine, 65536, 1)
    mine.close()
    report(json.loads(text) if text else {"error": "the command could not be started"})
    keeper = Keeper(descriptors[0], spec.write) if descriptors else None
    try:
        return _Watch(spec, child, keeper, wake_read).run(report)
    finally:
        end_tree(os.getpid())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
