from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import selftest
from app.core.paths import find_paths
from app.library.starter import add_starter
from app.library.store import Store
from tests.library.ggufs import write_tiny

ROOT = Path(__file__).resolve().parents[2]


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {key: os.environ[key] for key in ("PATH", "LD_LIBRARY_PATH") if key in os.environ}
    env = {
        **kept,
        "HOME": str(home),
        "GARRET_HOME": str(home / "garret"),
        "QT_QPA_PLATFORM": "offscreen",
        "PYTHONPATH": str(ROOT),
        "PYTHONSAFEPATH": "1",
    }
    command = [sys.executable, "-m", "app", "--self-test", *arguments]
    return subprocess.run(
        command, env=env, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=240,
    )  # fmt: skip


@pytest.mark.slow
def test_a_sound_installation_passes_every_check(tmp_path: Path, starter_model_path: Path) -> None:
    paths = find_paths({"GARRET_HOME": str(tmp_path / "garret")})
    add_starter(Store(paths.models), starter_model_path)
    answer = run(tmp_path, "--json")
    report = json.loads(answer.stdout)
    passed = {check["name"]: check["ok"] for check in report["checks"]}
    proven = passed.pop("agent")  # a machine without a sandbox says so, and that is right
    assert passed == dict.fromkeys(
        ("data folder", "chats", "starter model", "engine", "window"), True
    ), answer.stdout
    assert report["ok"] is proven
    assert answer.returncode == (0 if proven else 1)
    assert report["tokens_per_s"] > 0
    assert report["window"]["colors"] > 1
    assert not list(paths.data.glob(".garret-probe-*"))


def test_a_missing_model_is_one_line_with_a_remedy(tmp_path: Path) -> None:
    answer = run(tmp_path, "--no-window")
    assert answer.returncode == 1
    assert "FAILED  starter model:" in answer.stdout
    assert "FAILED  engine: Not tried" in answer.stdout
    assert "ok      chats:" in answer.stdout
    assert "Traceback" not in answer.stderr


def test_without_the_starter_the_smallest_model_is_tried(
    tmp_path: Path, hybrid_model_path: Path
) -> None:
    store = Store(find_paths({"GARRET_HOME": str(tmp_path / "garret")}).models)
    store.add_file(hybrid_model_path, copy=False)
    large = store.add_file(write_tiny(tmp_path / "large.gguf"), copy=False)
    with large.path.open("ab") as file:  # not present any more: its size has changed
        file.write(b"x")
    answer = run(tmp_path, "--no-window", "--json")
    report = json.loads(answer.stdout)
    assert report["starter"] == str(hybrid_model_path)
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["starter model"]["ok"]
    assert not checks["engine"]["text"].startswith("Not tried")


def test_every_failure_carries_something_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    not_a_folder = tmp_path / "file"
    not_a_folder.write_text("x")
    monkeypatch.setenv("GARRET_HOME", str(not_a_folder))
    assert selftest.main(["--json", "--no-window"]) == 1
    checks = json.loads(capsys.readouterr().out)["checks"]
    failed = [check for check in checks if not check["ok"]]
    assert "data folder" in [check["name"] for check in failed]
    assert all(check["remedy"] for check in failed)
