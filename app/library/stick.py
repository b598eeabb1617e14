"""A model on a stick: a folder with a model, its manifest and its hashes, for a machine without a
network; and moving the whole models folder to another disk."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from app.core.errors import LibraryError, VerificationFailed
from app.library.disk import (
    Progress,
    check_space,
    copy_file,
    hash_file,
    read_json,
    sync_file,
    sync_folder,
    write_json,
)
from app.library.names import is_safe_component
from app.library.records import InstalledModel, Origin
from app.library.store import Store

MANIFEST = "garret-model.json"
FORMAT = 1


def export_model(
    store: Store, model_id: str, folder: Path, progress: Progress | None = None
) -> Path:
    """Copies a model with its manifest into `folder`/<id>; returns that folder.

    The manifest is written last, so a stick pulled out early holds no half model.

    Raises: ModelNotFound, NotEnoughDisk, VerificationFailed, LibraryError.
    """
    model = store.find(model_id)
    target = folder.expanduser().absolute() / model.model_id
    if (target / MANIFEST).exists():
        raise LibraryError(
            f"{target} already holds a model.", "Delete it there first, or pick another folder."
        )
    check_space(target, model.size_bytes, model.title)
    target.mkdir(parents=True, exist_ok=True)
    done = 0
    files = []
    for file in model.files:
        report = _offset(progress, done, model.size_bytes)
        # Blobs of other apps have no GGUF name; on the stick every file gets one.
        name = file.path.name if file.path.suffix == ".gguf" else f"{model.model_id}.gguf"
        temp = target / f".{name}.{uuid.uuid4().hex[:8]}.tmp"
        try:
            sha256 = copy_file(file.path, temp, report)
            if file.sha256 and sha256 != file.sha256:
                raise VerificationFailed(
                    f"{file.path.name} is damaged: its contents changed since it was installed.",
                    "Remove the model and download it again.",
                )
            sync_file(temp)  # it will be pulled out
            os.replace(temp, target / name)
        finally:
            temp.unlink(missing_ok=True)
        done += file.size_bytes
        files.append({"name": name, "size_bytes": file.size_bytes, "sha256": sha256})
    origin = {
        "repo": model.origin.repo,
        "commit": model.origin.commit,
        "title": model.title,
        "license": model.origin.license or model.facts.license,
    }
    write_json(target / MANIFEST, {"format": FORMAT, "files": files, "origin": origin})
    return target


def import_stick(store: Store, folder: Path, progress: Progress | None = None) -> InstalledModel:
    """Installs a model from a folder made by `export_model`; every byte is checked on the way.

    Raises: LibraryError, VerificationFailed, BadModelFile, NotEnoughDisk.
    """
    folder = folder.expanduser().absolute()
    files, origin = _manifest(folder)
    total = sum(int(one["size_bytes"]) for one in files)
    check_space(store.root, total, origin.title or folder.name)
    parts: list[Path] = []
    done = 0
    try:
        for one in files:
            part = store.partial / f"import-{uuid.uuid4().hex}.part"
            parts.append(part)
            sha256 = copy_file(folder / one["name"], part, _offset(progress, done, total))
            if sha256 != one["sha256"]:
                raise VerificationFailed(
                    f"{one['name']} on the stick is damaged.", "Export the model again."
                )
            done += one["size_bytes"]
        names = [one["name"] for one in files]
        hashes = [one["sha256"] for one in files]
        return store.adopt(parts, names, f"imported/{folder.name}"[:150], origin, hashes)
    except OSError as error:
        raise LibraryError(
            f"The stick cannot be read: {error.strerror}.", "Plug it in and try again."
        ) from error
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def is_stick(folder: Path) -> bool:
    return (folder / MANIFEST).is_file()


def move_models(store: Store, target: Path, progress: Progress | None = None) -> Store:
    """Moves everything Garret owns to another folder; returns the store there.

    Files are copied and verified before the originals are deleted, so that nothing is lost when
    it is interrupted: a second call goes on. References stay where they are.

    Raises: NotEnoughDisk, VerificationFailed, LibraryError for a folder inside the old one.
    """
    target = target.expanduser().absolute()
    if target == store.root:
        raise LibraryError("The models are in that folder already.", "Pick another folder.")
    if target.is_relative_to(store.root):
        raise LibraryError("The new folder lies inside the old one.", "Pick another folder.")
    files = [path for path in sorted(store.root.rglob("*")) if _is_ours(path, store.root)]
    total = sum(path.stat().st_size for path in files)
    check_space(target, total, "The models folder")
    target.mkdir(parents=True, exist_ok=True)
    done = 0
    for path in files:
        size = path.stat().st_size
        _copy_checked(path, target / path.relative_to(store.root), _offset(progress, done, total))
        done += size
    for path in files:
        path.unlink()
    for folder in sorted((p for p in store.root.rglob("*") if p.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
    return Store(target)


def _copy_checked(source: Path, target: Path, progress: Progress | None) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    same_size = target.exists() and target.stat().st_size == source.stat().st_size
    if same_size and hash_file(target) == hash_file(source):
        return
    temp = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        sha256 = copy_file(source, temp, progress)
        if hash_file(temp) != sha256:
            raise VerificationFailed(
                f"{source.name} did not arrive as it was sent.", "Check the new disk."
            )
        sync_file(temp)  # the original is deleted afterwards
        shutil.copystat(source, temp)
        os.replace(temp, target)
        sync_folder(target.parent)
    finally:
        temp.unlink(missing_ok=True)


def _is_ours(path: Path, root: Path) -> bool:
    if not path.is_file() or path.is_symlink():
        return False
    top = path.relative_to(root).parts[0]
    if top == ".partial":
        return path.suffix in (".part", ".map", ".json")
    return path.suffix in (".gguf", ".json") and not path.name.endswith(".lock")


def _manifest(folder: Path) -> tuple[Sequence[dict[str, Any]], Origin]:
    data = read_json(folder / MANIFEST)
    try:
        if data["format"] != FORMAT or not data["files"] or len(data["files"]) > 999:
            raise ValueError("format")
        for one in data["files"]:
            sound = (
                is_safe_component(one["name"])
                and one["name"].endswith(".gguf")
                and type(one["size_bytes"]) is int
                and one["size_bytes"] > 0
                and re.fullmatch("[0-9a-f]{64}", one["sha256"])
            )
            if not sound:
                raise ValueError("file")
        texts = {key: str(data["origin"].get(key, ""))[:200] for key in ("repo", "commit")}
        texts |= {key: str(data["origin"].get(key, ""))[:200] for key in ("title", "license")}
        return data["files"], Origin("stick", **texts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LibraryError(
            f"{folder} holds no model exported by Garret.",
            f"Pick the folder that contains {MANIFEST}.",
        ) from error


def _offset(progress: Progress | None, before: int, total: int) -> Progress | None:
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)
