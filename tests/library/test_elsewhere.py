"""Models of other apps are used where they are; a model travels on a stick with its hashes."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from app.core.errors import LibraryError, ModelError, VerificationFailed
from app.library.check_header import read_model
from app.library.elsewhere import default_folders, find_elsewhere, find_in, use_in_place
from app.library.stick import MANIFEST, export_model, import_stick, is_stick, move_models
from app.library.store import Store
from tests.library.ggufs import gguf_bytes, write_split, write_tiny

SHA = hashlib.sha256(gguf_bytes()).hexdigest()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models", header_check=read_model)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a model in each app's folder."""
    hub = tmp_path / "home" / ".cache" / "huggingface" / "hub" / "models--maker--tiny-GGUF"
    blob = hub / "blobs" / SHA
    blob.parent.mkdir(parents=True)
    blob.write_bytes(gguf_bytes())
    snapshot = hub / "snapshots" / ("c" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "tiny-Q8_0.gguf").symlink_to(blob)
    (snapshot / "mmproj-F16.gguf").write_bytes(b"x")
    write_tiny(tmp_path / "home" / ".lmstudio" / "models" / "maker" / "tiny" / "lm.gguf")
    ollama = tmp_path / "home" / ".ollama" / "models"
    (ollama / "blobs").mkdir(parents=True)
    (ollama / "blobs" / f"sha256-{SHA}").write_bytes(gguf_bytes())
    manifest = ollama / "manifests" / "registry.ollama.ai" / "library" / "tiny" / "latest"
    manifest.parent.mkdir(parents=True)
    layer = {"mediaType": "application/vnd.ollama.image.model", "digest": f"sha256:{SHA}"}
    manifest.write_text(json.dumps({"layers": [{"mediaType": "x"}, layer]}))
    return tmp_path / "home"


def test_every_apps_models_are_found(home: Path) -> None:
    found = find_elsewhere(default_folders(home, {}))
    assert [one.app for one in found] == ["Hugging Face", "LM Studio", "Ollama"]
    assert found[0].repo == "maker/tiny-GGUF"
    assert found[0].sha256 == found[2].sha256 == SHA
    assert found[1].repo == "maker/tiny"


def test_a_found_model_is_used_without_copying(home: Path, store: Store) -> None:
    for one in find_elsewhere(default_folders(home, {})):
        model = use_in_place(store, one)
        assert model.is_reference
        assert model.path == one.path
    assert not [path for path in store.root.rglob("*") if path.suffix == ".gguf"]
    assert len(store.installed()) == 3
    assert {model.title for model in store.installed()} == {"tiny-Q8_0", "lm", "tiny-latest"}


def test_a_blob_that_is_not_its_name_is_refused(home: Path, store: Store) -> None:
    (ollama,) = [one for one in find_elsewhere(default_folders(home, {})) if one.app == "Ollama"]
    ollama.path.write_bytes(gguf_bytes(fill=b"\x02"))
    with pytest.raises(VerificationFailed):
        use_in_place(store, ollama)
    assert store.installed() == []


@pytest.mark.parametrize("body", ["", "[]", '{"layers": 3}', '{"layers": [7, {"digest": 1}]}'])
def test_a_broken_manifest_is_no_model(home: Path, body: str) -> None:
    for manifest in (home / ".ollama" / "models" / "manifests").rglob("latest"):
        manifest.write_text(body)
    assert [one.app for one in find_in(home / ".ollama" / "models")] == []


def test_folders_named_by_the_environment_are_searched(home: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    os.rename(home / ".ollama" / "models", moved)
    folders = default_folders(home, {"OLLAMA_MODELS": str(moved)})
    assert ("Ollama", moved) in folders


def test_a_model_travels_on_a_stick(store: Store, tmp_path: Path) -> None:
    parts = write_split(tmp_path / "in", "big-Q8_0", 2)
    model = store.add_file(parts[0])
    stick = export_model(store, model.model_id, tmp_path / "usb")
    assert is_stick(stick)
    other = Store(tmp_path / "other", header_check=read_model)
    arrived = import_stick(other, stick)
    assert [file.sha256 for file in arrived.files] == [file.sha256 for file in model.files]
    assert arrived.origin.source == "stick"
    assert not list(other.partial.iterdir())
    with pytest.raises(LibraryError, match="already holds"):
        export_model(store, model.model_id, tmp_path / "usb")


def test_a_damaged_stick_is_refused(store: Store, tmp_path: Path) -> None:
    model = store.add_file(write_tiny(tmp_path / "a.gguf"))
    stick = export_model(store, model.model_id, tmp_path / "usb")
    (file,) = stick.glob("*.gguf")
    file.write_bytes(gguf_bytes(fill=b"\x03"))
    other = Store(tmp_path / "other", header_check=read_model)
    with pytest.raises(VerificationFailed):
        import_stick(other, stick)
    file.unlink()
    with pytest.raises(LibraryError, match="cannot be read"):
        import_stick(other, stick)
    assert other.installed() == []
    assert not list(other.partial.iterdir())


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"files": []},
        {"files": [{"name": "../x.gguf", "size_bytes": 1, "sha256": "0" * 64}]},
        {"files": [{"name": "x.exe", "size_bytes": 1, "sha256": "0" * 64}]},
        {"files": [{"name": "x.gguf", "size_bytes": "1", "sha256": "0" * 64}]},
        {"files": [{"name": "x.gguf", "size_bytes": 1, "sha256": "0"}]},
        {"origin": 7},
    ],
)
def test_a_hostile_manifest_is_refused(
    store: Store, tmp_path: Path, change: dict[str, object]
) -> None:
    model = store.add_file(write_tiny(tmp_path / "a.gguf"))
    stick = export_model(store, model.model_id, tmp_path / "usb")
    manifest = stick / MANIFEST
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), **change}))
    with pytest.raises(LibraryError, match="no model exported"):
        import_stick(store, stick)


def test_the_models_folder_moves_with_everything(store: Store, tmp_path: Path) -> None:
    first = store.add_file(write_tiny(tmp_path / "a.gguf"))
    outside = store.add_file(write_tiny(tmp_path / "b.gguf", extra="b"), copy=False)
    moved = move_models(store, tmp_path / "disk" / "models")
    ids = {model.model_id for model in moved.installed()}
    assert ids == {first.model_id, outside.model_id}
    assert moved.find(first.model_id).path.read_bytes() == (tmp_path / "a.gguf").read_bytes()
    assert moved.find(outside.model_id).path == outside.path
    assert not list(store.root.rglob("*.gguf"))
    with pytest.raises(LibraryError, match="inside"):
        move_models(moved, moved.root / "deeper")


def test_a_folder_with_nothing_of_use_is_empty(tmp_path: Path, store: Store) -> None:
    (tmp_path / "junk").mkdir()
    (tmp_path / "junk" / "x.gguf").write_bytes(b"junk")
    (one,) = find_in(tmp_path / "junk")
    with pytest.raises(ModelError):
        use_in_place(store, one)
