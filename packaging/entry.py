"""What the bundle's executable runs."""

from __future__ import annotations

import multiprocessing
import os
import sys


def start() -> int:
    """The command, after the bundle's own model was offered to a new user."""
    from app.__main__ import main
    from app.cli.bundled_starter import needs_model, offer

    if needs_model(sys.argv[1:]):
        offer(sys.argv[1:])
    return main()


def restore_environment() -> None:
    """The sandbox launcher becomes the command: nothing the bundle added may go with it."""
    given = getattr(sys, "garret_environ", None)
    if given is not None:
        os.environ.clear()
        os.environ.update(given)


if __name__ == "__main__":
    multiprocessing.freeze_support()  # before any Qt import: children re-run this file
    if sys.argv[1:2] == ["_sandbox"]:
        restore_environment()
    sys.exit(start())
