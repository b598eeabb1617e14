"""The macOS sandbox profile: writes only in the folder and a private temporary place, no network.

Paths are passed as parameters (-D), never spliced into the profile text.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

PROGRAM = "/usr/bin/sandbox-exec"
_SECRET = (".ssh", ".gnupg", ".aws", ".kube", ".docker", ".netrc", ".config/gh", ".config/gcloud",
           ".git-credentials", ".npmrc", ".pypirc", ".azure", ".password-store",
           "Library/Keychains", "Library/Cookies", "Library/Mail", "Library/Messages",
           "Library/Safari", "Library/Application Support/Google/Chrome",
           "Library/Application Support/Firefox", "Library/Application Support/Garret")  # fmt: skip
_PROTECTED = (".git/hooks", ".git/config", ".vscode", ".idea", ".husky", ".claude", ".codex")
_BASE = """(version 1)
(allow default)
(deny file-write*)
(allow file-write*
  (subpath (param "ROOT"))
  (subpath (param "SCRATCH"))
  (literal "/dev/null") (literal "/dev/zero") (literal "/dev/tty")
  (literal "/dev/stdout") (literal "/dev/stderr")
  (regex #"^/dev/fd/[0-9]+$"))
(deny file-write-mode file-write-owner file-write-flags
  (require-not (require-any (subpath (param "ROOT")) (subpath (param "SCRATCH")))))
(deny file-link (require-not (subpath (param "ROOT"))))
(allow ipc-posix-sem)
(allow ipc-posix-shm (ipc-posix-name-regex #"^/__KMP_REGISTERED_LIB"))
(deny mach-lookup (global-name "com.apple.pasteboard.1"))
(deny process-info* (target others))
(deny signal (target others))
(allow signal (target same-sandbox))
"""
_NO_NETWORK = """(deny network*)
(deny system-socket)
(allow network* (local unix-socket (subpath (param "SCRATCH"))))
"""


def arguments(root: Path, scratch: Path, home: Path, network: bool) -> list[str]:
    """`sandbox-exec` and its arguments; the command's argv follows.

    Args:
        root, scratch: real paths (/private/tmp, not /tmp): the kernel compares real names.
    """
    parameters = {"ROOT": str(root), "SCRATCH": str(scratch), "HOME": str(home)}
    lines = [_BASE, "" if network else _NO_NETWORK]
    lines += _rules("deny file-read*", "HOME", _SECRET, parameters, "SECRET")
    lines += _rules("deny file-write*", "ROOT", _PROTECTED, parameters, "PROTECTED")
    definitions = [f"-D{name}={value}" for name, value in parameters.items()]
    return [PROGRAM, "-p", "\n".join(lines), *definitions]


def _rules(
    action: str, base: str, names: Sequence[str], parameters: dict[str, str], kind: str
) -> list[str]:
    """Both the place itself and what is below it: else `mkdir .git/hooks` would still work.

    Reads of secrets are not refused when the workspace itself lies below them.
    """
    out: list[str] = []
    for number, name in enumerate(names):
        place = f"{parameters[base]}/{name}"
        root = parameters["ROOT"]
        if kind == "SECRET" and (root == place or root.startswith(place + "/")):
            continue
        key = f"{kind}{number}"
        parameters[key] = place
        out.append(f'({action} (literal (param "{key}")) (subpath (param "{key}")))')
    return out
