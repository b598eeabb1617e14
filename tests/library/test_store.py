"""The store keeps models, finds them, and survives the hands of two processes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.core.errors import (
    BadModelFile,
    LibraryError,
    ModelNotFound,
    UnsupportedModel,
    VerificationFailed,
)
from app.library.disk import OwnerLock, boot_id
from app.library.store import Store
from tests.library.ggufs import gguf_bytes, write_split, write_tiny


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def test_copied_model_is_found_by_id_path_and_beginning(store: Store, tmp_path: Path) -> None:
    source = write_tiny(tmp_path / "My Model Q4_K_M.gguf")
    model = store.add_file(source)
    assert model.model_id == "my-model-q4_k_m"
    assert model.path.read_bytes() == source.read_bytes()
    assert model.files[0].sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert model.facts.architecture == "llama"
    assert model.verified_at > 0
    assert store.installed() == [model]
    assert store.find("my-model-q4_k_m") == model
    assert store.find("MY-model") == model
    assert store.find(model.path) == model
    assert not list(store.partial.iterdir())


def test_unknown_names_say_what_there_is(store: Store, tmp_path: Path) -> None:
    store.add_file(write_tiny(tmp_path / "a.gguf"))
    with pytest.raises(ModelNotFound, match=r"Installed: a\."):
        store.find("nothing")


def test_a_path_outside_is_loadable_but_not_recorded(store: Store, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "elsewhere.gguf")
    assert store.find(path).path == path
    assert store.installed() == []


def test_a_reference_stays_where_it_is_and_is_only_forgotten(store: Store, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "other-app" / "a.gguf")
    model = store.add_file(path, copy=False)
    assert model.is_reference
    assert model.path == path
    assert store.remove(model.model_id) == 0
    assert path.exists()
    assert store.installed() == []


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"", BadModelFile),
        (os.urandom(5000), BadModelFile),
        (gguf_bytes()[:-1], BadModelFile),
        (gguf_bytes({"general.architecture": "clip"}), UnsupportedModel),
        (gguf_bytes({"general.name": "none"}), BadModelFile),
    ],
    ids=["empty", "random", "truncated", "projector", "no architecture"],
)
def test_what_is_no_model_never_gets_in(
    store: Store, tmp_path: Path, body: bytes, error: type[Exception]
) -> None:
    path = tmp_path / "bad.gguf"
    path.write_bytes(body)
    with pytest.raises(error, match=r"bad\.gguf"):
        store.add_file(path)
    assert store.installed() == []
    assert not list(store.root.rglob("*.gguf"))


def test_split_model_is_one_model(store: Store, tmp_path: Path) -> None:
    parts = write_split(tmp_path / "in", "big-Q8_0", 3)
    model = store.add_file(parts[1])
    assert model.model_id == "big-q8_0"
    assert [file.path.name for file in model.files] == [part.name for part in parts]
    assert model.size_bytes == sum(part.stat().st_size for part in parts)
    assert model.facts.n_layers == 2


def test_split_model_with_a_gap_is_refused(store: Store, tmp_path: Path) -> None:
    parts = write_split(tmp_path / "in", "big", 3)
    parts[2].unlink()
    with pytest.raises(BadModelFile, match="parts are missing"):
        store.add_file(parts[0])


def test_parts_of_two_sets_do_not_mix(store: Store, tmp_path: Path) -> None:
    parts = write_split(tmp_path / "in", "big", 2)
    parts[1].write_bytes(parts[0].read_bytes())
    with pytest.raises(BadModelFile, match="does not belong"):
        store.add_file(parts[0])


def test_files_put_into_the_folder_by_hand_are_taken_in(store: Store) -> None:
    write_tiny(store.root / "mine" / "hand.gguf")
    (store.root / "mine" / "junk.gguf").write_bytes(b"junk")
    write_split(store.root / "mine", "set", 2)
    assert sorted(model.model_id for model in store.rescan()) == ["hand", "set"]
    assert len(store.rescan()) == 2


def test_removed_model_can_be_restored_until_the_trash_is_emptied(
    store: Store, tmp_path: Path
) -> None:
    model = store.add_file(write_tiny(tmp_path / "a.gguf"))
    assert store.remove(model.model_id) == model.size_bytes
    assert store.installed() == []
    assert not model.path.exists()
    assert store.restore(model.model_id) == model
    assert store.installed() == [model]
    store.remove(model.model_id)
    assert store.empty_trash() >= model.size_bytes
    with pytest.raises(ModelNotFound):
        store.restore(model.model_id)


def test_verify_finds_one_flipped_bit(store: Store, tmp_path: Path) -> None:
    model = store.add_file(write_tiny(tmp_path / "a.gguf"))
    assert store.verify(model.model_id).verified_at >= model.verified_at
    body = bytearray(model.path.read_bytes())
    body[-1] ^= 1
    model.path.write_bytes(body)
    with pytest.raises(VerificationFailed, match="damaged"):
        store.verify(model.model_id)


def test_progress_ends_at_the_total(store: Store, tmp_path: Path) -> None:
    parts = write_split(tmp_path / "in", "big", 2)
    seen: list[tuple[int, int]] = []
    store.add_file(parts[0], progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == sum(part.stat().st_size for part in parts)


def test_wrong_hash_is_refused_and_nothing_is_left(store: Store, tmp_path: Path) -> None:
    with pytest.raises(VerificationFailed):
        store.add_file(write_tiny(tmp_path / "a.gguf"), expected_sha256="0" * 64)
    assert not list(store.partial.iterdir())
    assert store.installed() == []


def test_same_name_and_other_bytes_get_another_id(store: Store, tmp_path: Path) -> None:
    first = store.add_file(write_tiny(tmp_path / "a.gguf"))
    again = store.add_file(tmp_path / "a.gguf")
    other = store.add_file(write_tiny(tmp_path / "b" / "a.gguf", extra="x"))
    assert again == first
    assert other.model_id == "a-2"
    assert other.path != first.path


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"format": 99},
        {"files": []},
        {"files": [{"path": "../../etc/passwd", "size_bytes": 1, "sha256": ""}]},
        {"files": [{"path": "/etc/passwd", "size_bytes": 1, "sha256": ""}]},
        {"files": [{"path": "a.gguf", "size_bytes": -1, "sha256": ""}]},
        {"files": [{"path": "a.gguf", "size_bytes": 1, "sha256": "zz"}]},
        {"facts": {}},
        {"origin": {"source": "elsewhere"}},
        {"origin": None},
    ],
)
def test_a_record_that_was_tampered_with_is_no_model(
    store: Store, tmp_path: Path, change: dict[str, object]
) -> None:
    model = store.add_file(write_tiny(tmp_path / "a.gguf"))
    path = store.root / ".records" / f"{model.model_id}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    assert store.installed() == []


def test_a_half_written_record_is_ignored_and_the_file_found_again(
    store: Store, tmp_path: Path
) -> None:
    model = store.add_file(write_tiny(tmp_path / "a.gguf"))
    path = store.root / ".records" / f"{model.model_id}.json"
    path.write_text(path.read_text()[:40])
    assert store.installed() == []
    assert [one.path for one in store.rescan()] == [model.path]


def test_two_processes_add_at_once_and_neither_is_lost(store: Store, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from app.library.store import Store\n"
        "store = Store(Path(sys.argv[1]))\n"
        "for path in sys.argv[2:]: store.add_file(Path(path))"
    )
    batches = [
        [str(write_tiny(tmp_path / f"{who}{n}" / "same.gguf", n=f"{who}{n}")) for n in range(2)]
        for who in "ab"
    ]
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(store.root), *batch]) for batch in batches
    ]
    assert [process.wait(60) for process in running] == [0, 0]
    assert sorted(model.model_id for model in store.installed()) == [
        "same",
        "same-2",
        "same-3",
        "same-4",
    ]
    assert len({model.path for model in store.installed()}) == 4


def test_lock_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    code = (
        "import sys, os; from pathlib import Path; from app.library.disk import OwnerLock\n"
        "assert OwnerLock(Path(sys.argv[1])).try_acquire(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True)
    assert path.exists()
    lock = OwnerLock(path)
    assert lock.try_acquire()
    assert not OwnerLock(path).try_acquire()
    lock.release()
    assert not path.exists()


def test_no_room_is_said_before_a_byte_is_copied(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.library.disk.free_bytes", lambda folder: 10)
    with pytest.raises(LibraryError, match="disk space"):
        store.add_file(write_tiny(tmp_path / "a.gguf"))
    assert not list(store.partial.iterdir())


def test_a_model_is_settled_once_its_bytes_are_on_the_disk(store: Store, tmp_path: Path) -> None:
    model = store.add_file(write_tiny(tmp_path / "a.gguf"))
    assert model.unsettled_boot == boot_id()
    store.settle()
    assert store.find(model.model_id).unsettled_boot == ""


def test_after_a_power_cut_a_fresh_model_is_hashed_again(store: Store, tmp_path: Path) -> None:
    model = store.add_file(write_tiny(tmp_path / "a.gguf"))
    record = store.root / ".records" / f"{model.model_id}.json"
    record.write_text(record.read_text().replace(boot_id(), "another start"))
    body = model.path.read_bytes()
    model.path.write_bytes(body[:-64] + b"\0" * 64)
    with pytest.raises(VerificationFailed):
        store.settle()
    model.path.write_bytes(body)
    store.settle()
    assert store.find(model.model_id).unsettled_boot == ""
