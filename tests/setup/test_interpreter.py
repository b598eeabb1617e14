from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

import pytest

from scripts.bootstrap import interpreter

ROOT = Path(__file__).resolve().parents[2]
posix_only = pytest.mark.skipif(os.name != "posix", reason="fake interpreters are shell scripts")


def fake_python(folder: Path, name: str, body: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def test_the_running_interpreter_is_taken_when_it_fits() -> None:
    assert interpreter.find(sys.executable) is not None


@pytest.mark.parametrize(
    ("version", "fits"),
    [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False), ((2, 7), False)],
)
def test_only_tested_versions_fit(version: tuple[int, int], fits: bool) -> None:
    assert interpreter.is_suitable(version) is fits


@posix_only
@pytest.mark.parametrize(
    "body",
    [
        "echo 'pyenv: python3.12: command not found' >&2; exit 127",
        "echo '3.9 /usr/bin/python3.9'",
        "echo nonsense",
        "exit 0",
    ],
)
def test_a_shim_that_does_not_run_is_passed_over(tmp_path: Path, body: str) -> None:
    assert interpreter.probe(str(fake_python(tmp_path, "python3.12", body))) is None


@posix_only
def test_a_newer_interpreter_on_the_path_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_old = fake_python(tmp_path, "python3", "echo '3.9 /old'")
    fake_python(tmp_path, "python3.13", "exit 127")
    fake_python(tmp_path, "python3.12", "echo '3.12 /good/python3.12'")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert interpreter.find(str(too_old)) == "/good/python3.12"


def test_what_an_old_interpreter_must_read_has_no_new_syntax() -> None:
    for name in ("run.py", "test.py", "check.py", "bootstrap/interpreter.py"):
        source = (ROOT / "scripts" / name).read_text(encoding="utf-8")
        ast.parse(source, name, feature_version=(3, 7))
