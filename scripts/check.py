"""Everything a change must pass: `python3 scripts/check.py [--no-tests] [pytest arguments]`.

Formatting and lint (ruff), types (mypy strict), import contracts (import-linter), module sizes,
and the test suite. All checks run even when one fails; the exit status says if any did.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# The checkout, not this folder, is where modules are found from here on.
if not __package__:
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from scripts.bootstrap import interpreter

MAX_LINES = 500


def main() -> int:
    interpreter.ensure_modern()
    from scripts.bootstrap.steps import ROOT, venv_python
    from scripts.run import set_up

    arguments = sys.argv[1:]
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    code = set_up(with_window=True, for_tests=True)
    if code:
        return code
    with_tests = "--no-tests" not in arguments
    tools = venv_python().parent

    def tool(name: str, *rest: str) -> Callable[[], bool]:
        command = [str(tools / name), *rest]
        return lambda: subprocess.run(command, cwd=ROOT, env=_environment()).returncode == 0

    checks: list[tuple[str, Callable[[], bool]]] = [
        ("format", tool("ruff", "format", "--check", ".")),
        ("lint", tool("ruff", "check", ".")),
        ("types", tool("mypy")),
        ("import contracts", tool("lint-imports")),
        ("module sizes", lambda: sizes_are_fine(ROOT)),
    ]
    if with_tests:
        command = [sys.executable, str(ROOT / "scripts" / "test.py"), *arguments]
        checks.append(("tests", lambda: subprocess.run(command, cwd=ROOT).returncode == 0))
    failed = []
    for name, check in checks:
        print(f"── {name}", flush=True)
        began = time.monotonic()
        good = check()
        print(f"   {'ok' if good else 'FAILED'}  {time.monotonic() - began:.1f} s\n", flush=True)
        if not good:
            failed.append(name)
    print("All checks passed." if not failed else f"Failed: {', '.join(failed)}.")
    return 1 if failed else 0


def sizes_are_fine(root: Path) -> bool:
    """No module over the cap; prints the median and the largest."""
    sizes = module_sizes(root)
    if not sizes:
        print("   no modules found")
        return False
    largest = sorted(sizes, key=lambda row: -row[0])
    for lines, path in largest:
        if lines > MAX_LINES:
            print(f"   {path.relative_to(root)}: {lines} lines, more than {MAX_LINES}")
    median = statistics.median(lines for lines, _ in sizes)
    lines, path = largest[0]
    print(f"   {len(sizes)} modules, median {median:g} lines, largest {lines} ({path.name})")
    return lines <= MAX_LINES


def module_sizes(root: Path) -> list[tuple[int, Path]]:
    """Lines of every module of the app and the scripts; empty package markers do not count."""
    found = []
    for folder in ("app", "scripts", "packaging"):
        for path in sorted((root / folder).rglob("*.py")):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            if lines > 3:
                found.append((lines, path))
    return found


def _environment() -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    env["MYPY_FORCE_COLOR"] = "0"
    return env


if __name__ == "__main__":
    sys.exit(main())
