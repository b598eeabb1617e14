"""Which folders may be given to an agent at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from app.core.errors import WorkspaceError

_NAMED = ("Desktop", "Documents", "Downloads", "Pictures", "Movies", "Videos", "Music", "Library")
_SYSTEM = (
    "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/boot", "/dev", "/proc", "/sys", "/run",
    "/var", "/System", "/Library", "/Applications", "/private/etc", "/private/var", "/root",
)  # fmt: skip


def needs_confirmation(folder: Path, home: Path | None = None, own: Iterable[Path] = ()) -> str:
    """Why this folder is risky as a workspace, one sentence; "" when it is not.

    Args:
        own: Garret's folders (settings, chats, models); a workspace must not hold them.
    """
    real = Path(os.path.realpath(folder))
    user = Path(os.path.realpath(Path.home() if home is None else home))
    if real == Path(real.anchor):
        return "This is the whole disk."
    if real == user or real in user.parents:
        return "This is your home folder or above it: all your files are in it."
    if any(_same(real, user / name) for name in _NAMED):
        return f"{real.name} usually holds much more than one project."
    if str(real) in _SYSTEM or any(_same(real, Path(name)) for name in _SYSTEM):
        return "This folder belongs to the system."
    if user in real.parents and real.parent == user and real.name.startswith("."):
        return "This folder holds settings and keys of your programs."
    for mine in own:
        there = Path(os.path.realpath(mine))
        if real == there or real in there.parents or there in real.parents:
            return "Garret keeps its own settings and chats here."
    return ""


def _same(one: Path, other: Path) -> bool:
    return os.path.normcase(str(one)).casefold() == os.path.normcase(str(other)).casefold()


def check(
    folder: Path, confirmed: str = "", home: Path | None = None, own: Iterable[Path] = ()
) -> Path:
    """The real path of a folder that may be a workspace.

    Args:
        confirmed: what the person typed to confirm a risky one: the folder's own name.

    Raises:
        WorkspaceError: no such folder, or a risky one without its name typed; facts then hold
            `needs_confirmation` and, as `confirm` and `phrase`, what to type.
    """
    real = Path(os.path.realpath(folder))
    if not real.is_dir():
        raise WorkspaceError(f"{folder} is not a folder.", "Choose a folder that exists.")
    reason = needs_confirmation(real, home, own)
    phrase = real.name or str(real)
    if reason and confirmed != phrase:
        raise WorkspaceError(
            reason,
            f"Choose the folder of one project, or confirm by typing {phrase}.",
            needs_confirmation=True,
            phrase=phrase,
            confirm=phrase,
        )
    return real
