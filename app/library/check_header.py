"""Reads a model's header in a process that is thrown away afterwards.

The app calls `HeaderChecker`; the child is `python -m app.library.check_header`, in a frozen app
the hidden command `garret _check_header`, which calls `main`. It is told the files on stdin, gets
no secrets in its environment and little memory and time, and prints one JSON object.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from app.core.errors import BadModelFile, GarretError, UnsupportedModel, error_from_json
from app.library.facts import LayerFacts, ModelFacts, read_facts
from app.library.gguf import GgufHeader, read_header

TIME_LIMIT_S = 60
IDLE_LIMIT_S = 240
MEMORY_LIMIT_BYTES = 2 << 30
_MAX_ANSWER_BYTES = 4 << 20


class HeaderChecker:
    """Checks in a child process each; the next child may be started before it is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ready: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Starts the next child, so that a check need not wait for it. It ends by itself when
        nothing is asked for a while, and with this process."""
        with self._lock:
            if self._ready is None or self._ready.poll() is not None:
                self._ready = _start()

    def __call__(self, files: Sequence[Path]) -> ModelFacts:
        """Facts of a model whose header is sound; all parts of a split model, part 1 first.

        Raises: ModelNotFound, BadModelFile, UnsupportedModel.
        """
        with self._lock:
            child, self._ready = self._ready, None
        if child is not None and child.poll() is not None:
            child = None
        name = files[0].name
        answer = _ask(child or _start(), files)
        if answer is None and child is not None:  # it may have given up waiting just now
            answer = _ask(_start(), files)
        if answer is None:
            raise _bad(name, "reading its header failed or takes too long")
        if "error" in answer:
            raise error_from_json(answer["error"])
        return facts_from_json(answer["facts"])


def check_header(files: Sequence[Path]) -> ModelFacts:
    """One check. Raises: ModelNotFound, BadModelFile, UnsupportedModel."""
    return HeaderChecker()(files)


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        _command(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
        env=_environment(),
        close_fds=True,
    )


def _ask(child: subprocess.Popen[bytes], files: Sequence[Path]) -> Any:
    """The child's answer; None for none, or one that cannot be used."""
    order = json.dumps([str(file.absolute()) for file in files]).encode() + b"\n"
    try:
        stdout, _ = child.communicate(order, TIME_LIMIT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        return None
    except OSError:  # it is gone
        child.kill()
        child.communicate()
        return None
    if child.returncode != 0 or len(stdout) > _MAX_ANSWER_BYTES:
        return None
    try:
        answer = json.loads(stdout)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def facts_from_json(data: dict[str, object]) -> ModelFacts:
    """Reverses `dataclasses.asdict` of ModelFacts. Raises TypeError for anything else."""
    layers = data.get("layers")
    if not isinstance(layers, list):
        raise TypeError("layers")
    values = {**data, "layers": tuple(LayerFacts(**layer) for layer in layers)}
    for name in ("matrix_bytes", "last_matrices"):
        pairs = data.get(name)
        pairs = pairs if isinstance(pairs, list) else []
        values[name] = tuple((str(kind), int(size)) for kind, size in pairs)
    return ModelFacts(**values)  # type: ignore[arg-type]


def main(argv: Sequence[str]) -> int:
    """The child: reads a JSON list of files, prints {"facts": …} or {"error": …}."""
    threading.Timer(IDLE_LIMIT_S, os._exit, (3,)).start()
    line = json.dumps(list(argv)) if argv else sys.stdin.readline()
    if not line:
        os._exit(0)  # whoever prepared this has gone
    files = tuple(Path(one) for one in json.loads(line))
    _limit_self()
    try:
        answer: dict[str, object] = {"facts": asdict(read_model(files))}
    except GarretError as error:
        answer = {"error": error.to_json()}
    except MemoryError:
        answer = {"error": _bad(files[0].name, "its header asks for too much").to_json()}
    sys.stdout.write(json.dumps(answer))
    sys.stdout.flush()
    os._exit(0)  # the timer's thread is not worth waiting for


def read_model(files: Sequence[Path]) -> ModelFacts:
    """What the child does: like `check_header`, in this process."""
    headers: list[GgufHeader] = []
    for number, file in enumerate(files):
        header = read_header(file)
        count = header.metadata.get("split.count", 1)
        if len(files) > 1 and (
            count != len(files) or header.metadata.get("split.no", number) != number
        ):
            raise _bad(file.name, "it does not belong to this set of parts")
        if len(files) == 1 and isinstance(count, int) and count > 1:
            raise _bad(file.name, f"it is one of {count} parts and the others are missing")
        headers.append(header)
    facts = read_facts(headers, files[0].name)
    if not facts.architecture:
        raise _bad(files[0].name, "it names no architecture")
    if not facts.answers_chats:
        raise UnsupportedModel(
            f"{files[0].name} is a helper file ({facts.architecture}), not a model that answers.",
            "Pick the model's main file.",
            file=files[0].name,
        )
    return facts


def _command() -> list[str]:
    if getattr(sys, "frozen", False):
        return [sys.executable, "_check_header"]
    return [sys.executable, "-m", "app.library.check_header"]


def _environment() -> dict[str, str]:
    kept = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "LANG", "LC_ALL", "PYTHONPATH")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _limit_self() -> None:
    if sys.platform == "win32":
        return  # there the time limit and the parser's own caps hold
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (TIME_LIMIT_S, TIME_LIMIT_S))
    if sys.platform == "linux":  # macOS refuses a limit below what is mapped already
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))


def _bad(name: str, why: str) -> BadModelFile:
    return BadModelFile(
        f"{name} is not a sound GGUF file: {why}.",
        "Download it again, or pick another file.",
        file=name,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
