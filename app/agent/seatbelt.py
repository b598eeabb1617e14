"""The macOS sandbox profile: writes only in the folder and a private temporary place, no network,
nothing read of the home folder but the folder itself and toolchains. Never run on a Mac yet: the
probe decides there, and a profile that does not load means that commands ask.

Paths are passed as parameters (-D), never spliced into the profile text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

PROGRAM = "/usr/bin/sandbox-exec"
_PROTECTED = (".git/hooks", ".git/config", ".vscode", ".idea", ".husky", ".claude", ".codex")
_MAC_TOOLS = ("Library/Developer", "Library/Python", "Library/pnpm", ".CFUserTextEncoding")
_BASE = """(version 1)
(allow default)
(deny file-write*)
(allow file-write*
  (subpath (param "ROOT"))
  (subpath (param "SCRATCH"))
  (literal "/dev/null") (literal "/dev/zero") (literal "/dev/tty")
  (literal "/dev/stdout") (literal "/dev/stderr")
  (regex #"^/dev/fd/[0-9]+$"))
(allow ipc-posix-sem)
(deny signal (target others))
(allow signal (target same-sandbox))
(deny file-read-data (subpath (param "HOME")))
(allow file-read-data (subpath (param "ROOT")) (subpath (param "SCRATCH")))
"""
_NO_NETWORK = "(deny network*)\n"


def arguments(
    root: Path, scratch: Path, home: Path, network: bool, toolchains: Sequence[str] = ()
) -> list[str]:
    """`sandbox-exec` and its arguments; the command's argv follows.

    The last rule that fits wins. Of the home folder only the workspace and toolchains can be
    read; names and sizes stay visible, since every path lookup needs them.

    Args:
        root, scratch, home: real paths (/private/tmp, not /tmp): the kernel compares real names.
        toolchains: absolute places that may be read besides.
    """
    parameters = {"ROOT": str(root), "SCRATCH": str(scratch), "HOME": str(home)}
    lines = [_BASE, "" if network else _NO_NETWORK]
    tools = [*toolchains, *(f"{home}/{name}" for name in _MAC_TOOLS)]
    lines += _rules("allow file-read-data", tools, parameters, "TOOL")
    kept = [f"{root}/{name}" for name in _PROTECTED]
    lines += _rules("deny file-write*", kept, parameters, "PROTECTED")
    definitions = [f"-D{name}={value}" for name, value in parameters.items()]
    return [PROGRAM, "-p", "\n".join(lines), *definitions]


def _rules(action: str, places: Sequence[str], parameters: dict[str, str], kind: str) -> list[str]:
    """Both the place itself and what is below it: else `mkdir .git/hooks` would still work."""
    out: list[str] = []
    for number, place in enumerate(places):
        key = f"{kind}{number}"
        parameters[key] = place
        out.append(f'({action} (literal (param "{key}")) (subpath (param "{key}")))')
    return out
