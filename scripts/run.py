"""Starts Garret from a fresh checkout: `python3 scripts/run.py [-- arguments for garret]`.

The first start sets everything up (about 10 minutes where the engine must be built); every later
one goes straight to the window. Arguments after `--` go to `garret`, for example
`-- chat "Say hello"` or `-- serve`.
"""

from __future__ import annotations

import os
import sys

# The checkout, not this folder, is where modules are found from here on.
if not __package__:
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from scripts.bootstrap import interpreter

HEADLESS = ("serve", "chat", "agent", "models", "doctor", "updates", "bench", "acp")


def main() -> int:
    interpreter.ensure_modern()
    arguments = sys.argv[1:]
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    if arguments[:1] == ["--set-up-only"]:
        return set_up(with_window=True)
    if arguments and arguments[0] != "--":
        print(
            f"run.py does not know {arguments[0]!r}. Put arguments for garret after --, as in:\n"
            f"  python3 scripts/run.py -- {' '.join(arguments)}",
            file=sys.stderr,
        )
        return 2
    arguments = arguments[1:]
    code = set_up(with_window=not arguments or arguments[0] not in HEADLESS)
    if code:
        return code
    from scripts.bootstrap.steps import start

    return start("app", arguments)


def set_up(*, with_window: bool, for_tests: bool = False) -> int:
    """0 when everything is there; otherwise one sentence on stderr and an exit code."""
    from scripts.bootstrap.steps import SetUp

    steps = SetUp(for_tests=for_tests, with_window=with_window)
    if steps.is_complete():
        return 0
    from scripts.bootstrap.console import SetupFailed, say

    say("Setting up Garret. What is done stays done: you can stop and go on later.")
    try:
        steps.run()
    except SetupFailed as failure:
        say(f"\n{failure.sentence}\n{failure.remedy}")
        return 1
    except KeyboardInterrupt:
        say("\nStopped. Run the same command again to go on from here.")
        return 130
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        say(f"\nSet-up failed: {error.strerror or error}{where}.")
        say("Check that the disk has room and that the folder may be written, then try again.")
        return 1
    except Exception:  # noqa: BLE001 - the edge: a bug here is kept in the log, not on the screen
        say(f"\nSet-up met a bug of its own. Please report it with the end of {steps.note_bug()}.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
