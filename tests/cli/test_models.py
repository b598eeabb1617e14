"""`garret models` from the outside: every subcommand, and one sentence for every error."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.__main__ import main
from tests.hostile_hub import HostileHub
from tests.library.download_kit import FILE, REPO, model_bytes
from tests.library.ggufs import write_tiny


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GARRET_HOME", str(tmp_path / "garret"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HostileHub]:
    with HostileHub() as hub:
        hub.add(REPO, {FILE: model_bytes(100_000), "model-Q8_0.gguf": model_bytes(90_000, 2)})
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        yield hub


def run(capsys: pytest.CaptureFixture[str], *argv: object) -> tuple[int, str, str]:
    code = main(["models", *map(str, argv)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    "command", ["list", "recommend", "search", "pull", "verify", "import", "export", "rm"]
)
def test_every_command_has_help(home: Path, command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app", "models", command, "--help"],
        capture_output=True,
        text=True,
        env={**os.environ},
        check=False,
    )
    assert done.returncode == 0
    assert f"garret models {command}" in done.stdout


def test_an_empty_library_says_what_to_do(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "list")
    assert code == 0
    assert "garret models recommend" in out


def test_a_file_lives_through_the_library(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "import", write_tiny(home / "a.gguf"))[:2] == (0, "Installed a.\n")
    _, out, _ = run(capsys, "list", "--json")
    (model,) = json.loads(out)
    assert (model["id"], model["architecture"], model["present"]) == ("a", "llama", True)
    assert run(capsys, "verify")[0] == 0
    assert run(capsys, "export", "a", home / "usb")[0] == 0
    assert run(capsys, "rm", "a")[0] == 0
    assert "No model is installed" in run(capsys, "list")[1]
    assert run(capsys, "rm", "--restore", "a")[:2] == (0, "a is back.\n")
    assert run(capsys, "rm", "a")[0] == 0
    assert "Freed" in run(capsys, "rm", "--empty-trash")[1]
    assert run(capsys, "import", home / "usb" / "a")[:2] == (0, "Installed a.\n")


def test_a_model_is_pulled_by_file_and_by_quantization(
    home: Path, hub: HostileHub, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "pull", f"{REPO}/{FILE}")
    assert (code, err) == (0, "")
    assert out.startswith("Installed model-q4_k_m: ")
    assert "already installed" in run(capsys, "pull", f"{REPO}/{FILE}")[1]
    code, out, _ = run(capsys, "pull", f"{REPO}:q8_0", "--json")
    assert code == 0
    assert json.loads(out.splitlines()[-1])["phase"] == "installed"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("pull", REPO), "has 2 models matching"),
        (("pull", f"{REPO}/other.gguf"), "has no file"),
        (("pull", f"{REPO}/../x.gguf"), "not allowed"),
        (("pull", "nobody/nothing:Q4"), "no model repository"),
        (("pull", "unheard-of"), "neither"),
        (("pull", "qwen3-coder-next:Q99"), "has no Q99"),
        (("rm", "nothing"), "No installed model"),
        (("verify", "nothing"), "No installed model"),
        (("export", "nothing", "/tmp"), "No installed model"),
        (("import", "/nonexistent.gguf"), "cannot be opened"),
        (("recommend", "--as", "abacus"), "no machine called"),
        (("rm",), "Say which model"),
    ],
)
def test_errors_are_one_sentence(
    home: Path,
    hub: HostileHub,
    capsys: pytest.CaptureFixture[str],
    argv: tuple[str, ...],
    words: str,
) -> None:
    code, _, err = run(capsys, *argv)
    assert code in (1, 2)
    assert err.startswith("garret: ")
    assert words in err
    assert err.count("\n") == 1


def test_recommendations_name_the_command_to_get_them(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "recommend", "--as", "mac-mini-m4-pro-64")
    assert code == 0
    assert "garret models pull qwen3-coder-next:UD-Q4_K_XL" in out
    assert "49.6 GB to download" in out
    _, out, _ = run(capsys, "recommend", "--as", "cpu-16", "--json")
    assert json.loads(out)["recommended"]["model"] == "qwen3.5-4b"


def test_the_table_shows_every_machine_with_its_arithmetic(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = run(capsys, "recommend", "--all")
    lines = [line for line in out.splitlines() if "fits:" in line]
    assert len(lines) == 24
    assert all(" + " in line and " = " in line and "tokens/s" in line for line in lines)


def test_search_labels_what_fits(
    home: Path, hub: HostileHub, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, "search", "model")
    assert code == 0
    assert f"{REPO}  7 downloads" in out
    assert out.count("fits") == 2


def test_folders_of_other_apps_are_listed_and_used(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "No model of another app" in run(capsys, "import")[1]
    folder = home / ".lmstudio" / "models"
    write_tiny(folder / "maker" / "tiny" / "lm.gguf")
    assert "LM Studio" in run(capsys, "import")[1]
    code, out, _ = run(capsys, "import", folder)
    assert code == 0
    assert "Using lm where it is" in out
    assert "its file stays with its app" in run(capsys, "rm", "lm")[1]
