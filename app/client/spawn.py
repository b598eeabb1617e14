"""How an engine process comes into being: its command, environment, log, and an early start.

Imports little: the first thing a window's start does is to call `SpareEngine.begin`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from app.core.paths import Paths

_MAX_LOG_BYTES = 4 * 1024 * 1024
# Ours or the bundle's, or doors for foreign libraries; the engine gets none of them.
_SCRUBBED = (
    "GGML_BACKEND_PATH",
    "LLAMA_CPP_LIB_PATH",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "PYTHONSTARTUP",
)


def engine_command(helper: str = "_engine", libraries: Path | None = None) -> list[str]:
    """How to start the engine (or its "_probe") from this installation, frozen or not."""
    modules = {"_engine": "app.engine", "_probe": "app.engine.probe"}
    start = [helper] if getattr(sys, "frozen", False) else ["-m", modules[helper]]
    chosen = ["--libraries", str(libraries)] if libraries is not None else []
    return [sys.executable, *start, *chosen]


def engine_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The parent's environment less secrets and library paths."""
    kept = {
        key: value
        for key, value in environ.items()
        if key not in _SCRUBBED and not key.endswith("_API_KEY")
    }
    kept["GGML_NO_BACKTRACE"] = "1"
    kept["PYTHONUNBUFFERED"] = "1"
    kept["PYTHONSAFEPATH"] = "1"  # `-m` would put the working directory on the path
    kept["PYTHONPATH"] = str(app_root())
    return kept


class SpareEngine:
    """An engine that is started before anybody needs it.

    It imports its libraries while the window is built, then waits for its first line. Whoever
    starts the first engine process takes it; not taken, it is let go.
    """

    def __init__(
        self, popen: subprocess.Popen[bytes], log_start: int, libraries: Path | None = None
    ) -> None:
        self._popen: subprocess.Popen[bytes] | None = popen
        self._log_start = log_start
        self.libraries = libraries

    @classmethod
    def begin(cls, log_path: Path, libraries: Path | None = None) -> SpareEngine | None:
        """Starts it; None where no process can be started (the real start will say why)."""
        try:
            log_start = log_size(log_path)
            command = engine_command(libraries=libraries)
            return cls(spawn(command, log_path), log_start, libraries)
        except OSError:
            return None

    def take(self) -> tuple[subprocess.Popen[bytes], int] | None:
        """The process and where its log begins, once; None when it is gone."""
        popen, self._popen = self._popen, None
        if popen is None:
            return None
        if popen.poll() is not None:
            _close(popen)
            return None
        return popen, self._log_start

    def discard(self) -> None:
        """Lets it end, if nobody took it."""
        popen, self._popen = self._popen, None
        if popen is not None:
            popen.kill()
            popen.wait()
            _close(popen)


def engine_log(paths: Paths) -> Path:
    """Where the window's engine writes what goes wrong."""
    return paths.logs / "engine.log"


def spawn(command: list[str], log_path: Path) -> subprocess.Popen[bytes]:
    """Takes a few milliseconds. On the loop's own thread on purpose: Linux ends the engine when
    the *thread* that started it ends."""
    log_path.parent.mkdir(parents=True, exist_ok=True)
    with _open_log(log_path) as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            # The app's own folder: ggml also looks for libraries in the working directory.
            cwd=app_root(),
            env=engine_environment(os.environ),
            close_fds=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            start_new_session=sys.platform != "win32",
        )


def app_root() -> Path:
    """The folder `app` lies in; in a bundle, the one with everything."""
    return Path(__file__).resolve().parents[2]


def log_size(path: Path) -> int:
    """Bytes already in the log; an over-long one is put aside first."""
    with contextlib.suppress(OSError):
        size = path.stat().st_size
        if size <= _MAX_LOG_BYTES:
            return size
        path.replace(path.with_suffix(".old.log"))
    return 0


def _open_log(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _close(popen: subprocess.Popen[bytes]) -> None:
    for pipe in (popen.stdin, popen.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
