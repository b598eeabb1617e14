"""The way to our own engine: a Unix socket in a folder that only this user can open.

Nobody else can even try it, no port is open for it, and it works where the loopback interface is
down. Where there is none (Windows, no fit folder) the engine listens on a loopback port instead.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

_MAX_PATH_BYTES = 103  # sun_path of macOS less its end; Linux has 107
_OLD_S = 60.0  # a socket that is bound and not yet listening refuses, too


def new_socket_path(environ: Mapping[str, str] | None = None) -> str:
    """A free path for one engine's socket; "" where Unix sockets cannot be used.

    Sockets that killed programs left behind are removed on the way.
    """
    if sys.platform == "win32":
        return ""
    for folder in _candidates(os.environ if environ is None else environ):
        path = folder / f"{secrets.token_hex(8)}.sock"
        if len(os.fsencode(path)) <= _MAX_PATH_BYTES and _is_private(folder):
            remove_stale(folder)
            return str(path)
    return ""


def remove_socket(path: str) -> None:
    """Removes what an engine that has ended left; the folder, too, after the last one."""
    if not path:
        return
    with contextlib.suppress(OSError):
        os.unlink(path)
    with contextlib.suppress(OSError):
        os.rmdir(os.path.dirname(path))


def remove_stale(folder: Path, age_s: float = _OLD_S) -> None:
    """Removes sockets nobody listens on any more."""
    for path in folder.glob("*.sock"):
        with contextlib.suppress(OSError):
            if time.time() - path.lstat().st_mtime < age_s:
                continue
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                probe.setblocking(False)
                try:
                    probe.connect(str(path))
                except ConnectionRefusedError:
                    path.unlink()


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if sys.platform != "darwin" and os.path.isabs(runtime) and _is_private(Path(runtime)):
        yield Path(runtime, "garret")
    yield Path(tempfile.gettempdir(), f"garret-{os.getuid()}")


def _is_private(folder: Path) -> bool:
    """Made if need be; True when it is this user's own and closed to everybody else."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
    except OSError:
        return False
    mine = stat.S_ISDIR(state.st_mode) and state.st_uid == os.getuid()
    return mine and not state.st_mode & 0o077 and os.access(folder, os.W_OK | os.X_OK)
