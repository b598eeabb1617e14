"""Which of the installed engine backends to use: each is tried in a process of its own, once.

A bundle may hold `backends/<name>/`, one folder of llama.cpp libraries each, beside the built-in
ones. A backend that crashes, hangs or finds no device is passed over; what came out is remembered
until its files, the graphics driver or the system change.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.client.spawn import app_root, engine_command, engine_environment

BUILT_IN = "built-in"
LIMIT_S = 90.0 if sys.platform == "win32" else 30.0  # virus scanners read new libraries slowly
_ORDER = ("cuda", "rocm", "metal", "vulkan")  # before the built-in one, the best first
_GPU_KINDS = ("gpu", "igpu")


@dataclass(frozen=True, slots=True)
class Backend:
    """One set of llama.cpp libraries; `folder` is None for those inside llama_cpp."""

    name: str
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a trial said; `key` stands for the files, the driver and the system it was made with."""

    name: str
    works: bool
    sentence: str
    key: str


Probe = Callable[[Backend], Verdict]


def installed_backends(root: Path) -> list[Backend]:
    """The best first, the built-in one last."""
    places = sorted(path for path in (root / "backends").glob("*") if path.is_dir())
    found = [Backend(path.name, path) for path in places if any(path.glob("*llama.*"))]
    rank = {name: at for at, name in enumerate(_ORDER)}

    def best_first(one: Backend) -> tuple[int, str]:
        return rank.get(one.name.rstrip("0123456789"), len(_ORDER)), one.name

    return [*sorted(found, key=best_first), Backend(BUILT_IN)]


class Backends:
    """The choice, remembered in `state_file`. Calls block; `known` does not start anything."""

    def __init__(
        self, backends: Sequence[Backend], state_file: Path, probe: Probe | None = None
    ) -> None:
        self.backends = tuple(backends)
        self.state_file = state_file
        self._probe = probe or probe_backend
        self._verdicts = {one.name: one for one in _read(state_file)}

    def verdicts(self) -> tuple[Verdict, ...]:
        """What is remembered and still holds, in order of preference."""
        fresh = (self._fresh(one) for one in self.backends)
        return tuple(verdict for verdict in fresh if verdict is not None)

    def known(self) -> Backend | None:
        """The choice, where no trial is needed for it; else None."""
        for backend in self.backends:
            if backend.folder is None:
                return backend
            verdict = self._fresh(backend)
            if verdict is None:
                return None
            if verdict.works:
                return backend
        return None

    def choose(self) -> Backend:
        """The best that works, trying what is not known yet."""
        for backend in self.backends:
            if backend.folder is None:
                return backend
            verdict = self._fresh(backend)
            if verdict is None:
                verdict = self._probe(backend)
                self._remember(verdict)
            if verdict.works:
                return backend
        return Backend(BUILT_IN)

    def mark_bad(self, backend: Backend, why: str) -> bool:
        """Passes it over from now on; False for the built-in one, which has no other after it."""
        if backend.folder is None:
            return False
        self._remember(Verdict(backend.name, False, why, key_of(backend)))
        return True

    def forget(self) -> None:
        """Everything is tried again."""
        self._verdicts.clear()
        with contextlib.suppress(OSError):
            self.state_file.unlink(missing_ok=True)

    def _fresh(self, backend: Backend) -> Verdict | None:
        verdict = self._verdicts.get(backend.name)
        return verdict if verdict is not None and verdict.key == key_of(backend) else None

    def _remember(self, verdict: Verdict) -> None:
        self._verdicts[verdict.name] = verdict
        temp = self.state_file.with_name(f".{self.state_file.name}.{os.getpid()}.tmp")
        with contextlib.suppress(OSError):  # not remembered is tried again
            self.state_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            rows = [asdict(one) for one in self._verdicts.values()]
            temp.write_text(json.dumps(rows, indent=1), encoding="utf-8")
            os.replace(temp, self.state_file)


def installation(state_file: Path) -> Backends:
    """The backends of this installation."""
    return Backends(installed_backends(app_root()), state_file)


def probe_backend(
    backend: Backend, command: Sequence[str] | None = None, limit_s: float = LIMIT_S
) -> Verdict:
    """Loads it in a process of its own and asks what it can compute on."""
    key = key_of(backend)
    try:
        answer = subprocess.run(
            [*(command or engine_command("_probe")), "--libraries", str(backend.folder)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
            cwd=app_root(),
            env=engine_environment(os.environ),
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        lines = answer.stdout.decode("utf-8", "replace").strip().splitlines()
        if answer.returncode != 0 or not lines:
            return Verdict(backend.name, False, _death(answer.returncode), key)
        devices = [one for one in json.loads(lines[-1])["devices"] if one["kind"] in _GPU_KINDS]
        names = [str(one["description"] or one["name"]) for one in devices]
    except subprocess.TimeoutExpired:
        return Verdict(backend.name, False, f"It gave no answer within {limit_s:.0f} s.", key)
    except (OSError, ValueError, KeyError, TypeError):
        return Verdict(backend.name, False, "It could not be tried.", key)
    if not names:
        return Verdict(backend.name, False, "It finds no graphics processor.", key)
    return Verdict(backend.name, True, f"It computes on {', '.join(names)}.", key)


def key_of(backend: Backend) -> str:
    """Changes with the backend's files, the graphics driver and the system."""
    parts = [platform.system(), platform.release(), platform.version(), _driver()]
    for path in sorted(backend.folder.rglob("*")) if backend.folder is not None else ():
        with contextlib.suppress(OSError):
            state = path.stat()
            parts.append(f"{path.name} {state.st_size} {state.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _driver() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    return ""


def _death(returncode: int) -> str:
    if returncode < 0:
        return f"It crashed (signal {-returncode})."
    return f"It did not start (exit status {returncode})."


def _read(path: Path) -> list[Verdict]:
    try:
        rows: Any = json.loads(path.read_text(encoding="utf-8"))
        return [
            Verdict(str(row["name"]), row["works"] is True, str(row["sentence"]), str(row["key"]))
            for row in rows
        ]
    except (OSError, ValueError, TypeError, KeyError):
        return []
