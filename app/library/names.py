"""Which file and repository names from outside may become paths, and how split files are named."""

from __future__ import annotations

import re
from dataclasses import dataclass

from app.core.errors import LibraryError

_COMPONENT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_SPLIT = re.compile(r"(?P<stem>.+)-(?P<part>\d{5})-of-(?P<count>\d{5})\.gguf", re.IGNORECASE)
_REPO = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
MAX_DEPTH = 3
MAX_STORE_DEPTH = MAX_DEPTH + 2
"""Inside the models folder a file lies below its owner's and its repository's folder."""


@dataclass(frozen=True, slots=True)
class SplitName:
    """`stem-00001-of-00004.gguf`; `stem` keeps its folder, so sets never mix across folders."""

    stem: str
    part: int
    count: int

    def of(self, part: int) -> str:
        return f"{self.stem}-{part:05d}-of-{self.count:05d}.gguf"


def split_name(name: str) -> SplitName | None:
    """The parts of a split file's name; None for a file that is whole."""
    match = _SPLIT.fullmatch(name)
    if match is None:
        return None
    part, count = int(match["part"]), int(match["count"])
    return SplitName(match["stem"], part, count) if 1 <= part <= count <= 999 else None


def is_safe_component(name: str) -> bool:
    """One path component that is harmless on Linux, macOS and Windows."""
    return (
        _COMPONENT.fullmatch(name) is not None
        and not name.startswith("-")
        and not name.endswith(".")
        and _RESERVED.fullmatch(name) is None
    )


def is_safe_file(name: str, max_depth: int = MAX_DEPTH) -> bool:
    """A GGUF's path inside a repository that may become a path inside the models folder."""
    parts = name.split("/")
    return (
        len(parts) <= max_depth
        and len(name) <= 500
        and name.lower().endswith(".gguf")
        and len(parts[-1]) > len(".gguf")
        and all(is_safe_component(part) for part in parts)
    )


def check_file(name: str) -> str:
    """Returns `name` unchanged. Raises LibraryError if it must not become a path."""
    if not is_safe_file(name):
        raise LibraryError(
            f"The file name {name[:80]!r} is not allowed.",
            "Names of letters, digits, dots, dashes and underscores ending in .gguf are.",
            file=name[:300],
        )
    return name


def check_repo(name: str) -> str:
    """Returns `owner/name` unchanged. Raises LibraryError if it is not one."""
    if not _REPO.fullmatch(name) or not all(is_safe_component(part) for part in name.split("/")):
        raise LibraryError(
            f"{name[:120]!r} is not the name of a model repository.",
            "It looks like owner/name, for example unsloth/Qwen3-Coder-Next-GGUF.",
            repo=name[:300],
        )
    return name


def safe_stem(name: str) -> str:
    """A harmless file stem made from any text; never empty."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-_")[:120].rstrip(".-_")
    return stem if stem and is_safe_component(stem) else f"model-{stem}".rstrip(".-_")


def model_id_of(file_name: str) -> str:
    """The id a model gets from its (first) file's name: lower case, without the part suffix."""
    base = file_name.replace("\\", "/").rsplit("/", 1)[-1]
    split = split_name(base)
    stem = split.stem if split else re.sub(r"\.gguf$", "", base, flags=re.IGNORECASE)
    return safe_stem(stem).lower()
