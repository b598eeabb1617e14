"""The `garret` command: parses argv and imports only the branch taken."""

from __future__ import annotations

import gc
import importlib
import logging
import sys
from collections.abc import Sequence

from app.core.build import version_line
from app.core.errors import GarretError

# name → module with `main(argv) -> int`, and the line in --help
COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("app.cli.serve", "the local endpoint, headless, for other programs"),
    "chat": ("app.cli.chat", "one answer, streamed to stdout"),
    "agent": ("app.cli.agent", "one agent run in a folder"),
    "acp": ("app.cli.acp", "the agent for editors, over stdio (Agent Client Protocol)"),
    "models": ("app.cli.models", "list, recommend, search, pull, verify, import, rm"),
    "doctor": ("app.cli.doctor", "what this machine has, what is wrong, what to do"),
    "updates": ("app.cli.updates", "asks once whether a newer version is out"),
    "bench": ("app.cli.bench", "this engine against a bare llama.cpp loop"),
}
# Other programs of the same installation; a frozen app has no interpreter to start them with.
HIDDEN: dict[str, str] = {
    "_engine": "app.engine.__main__",
    "_probe": "app.engine.probe",
    "_sandbox": "app.agent.sandbox_launcher",
    "_check_header": "app.library.check_header",
    "_render": "app.engine.chat.render_child",
    "_bench": "app.engine.bench",
    "_paint": "app.ui.paint_check",
    "_start_marks": "app.compose",
}


def help_text() -> str:
    """The text of `garret --help`."""
    lines = "\n".join(f"  {name:<8} {line}" for name, (_, line) in COMMANDS.items())
    return (
        "usage: garret [COMMAND] [OPTIONS]\n\n"
        "Local coding models under your own roof. Without a command: the window.\n\n"
        f"commands:\n{lines}\n\n"
        "options:\n"
        "  --self-test [--json]  checks this installation from end to end\n"
        "  --version             prints the version\n"
        "  --help                prints this; every command has its own --help\n"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its exit status. Never shows a traceback for something a user can cause."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # httpx's own command line would bring click and rich along, at every start.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    first = arguments[0] if arguments else ""
    if first in ("-h", "--help", "help"):
        sys.stdout.write(help_text())
        return 0
    if first in ("-V", "--version"):
        sys.stdout.write(f"garret {version_line()}\n")
        return 0
    module = _module_for(first)
    if module is None:
        sys.stderr.write(f"garret: there is no command {first!r}. See garret --help.\n")
        return 2
    try:
        return _call(module, arguments if module == "app.compose" else arguments[1:])
    except GarretError as error:
        sys.stderr.write(f"garret: {error}\n")
        logging.getLogger("garret").debug("%s %s", error.code, error.facts)
        return 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output is gone (`garret … | head`); nothing is wrong.
        sys.stderr.close()
        return 0


def _module_for(first: str) -> str | None:
    if first in COMMANDS:
        return COMMANDS[first][0]
    if first == "--self-test":
        return "app.cli.selftest"
    if first in HIDDEN:
        return HIDDEN[first]
    if first and not first.startswith("-") and not _is_file(first):
        return None
    return "app.compose"


def _is_file(argument: str) -> bool:
    """A file or folder the desktop asked us to open."""
    return any(mark in argument for mark in ("/", "\\", "."))


def _call(module: str, arguments: list[str]) -> int:
    if module == "app.compose":
        return _open_window(arguments)
    main_of = importlib.import_module(module).main
    return int(main_of(arguments) or 0)


def _open_window(arguments: list[str]) -> int:
    """The engine is started first: it needs as long as Qt and the window, and both need a core."""
    gc.disable()  # until the window is there: imports leave nothing to collect
    paths = importlib.import_module("app.core.paths").find_paths()
    paths.make()
    spawn = importlib.import_module("app.client.spawn")
    known = importlib.import_module("app.client.backends").installation(paths.backends_file).known()
    spare = None
    if known is not None:  # else each backend is tried first, once
        spare = spawn.SpareEngine.begin(spawn.engine_log(paths), known.folder)
    try:
        importlib.import_module("app.ui.application").import_plainly()
        return int(importlib.import_module("app.compose").main(arguments, spare))
    finally:
        if spare is not None:
            spare.discard()


if __name__ == "__main__":
    raise SystemExit(main())
