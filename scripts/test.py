"""Sets up the test tools and runs the test suite: `python3 scripts/test.py [pytest arguments]`."""

from __future__ import annotations

import os
import sys

# The checkout, not this folder, is where modules are found from here on.
if not __package__:
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from scripts.bootstrap import interpreter

MOST_WORKERS = 4  # each loads small models of its own


def main() -> int:
    interpreter.ensure_modern()
    from scripts.bootstrap.steps import ROOT, installed_starter, start
    from scripts.run import set_up

    code = set_up(with_window=True, for_tests=True)
    if code:
        return code
    os.chdir(ROOT)
    environ = {
        **os.environ,
        "QT_QPA_PLATFORM": os.environ.get("QT_QPA_PLATFORM", "offscreen"),
        "PYTHONFAULTHANDLER": "1",
    }
    starter = installed_starter()
    if starter:
        environ.setdefault("GARRET_TEST_MODEL", str(starter))
    options = ["-o", "faulthandler_timeout=180", *(sys.argv[1:] or side_by_side())]
    return start("pytest", options, environ)


def side_by_side() -> list[str]:
    """For the whole suite: a file's tests stay together, two cores or more work at once."""
    workers = min(os.cpu_count() or 1, MOST_WORKERS)
    return ["-n", str(workers), "--dist", "loadfile"] if workers > 1 else []


if __name__ == "__main__":
    sys.exit(main())
