"""Models other apps already have on this disk: offered for use without copying a byte."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.library.disk import Progress, read_json
from app.library.names import split_name
from app.library.records import InstalledModel, Origin
from app.library.store import Store

App = Literal["Hugging Face", "LM Studio", "Ollama"]
_OLLAMA_MODEL = "application/vnd.ollama.image.model"
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_MAX_FILES = 2_000


@dataclass(frozen=True, slots=True)
class Found:
    """A model in another app's folder. `sha256` is what that app says it is, or ''."""

    app: App
    path: Path
    title: str
    size_bytes: int
    repo: str = ""
    commit: str = ""
    sha256: str = ""


def default_folders(home: Path, environ: Mapping[str, str]) -> list[tuple[App, Path]]:
    """Where these apps keep models, as far as the folders exist."""
    cache = environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE")
    hf_home = environ.get("HF_HOME")
    hf = Path(cache) if cache else Path(hf_home or home / ".cache" / "huggingface") / "hub"
    ollama = Path(environ.get("OLLAMA_MODELS") or home / ".ollama" / "models")
    places: list[tuple[App, Path]] = [
        ("Hugging Face", hf),
        ("LM Studio", home / ".lmstudio" / "models"),
        ("LM Studio", home / ".cache" / "lm-studio" / "models"),
        ("Ollama", ollama),
        ("Ollama", Path("/usr/share/ollama/.ollama/models")),
    ]
    return [(app, folder) for app, folder in places if folder.is_dir()]


def find_elsewhere(places: list[tuple[App, Path]]) -> list[Found]:
    """GGUF models in other apps' folders; nothing is opened, only listed."""
    found: dict[Path, Found] = {}
    for app, folder in places:
        search = _ollama if app == "Ollama" else _hub_cache if app == "Hugging Face" else _lm_studio
        for one in search(folder):
            found.setdefault(one.path, one)
            if len(found) >= _MAX_FILES:
                break
    return list(found.values())


def find_in(folder: Path) -> list[Found]:
    """The same for a folder the user picked, whichever app's it is."""
    if (folder / "manifests").is_dir() and (folder / "blobs").is_dir():
        return find_elsewhere([("Ollama", folder)])
    if any(folder.glob("models--*")):
        return find_elsewhere([("Hugging Face", folder)])
    return find_elsewhere([("LM Studio", folder)])


def use_in_place(store: Store, found: Found, progress: Progress | None = None) -> InstalledModel:
    """Registers a model as a read-only reference after checking its hash and its header.

    Raises: VerificationFailed, BadModelFile, UnsupportedModel.
    """
    origin = Origin("reference", found.repo, found.commit, found.title)
    return store.add_file(
        found.path, copy=False, origin=origin, expected_sha256=found.sha256, progress=progress
    )


def _ggufs(folder: Path) -> Iterator[Path]:
    """Main GGUF files below a folder (part 1 of split ones), at most six levels deep."""
    for here, subfolders, names in os.walk(folder):
        depth = len(Path(here).relative_to(folder).parts)
        subfolders[:] = sorted(one for one in subfolders if depth < 6 and not one.startswith("."))
        for name in sorted(names):
            split = split_name(name)
            helper = "mmproj" in name.lower()
            if name.lower().endswith(".gguf") and not helper and (not split or split.part == 1):
                path = Path(here) / name
                if path.is_file():
                    yield path


def _size(path: Path) -> int:
    split = split_name(path.name)
    if split is None:
        return path.stat().st_size
    parts = (path.with_name(split.of(part)) for part in range(1, split.count + 1))
    return sum(part.stat().st_size for part in parts if part.exists())


def _lm_studio(folder: Path) -> Iterator[Found]:
    for path in _ggufs(folder):
        parts = path.relative_to(folder).parts
        repo = "/".join(parts[:2]) if len(parts) == 3 else ""
        yield Found("LM Studio", path, path.stem, _size(path), repo)


def _hub_cache(folder: Path) -> Iterator[Found]:
    """models--owner--name/snapshots/<commit>/file → blobs/<sha256>."""
    for repo_folder in sorted(folder.glob("models--*")):
        repo = repo_folder.name.removeprefix("models--").replace("--", "/", 1)
        for path in _ggufs(repo_folder / "snapshots"):
            commit = path.relative_to(repo_folder / "snapshots").parts[0]
            blob = path.resolve()
            sha256 = blob.name if re.fullmatch("[0-9a-f]{64}", blob.name) else ""
            whole = split_name(path.name) is None
            yield Found(
                "Hugging Face", path, path.stem, _size(path), repo, commit, sha256 if whole else ""
            )


def _ollama(folder: Path) -> Iterator[Found]:
    """manifests/<registry>/<namespace>/<name>/<tag> names the blob by its hash."""
    for manifest in sorted((folder / "manifests").rglob("*")):
        data = read_json(manifest) if manifest.is_file() else None
        layers = data.get("layers") if isinstance(data, dict) else None
        for layer in layers if isinstance(layers, list) else ():
            if not isinstance(layer, dict) or layer.get("mediaType") != _OLLAMA_MODEL:
                continue
            match = _DIGEST.fullmatch(str(layer.get("digest")))
            blob = folder / "blobs" / f"sha256-{match[1]}" if match else None
            if match and blob is not None and blob.is_file():
                name = f"{manifest.parent.name}-{manifest.name}"
                yield Found("Ollama", blob, name, blob.stat().st_size, sha256=match[1])
