"""Which place in the folder a path text means, decided on components and never on prefixes.

This module only reads text. Links are resolved by `app.agent.beneath`, at the time of use.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from pathlib import Path, PurePosixPath

from app.agent.types import visible
from app.core.errors import WorkspaceError

_DRIVE = re.compile(r"^[A-Za-z]:")
_RESERVED = re.compile(r"^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?$")
MAX_PATH_CHARS = 4096


def outside(text: str) -> WorkspaceError:
    """The one error for a path that leaves the folder."""
    return WorkspaceError(
        f"“{visible(text)[:200]}” is outside the chosen folder.",
        "Use a path inside the folder, relative to its top.",
        outside=True,
    )


def folds_case(platform: str = sys.platform) -> bool:
    """Whether file names usually ignore case and Unicode form here."""
    return platform in ("darwin", "win32")


def fold(name: str) -> str:
    """The form under which two spellings of one protected name are equal."""
    return unicodedata.normalize("NFC", name).casefold().rstrip(". ")


def split(text: str, root: Path, platform: str = sys.platform) -> tuple[str, ...]:
    """The components of a path below `root`; () is the folder itself.

    Accepts relative paths and absolute ones inside `root`. `..` is collapsed on the text: the
    result can never climb, whatever the links in between are.

    Raises:
        WorkspaceError: the path leaves the folder or cannot be a path.
    """
    if len(text) > MAX_PATH_CHARS or "\0" in text:
        raise WorkspaceError("That is not a usable path.", "Use a shorter, plain path.")
    if text == "~" or text.startswith(("\\\\", "//", "~/", "~\\")):
        raise outside(text)
    if _DRIVE.match(text) and (platform == "win32" or text[2:3] in ("\\", "/", "")):
        return _split_windows_absolute(text, root, platform)
    if "\\" in text:
        if platform == "win32":
            text = text.replace("\\", "/")
        elif ".." in re.split(r"[\\/]", text) or text.startswith("\\"):
            raise outside(text)
    if text.startswith("/"):
        return _relative_to(text, root, platform)
    return _collapse(text.split("/"), text, platform)


def _split_windows_absolute(text: str, root: Path, platform: str) -> tuple[str, ...]:
    if platform != "win32" or text[2:3] not in ("\\", "/"):
        raise outside(text)
    return _relative_to(text.replace("\\", "/"), root, platform)


def _relative_to(text: str, root: Path, platform: str) -> tuple[str, ...]:
    wanted = _collapse(PurePosixPath(text).parts[1:], text, platform)
    for spelling in _spellings(root):
        have = spelling.parts[1:]
        same = all(
            fold(a) == fold(b) if folds_case(platform) else a == b
            for a, b in zip(have, wanted, strict=False)
        )
        if len(wanted) >= len(have) and same:
            return wanted[len(have) :]
    raise outside(text)


def _spellings(root: Path) -> tuple[PurePosixPath, ...]:
    """The folder's own name and, on a Mac, the name without /private."""
    text = root.as_posix()
    names = [PurePosixPath(text)]
    if text.startswith("/private/"):
        names.append(PurePosixPath(text[len("/private") :]))
    return tuple(names)


def _collapse(components: list[str] | tuple[str, ...], text: str, platform: str) -> tuple[str, ...]:
    out: list[str] = []
    for name in components:
        if name in ("", "."):
            continue
        if name == "..":
            if not out:
                raise outside(text)
            out.pop()
            continue
        if platform == "win32":
            _refuse_windows_trick(name)
        out.append(name)
    return tuple(out)


def _refuse_windows_trick(name: str) -> None:
    if ":" in name or name != name.rstrip(". ") or _RESERVED.match(name.casefold()):
        raise WorkspaceError(
            f"“{visible(name)[:100]}” is not a file name on Windows.", "Use another name."
        )


def refuse_new_name(parts: tuple[str, ...]) -> None:
    """Refuses to create names that look like something else than they are.

    Raises:
        WorkspaceError: control, bidi or zero-width characters, or bytes that are not text.
    """
    for name in parts:
        if visible(name) != name or "\n" in name or "\t" in name:
            raise WorkspaceError(
                f"The name “{visible(name)[:100]}” holds invisible characters.",
                "Use a name of visible characters.",
            )
