from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

import llama_cpp
import pytest

from app.client import process
from app.client.backends import (
    BUILT_IN,
    Backend,
    Backends,
    Verdict,
    installed_backends,
    key_of,
    probe_backend,
)
from app.client.supervisor import EngineSupervisor
from app.core.control import EngineBoot
from app.core.engine_view import EngineView

ROOT = Path(__file__).resolve().parents[2]
FAKE_ENGINE = [sys.executable, str(Path(__file__).with_name("fake_engine.py"))]


def bundle(root: Path, *names: str) -> list[Backend]:
    for name in names:
        folder = root / "backends" / name
        folder.mkdir(parents=True)
        (folder / "libllama.so").write_text(name)
    return installed_backends(root)


class Trial:
    """A probe whose outcomes are given by name; counts what was tried."""

    def __init__(self, *working: str) -> None:
        self.working = working
        self.tried: list[str] = []

    def __call__(self, backend: Backend) -> Verdict:
        self.tried.append(backend.name)
        return Verdict(backend.name, backend.name in self.working, "Tried.", key_of(backend))


def test_the_best_comes_first_and_the_built_in_one_last(tmp_path: Path) -> None:
    (tmp_path / "backends" / "empty").mkdir(parents=True)
    found = bundle(tmp_path, "vulkan", "other", "cuda12")
    assert [one.name for one in found] == ["cuda12", "vulkan", "other", BUILT_IN]


def test_one_backend_needs_no_trial(tmp_path: Path) -> None:
    trial = Trial()
    backends = Backends(bundle(tmp_path), tmp_path / "state.json", trial)
    assert backends.known() == backends.choose() == Backend(BUILT_IN)
    assert not trial.tried
    assert not (tmp_path / "state.json").exists()


def test_the_first_that_works_is_chosen_and_remembered(tmp_path: Path) -> None:
    installed, state = bundle(tmp_path, "cuda12", "vulkan"), tmp_path / "data" / "state.json"
    trial = Trial("vulkan")
    assert Backends(installed, state, trial).known() is None
    assert Backends(installed, state, trial).choose().name == "vulkan"
    assert trial.tried == ["cuda12", "vulkan"]
    again = Backends(installed, state, trial)
    known = again.known()
    assert known is not None
    assert known.name == again.choose().name == "vulkan"
    assert len(trial.tried) == 2
    assert [one.works for one in again.verdicts()] == [False, True]


def test_changed_files_are_tried_again(tmp_path: Path) -> None:
    installed, state = bundle(tmp_path, "vulkan"), tmp_path / "state.json"
    assert Backends(installed, state, Trial()).choose().name == BUILT_IN
    (tmp_path / "backends" / "vulkan" / "libllama.so").write_text("a newer one")
    assert Backends(installed, state, Trial("vulkan")).choose().name == "vulkan"


def test_forgetting_tries_everything_again(tmp_path: Path) -> None:
    installed, state = bundle(tmp_path, "vulkan"), tmp_path / "state.json"
    backends = Backends(installed, state, trial := Trial())
    backends.choose()
    backends.forget()
    backends.choose()
    assert trial.tried == ["vulkan", "vulkan"]


@pytest.mark.parametrize("text", ["", "[", "{}", '[{"name": 1}]', "null", '["x"]'])
def test_a_damaged_memory_is_an_empty_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    backends = Backends(bundle(tmp_path, "vulkan"), tmp_path / "state.json", Trial("vulkan"))
    assert backends.choose().name == "vulkan"


GPU = '{"devices": [{"name": "V0", "kind": "igpu", "description": "Some GPU"}]}'
CPU = '{"devices": [{"name": "CPU", "kind": "cpu", "description": "Some CPU"}]}'


@pytest.mark.parametrize(
    ("program", "works", "words"),
    [
        (f"print('''{GPU}''')", True, "Some GPU"),
        (f"print('''{CPU}''')", False, "no graphics processor"),
        ("import os; os.abort()", False, "crashed (signal 6)"),
        ("raise SystemExit(3)", False, "exit status 3"),
        ("print('hello')", False, "could not be tried"),
        ("print('[]')", False, "could not be tried"),
        ("import time; time.sleep(60)", False, "no answer within"),
    ],
)
def test_a_trial_survives_whatever_the_backend_does(
    tmp_path: Path, program: str, works: bool, words: str
) -> None:
    (backend, _built_in) = bundle(tmp_path, "vulkan")
    limit_s = 0.3 if "sleep" in program else 30.0
    verdict = probe_backend(backend, [sys.executable, "-c", program], limit_s)
    assert (verdict.works, words in verdict.sentence) == (works, True), verdict


def test_an_engine_that_does_not_start_is_passed_over_visibly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(libraries: Path | None = None) -> list[str]:
        return FAKE_ENGINE if libraries is None else [sys.executable, "-c", "raise SystemExit(1)"]

    monkeypatch.setattr(process, "engine_command", command)
    trial = Trial("vulkan")
    backends = Backends(bundle(tmp_path, "vulkan"), tmp_path / "state.json", trial)
    views: list[EngineView] = []

    async def scene() -> None:
        supervisor = EngineSupervisor(
            EngineBoot(token=""), tmp_path / "log", on_change=views.append, backends=backends
        )
        try:
            await supervisor.start()
            assert supervisor.view.phase == "idle"
        finally:
            await supervisor.stop()

    asyncio.run(scene())
    assert any("vulkan engine did not start" in view.notice for view in views)
    assert trial.tried == ["vulkan"]
    known = backends.known()
    assert known is not None
    assert known.name == BUILT_IN


_LOADED = """
import sys
from pathlib import Path
from app.engine.libraries import use_libraries
folder = Path(sys.argv[1])
use_libraries(folder, (folder.parent,))
from app.engine.native import library
assert library().devices()
maps = Path("/proc/self/maps").read_text().splitlines()
print("\\n".join({line.split()[-1] for line in maps if "libggml" in line or "libllama" in line}))
"""


def run_python(code: str, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "LLAMA_CPP_LIB_PATH": "/nonexistent"}
    command = [sys.executable, "-P", "-c", code, *arguments]
    return subprocess.run(command, env=env, cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_engine_takes_every_library_from_the_backends_folder(tmp_path: Path) -> None:
    folder = tmp_path / "backends" / "copy"
    libraries = Path(llama_cpp.__file__).parent / "lib"
    shutil.copytree(libraries, folder, symlinks=True, ignore=shutil.ignore_patterns("*mtmd*"))
    answer = run_python(_LOADED, str(folder), cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr[-2000:]
    loaded = answer.stdout.split()
    assert len(loaded) >= 4
    assert all(name.startswith(str(folder)) for name in loaded), loaded


def test_libraries_from_elsewhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "libggml.so").write_text("planted")
    code = "import sys; from app.engine.probe import main; sys.exit(main(sys.argv[1:]))"
    answer = run_python(code, "--libraries", str(tmp_path), cwd=tmp_path)
    assert answer.returncode != 0
    assert "not a part of Garret" in answer.stderr


@pytest.mark.parametrize("returncode", [-4, 0xC000001D])
def test_a_processor_too_old_for_the_engine_is_named(returncode: int) -> None:
    error = process.death_error(returncode, "")
    assert "instructions" in error.sentence
    assert error.remedy
