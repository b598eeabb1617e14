"""Makes the bundle for this system: `python3 packaging/build.py [options]`.

From a fresh clone, with nothing installed: its own environment in build/, an engine built for
other machines, PyInstaller, checks, a self-test of the result, and on Linux a .tar.zst and a .deb.
The bundle ends up in dist/garret (dist/Garret.app on macOS).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "packaging")]

from scripts.bootstrap import interpreter  # noqa: E402 - found through the line above


def main() -> int:
    interpreter.ensure_modern()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-model", action="store_true", help="leave the starter model out")
    parser.add_argument("--no-packages", action="store_true", help="stop after the bundle")
    parser.add_argument("--no-self-test", action="store_true", help="do not start the result")
    parser.add_argument(
        "--backend", action="append", default=[], choices=["vulkan"],
        help="on Linux: also the engine for a GPU, as a package of its own (needs its SDK here)",
    )  # fmt: skip
    options = parser.parse_args()
    from make_bundle import build

    from scripts.bootstrap.console import SetupFailed, say

    try:
        build(options)
    except SetupFailed as failure:
        say(f"\n{failure.sentence}\n{failure.remedy}")
        return 1
    except KeyboardInterrupt:
        say("\nStopped.")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
