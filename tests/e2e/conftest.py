"""A home with the real starter model in it, and a way to run `garret` there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.core.paths import find_paths
from app.library.starter import add_starter
from app.library.store import Store

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(home: Path) -> dict[str, str]:
    kept = ("PATH", "LANG", "LD_LIBRARY_PATH", "SYSTEMROOT", "TMPDIR")
    env = {key: os.environ[key] for key in kept if key in os.environ}
    return env | {
        "HOME": str(home),
        "GARRET_HOME": str(home / "garret"),
        "QT_QPA_PLATFORM": "offscreen",
        "PYTHONPATH": str(ROOT),
    }


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory, starter_model_path: Path) -> Path:
    folder = tmp_path_factory.mktemp("home")
    paths = find_paths(environ={"GARRET_HOME": str(folder / "garret")})
    add_starter(Store(paths.models), starter_model_path)
    return folder


@pytest.fixture(scope="session")
def run(home: Path) -> Run:
    """Runs `garret` with these arguments to its end."""

    def runner(*arguments: str, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "app", *arguments],
            env=environment(home),
            cwd=home,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    return runner


@contextmanager
def serving(home: Path, *arguments: str) -> Iterator[str]:
    """`garret serve` for as long as the block lasts; gives its URL (with /v1)."""
    with subprocess.Popen(
        [sys.executable, "-m", "app", "serve", "--port", "0", *arguments],
        env=environment(home),
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        try:
            assert found, f"no URL in {line!r}"
            yield found.group(0)
        finally:
            process.terminate()
            try:
                process.communicate(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
