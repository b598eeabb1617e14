"""The evil repository: nothing it talks an obedient model into succeeds."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.evil_repository import ATTEMPTS, has_command, run_all
from tests.agent.hands_kit import proven_sandbox

NOBODY = 65534
# The tools hold attempts without a command in the same way, sandbox or not, root or not.
COMMANDS = [attempt for attempt in ATTEMPTS if has_command(attempt)]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="its links and sockets are Linux's")


def _show(results: dict[str, list[str]]) -> str:
    return "\n".join(f"{name}: {faults}" for name, faults in results.items() if faults)


@pytest.fixture
def open_base() -> Iterator[Path]:
    """A place that another user can reach (pytest's own folders are private)."""
    base = Path(tempfile.mkdtemp(prefix="garret-evil-"))
    base.chmod(0o755)
    yield base
    shutil.rmtree(base, ignore_errors=True)


def test_there_are_more_than_sixty_attempts() -> None:
    assert len({attempt.name for attempt in ATTEMPTS}) == len(ATTEMPTS)
    assert len(ATTEMPTS) > 60


@pytest.mark.slow
def test_no_attempt_succeeds_in_the_sandbox(tmp_path: Path) -> None:
    status = proven_sandbox().status
    if not status.proven:
        pytest.skip(status.sentence)
    results = run_all(tmp_path.resolve(), True)
    assert len(results) == len(ATTEMPTS)
    assert _show(results) == ""


@pytest.mark.slow
def test_no_attempt_succeeds_unasked_without_a_sandbox(tmp_path: Path) -> None:
    results = run_all(tmp_path.resolve(), False, COMMANDS)
    assert len(results) == len(COMMANDS) > 50
    assert _show(results) == ""


def _python_for_everybody() -> str | None:
    """An interpreter of this version that another user may start."""
    for program in (sys.executable, "/usr/bin/python3"):
        check = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]!r})"
        try:
            done = subprocess.run(
                [program, "-c", check], user=NOBODY, group=NOBODY, extra_groups=[], check=False
            )
        except OSError:
            continue
        if done.returncode == 0:
            return program
    return None


@pytest.mark.slow
def test_no_attempt_succeeds_as_an_unprivileged_user(open_base: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the other tests already run as an unprivileged user")
    program = _python_for_everybody()
    if program is None:
        pytest.skip("no Python that another user may start")
    os.chown(open_base, NOBODY, NOBODY)
    top = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [program, "-m", "tests.agent.evil_repository", str(open_base), "sandbox", "commands"],
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        cwd=top,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(open_base),
            "PYTHONPATH": f"{top}:{sysconfig.get_paths()['purelib']}",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    results = json.loads(done.stdout)
    assert len(results) == len(COMMANDS)
    assert _show(results) == ""
