"""Runs the programs that set-up needs, with a log, live details and a clean end on Ctrl+C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from scripts.bootstrap.console import SetupFailed

# Handles that children keep open: a lock stays held until they have ended too, even when this
# process was killed and could not end them.
shared_handles: list[int] = []
LineWatcher = Callable[[str], None]

TAIL_LINES = 40
_NOISE = re.compile(r"^(\[notice\]|WARNING: (Running pip|Location)|\s*$)", re.IGNORECASE)


def run(
    command: Sequence[str],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    on_line: LineWatcher | None = None,
) -> tuple[int, list[str]]:
    """The exit code and the last lines; everything the program printed goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    tail: list[str] = []
    with log.open("a", encoding="utf-8", errors="replace") as file:
        file.write(f"\n$ {' '.join(command)}\n")
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env=None if env is None else dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=os.name == "posix",
            pass_fds=tuple(shared_handles) if os.name == "posix" else (),
        )
        assert process.stdout is not None
        try:
            for line in process.stdout:
                file.write(line)
                text = line.rstrip()
                if not _NOISE.match(text):
                    tail = [*tail[-TAIL_LINES + 1 :], text]
                if on_line:
                    on_line(text)
            return process.wait(), tail
        except BaseException:
            _end(process)
            raise
        finally:
            process.stdout.close()


def pip_environment() -> dict[str, str]:
    """The user's environment, with pip kept quiet and away from other Pythons' packages."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME")}
    env.update(
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PIP_NO_INPUT="1",
        PIP_PROGRESS_BAR="off",
        PIP_USER="0",
        PIP_REQUIRE_VIRTUALENV="0",
        PYTHONUNBUFFERED="1",
    )
    return env


def explain(tail: Sequence[str], what: str, log: Path) -> SetupFailed:
    """The failure of a pip command as a sentence with its remedy."""
    text = "\n".join(tail)
    if re.search(r"No space left on device|Errno 28", text):
        return SetupFailed(f"{what} failed: the disk is full.", "Free about 2 GB and try again.")
    if re.search(r"DO NOT MATCH THE HASHES", text):
        return SetupFailed(
            f"{what} failed: a package is not the one that was locked.",
            "Somebody between you and the package index changes files; try another network.",
        )
    if re.search(
        r"Failed to establish|Name or service|name resolution|Max retries|timed out"
        r"|Network is unreachable|Could not find a version|CERTIFICATE_VERIFY",
        text,
    ):
        return SetupFailed(
            f"{what} failed: the package index cannot be reached.",
            "Check the network (or the proxy) and run the same command again; "
            "what is done stays done.",
        )
    last = next((line for line in reversed(tail) if "error" in line.lower()), "")
    last = last or (tail[-1] if tail else "no output")
    return SetupFailed(f"{what} failed: {last.strip()[:300]}", f"All details are in {log}.")


def _end(process: subprocess.Popen[str]) -> None:
    if os.name == "posix":
        try:
            os.killpg(process.pid, signal.SIGTERM)
        except ProcessLookupError:
            return
    else:
        process.terminate()
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
        process.wait()
