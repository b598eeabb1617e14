"""Finds a Python that Garret runs on. This file must stay readable for Python 3.7."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
import sys
from typing import Iterator, List, Optional, Tuple  # noqa: UP035 - for old interpreters

OLDEST = (3, 11)
NEWEST = (3, 13)
PROBE = "import sys, venv, ssl; print('%d.%d %s' % (sys.version_info[:2] + (sys.executable,)))"


def is_suitable(version: Tuple[int, int]) -> bool:  # noqa: UP006
    """True for the versions Garret is tested on."""
    return OLDEST <= version <= NEWEST


def candidates(current: str = sys.executable) -> Iterator[str]:
    """Interpreters worth a try, best guess first; some may not exist or not run."""
    yield current
    names = ["python3.%d" % minor for minor in range(NEWEST[1], OLDEST[1] - 1, -1)]  # noqa: UP031
    for name in names:
        found = shutil.which(name)
        if found:
            yield found
    home = os.path.expanduser("~")
    patterns: List[str] = []  # noqa: UP006
    for name in names:
        version = name[len("python") :]
        patterns += [
            os.path.join(
                os.environ.get("PYENV_ROOT", home + "/.pyenv"),
                "versions",
                version + "*",
                "bin",
                "python3",
            ),
            home + "/.local/share/uv/python/cpython-" + version + "*/bin/python3",
            "/opt/homebrew/bin/" + name,
            "/usr/local/bin/" + name,
            "/usr/bin/" + name,
            "/Library/Frameworks/Python.framework/Versions/" + version + "/bin/python3",
            os.environ.get("LOCALAPPDATA", "C:")
            + "\\Programs\\Python\\Python"
            + version.replace(".", "")
            + "\\python.exe",
        ]
    for pattern in patterns:
        yield from sorted(glob.glob(pattern), reverse=True)


def probe(path: str) -> Optional[str]:  # noqa: UP045
    """The interpreter's own path if it really runs, is suitable and has its basic modules."""
    try:
        answer = subprocess.run(
            [path, "-I", "-c", PROBE],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    words = answer.stdout.decode("utf-8", "replace").strip().split(" ", 1)
    if answer.returncode != 0 or len(words) != 2 or "." not in words[0]:
        return None
    major, minor = words[0].split(".")
    return words[1] if is_suitable((int(major), int(minor))) else None


def find(current: str = sys.executable) -> Optional[str]:  # noqa: UP045
    """The first candidate that passes the probe, or None."""
    tried = set()
    for path in candidates(current):
        if path and path not in tried:
            tried.add(path)
            good = probe(path)
            if good:
                return good
    return None


def ensure_modern() -> None:
    """Goes on under a newer interpreter when this one is too old to read the rest."""
    if sys.version_info >= OLDEST:
        return
    better = find()
    if better is None:
        sys.exit(
            "Garret needs Python 3.11, 3.12 or 3.13; this is Python %d.%d.\n"  # noqa: UP031
            "Install one of them (python.org, or your system's package manager) and run "
            "the same command again." % sys.version_info[:2]
        )
    os.execv(better, [better, *sys.argv])
