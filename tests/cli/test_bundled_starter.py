from __future__ import annotations

from pathlib import Path

import pytest

from app.cli import bundled_starter
from app.core.paths import Paths, find_paths
from app.library.starter import installed_starter
from app.library.store import Store


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return find_paths({"GARRET_HOME": str(tmp_path / "home")})


def test_a_new_user_gets_the_bundled_model_once(paths: Paths, starter_model_path: Path) -> None:
    bundled_starter.offer([], starter_model_path, paths)
    store = Store(paths.models)
    found = installed_starter(store)
    assert found is not None
    store.remove(found.model_id)
    bundled_starter.offer([], starter_model_path, paths)
    assert installed_starter(store) is None


def test_a_damaged_bundle_is_said_and_does_not_stop_the_start(
    paths: Paths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damaged = tmp_path / "SmolLM2.gguf"
    damaged.write_bytes(b"GGUF")
    bundled_starter.offer([], damaged, paths)
    assert "starter model" in capsys.readouterr().err
    assert installed_starter(Store(paths.models)) is None


@pytest.mark.parametrize("argv", [["--version"], ["_engine"], ["_sandbox", "{}"], ["doctor"]])
def test_helpers_and_questions_do_not_copy_a_model(
    argv: list[str], paths: Paths, starter_model_path: Path
) -> None:
    bundled_starter.offer(argv, starter_model_path, paths)
    assert not paths.data.exists()


def test_a_checkout_has_no_bundled_model() -> None:
    assert bundled_starter.bundled_starter() is None
