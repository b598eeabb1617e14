"""Keeps the machine from falling asleep while something is being downloaded; the screen may."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
from typing import Any

_ES_CONTINUOUS = 0x80000000
_ES_SYSTEM_REQUIRED = 0x00000001


class KeepAwake:
    """Counts who needs the machine awake. Where the system offers no way, nothing happens."""

    def __init__(self) -> None:
        self._users = 0
        self._process: subprocess.Popen[bytes] | None = None

    def acquire(self) -> None:
        self._users += 1
        if self._users == 1:
            self._begin()

    def release(self) -> None:
        self._users -= 1
        if self._users == 0:
            self._end()

    def _begin(self) -> None:
        system = platform.system()
        if system == "Windows":
            _thread_state(_ES_CONTINUOUS | _ES_SYSTEM_REQUIRED)
            return
        command = _command(system)
        if command is None:
            return
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            self._process = None

    def _end(self) -> None:
        if platform.system() == "Windows":
            _thread_state(_ES_CONTINUOUS)
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()
            process.terminate()
            process.wait(5)


def _command(system: str) -> list[str] | None:
    if system == "Darwin":
        return ["/usr/bin/caffeinate", "-i", "-w", str(os.getpid())]
    inhibit = shutil.which("systemd-inhibit")
    if inhibit is None or not os.path.exists("/run/systemd/system"):
        return None
    # `cat` ends when our end of its pipe closes, so a killed Garret leaves nothing behind.
    return [inhibit, "--what=sleep", "--who=Garret", "--why=Downloading a model", "cat"]


def _thread_state(flags: int) -> None:
    windll: Any = getattr(ctypes, "windll", None)
    if windll is not None:
        windll.kernel32.SetThreadExecutionState(flags)
