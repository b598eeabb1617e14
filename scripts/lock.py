"""Recompiles the lock files from pyproject.toml: `python3 scripts/lock.py [--upgrade]`.

Needs uv (on PATH or in .venv). The locks hold every version with its hashes for all platforms,
and neither an index address nor a path of this machine.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "scripts" / "locks"
APP_LOCK = ROOT / "requirements.lock"
GROUPS = {"test": True, "bundle": True, "wheel": False}  # True: on top of what the app needs
HEADER = "# Made by scripts/lock.py from pyproject.toml; do not edit.\n"


def find_uv() -> str:
    beside = shutil.which("uv", path=str(ROOT / ".venv" / "bin"))
    found = beside or shutil.which("uv")
    if found is None:
        sys.exit("uv is missing: install it with  python3 -m pip install uv")
    return found


def compile_lock(uv: str, target: Path, arguments: list[str], upgrade: bool) -> None:
    command = [
        uv, "pip", "compile", "--quiet", "--universal", "--python-version", "3.11",
        "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links", "--no-annotate",
        "--no-header", "--output-file",
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / target.name
        if target.exists() and not upgrade:
            shutil.copy(target, draft)  # uv keeps the versions it finds there
        subprocess.run([*command, str(draft), *arguments], cwd=ROOT, check=True)
        text = draft.read_text()
    leak = re.search(r"^--|://|file:|(?:^| @ )/", text, re.MULTILINE)
    if leak:
        sys.exit(f"{target.name} would hold an address or a path: {leak.group()!r}")
    target.write_text(HEADER + text)
    names = sum(1 for line in text.splitlines() if re.match(r"[a-z0-9]", line))
    print(f"{target.relative_to(ROOT)}: {names} pins")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--upgrade", action="store_true", help="take the newest allowed versions")
    options = parser.parse_args()
    uv = find_uv()
    LOCKS.mkdir(exist_ok=True)
    compile_lock(uv, APP_LOCK, ["pyproject.toml"], options.upgrade)
    for group, with_app in GROUPS.items():
        arguments = ["--group", group]
        if with_app:
            arguments = ["pyproject.toml", *arguments, "--constraints", "requirements.lock"]
        compile_lock(uv, LOCKS / f"{group}.lock", arguments, options.upgrade)


if __name__ == "__main__":
    main()
