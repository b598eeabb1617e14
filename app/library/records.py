"""What the store knows about one installed model, and its strict JSON form on disk.

A record lies beside the models, so it is read like a stranger's: types are checked, paths stay
inside the models folder unless the record says it is a reference, and nothing in it is executed.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from app.library.check_header import facts_from_json
from app.library.facts import ModelFacts
from app.library.names import MAX_STORE_DEPTH, is_safe_file

FORMAT = 1
Source = Literal["hub", "file", "reference", "starter", "found", "stick"]
_SOURCES: tuple[Source, ...] = ("hub", "file", "reference", "starter", "found", "stick")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model. `sha256` is '' until the file has been hashed."""

    path: Path
    size_bytes: int
    sha256: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a model came from; empty strings where nobody knows."""

    source: Source
    repo: str = ""
    commit: str = ""
    title: str = ""
    license: str = ""


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A model that can be loaded. Times are seconds since the epoch, 0 for never.

    `files` are absolute, part 1 first. A reference belongs to another app: Garret reads it only.
    """

    model_id: str
    files: tuple[ModelFile, ...]
    facts: ModelFacts
    origin: Origin
    installed_at: float = 0.0
    verified_at: float = 0.0
    used_at: float = 0.0
    unsettled_boot: str = ""
    """Since which start of the machine its bytes may still be in flight to the disk; '' when they
    are known to be on it."""

    @property
    def path(self) -> Path:
        """The file to load: the only one, or part 1."""
        return self.files[0].path

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def title(self) -> str:
        """A name for people."""
        return self.origin.title or self.model_id

    @property
    def is_reference(self) -> bool:
        return self.origin.source == "reference"

    @property
    def is_starter(self) -> bool:
        return self.origin.source == "starter"

    @property
    def is_present(self) -> bool:
        """False while its disk is not there, or when a file changed its size."""
        return all(_size_of(file.path) == file.size_bytes for file in self.files)

    def verified(self, at: float, hashes: tuple[str, ...]) -> InstalledModel:
        files = tuple(
            replace(file, sha256=sha) for file, sha in zip(self.files, hashes, strict=True)
        )
        return replace(self, files=files, verified_at=at, unsettled_boot="")


def to_json(model: InstalledModel, root: Path) -> dict[str, Any]:
    """The record as written; files inside `root` are named relative to it."""

    def name_of(path: Path) -> str:
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)

    return {
        "format": FORMAT,
        "id": model.model_id,
        "files": [
            {"path": name_of(file.path), "size_bytes": file.size_bytes, "sha256": file.sha256}
            for file in model.files
        ],
        "facts": asdict(model.facts),
        "origin": asdict(model.origin),
        "installed_at": model.installed_at,
        "verified_at": model.verified_at,
        "used_at": model.used_at,
        "unsettled_boot": model.unsettled_boot,
    }


def from_json(data: Any, root: Path, model_id: str) -> InstalledModel | None:
    """The model a record describes; None for anything that is not a sound record of `model_id`."""
    try:
        if data["format"] != FORMAT or data["id"] != model_id or not data["files"]:
            return None
        origin = Origin(**{key: str(value) for key, value in data["origin"].items()})  # type: ignore[arg-type]
        if origin.source not in _SOURCES:
            return None
        files = tuple(_file(one, root, origin.source == "reference") for one in data["files"])
        return InstalledModel(
            model_id=model_id,
            files=files,
            facts=facts_from_json(data["facts"]),
            origin=origin,
            installed_at=float(data.get("installed_at", 0)),
            verified_at=float(data.get("verified_at", 0)),
            used_at=float(data.get("used_at", 0)),
            unsettled_boot=str(data.get("unsettled_boot", "")),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _file(data: dict[str, Any], root: Path, reference: bool) -> ModelFile:
    name, size, sha = data["path"], data["size_bytes"], data["sha256"]
    if type(name) is not str or type(size) is not int or size <= 0:
        raise ValueError("file")
    if sha and not _SHA256.fullmatch(sha):
        raise ValueError("sha256")
    path = Path(name)
    if reference:
        if not path.is_absolute():
            raise ValueError("path")
        return ModelFile(path, size, sha)
    if not is_safe_file(name, MAX_STORE_DEPTH):
        raise ValueError("path")
    return ModelFile(root / path, size, sha)


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
