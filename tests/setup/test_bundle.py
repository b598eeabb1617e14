"""The traps that exist only in a frozen program, tried on the real bundle.

`packaging/build.py` makes it; GARRET_BUNDLE names another one (an installed .deb).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest
from linux_packages import elf_files, run_paths

from tests.scripted_openai import Reply, ScriptedOpenAIServer

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("GARRET_BUNDLE") or ROOT / "dist" / "garret")
PROGRAM = FOLDER / "garret"

pytestmark = pytest.mark.skipif(
    not PROGRAM.exists(), reason=f"no bundle in {FOLDER}; packaging/build.py makes one"
)


def run(
    home: Path,
    *arguments: str,
    extra: dict[str, str] | None = None,
    limit_s: float = 120.0,
    before: tuple[str, ...] = (),
) -> subprocess.CompletedProcess[str]:
    env = {"HOME": str(home), "PATH": "/usr/bin:/bin", "QT_QPA_PLATFORM": "offscreen"}
    return subprocess.run(
        [*before, str(PROGRAM), *arguments],
        env={**env, **(extra or {})},
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=limit_s,
    )


def test_the_program_is_not_a_python_interpreter(tmp_path: Path) -> None:
    answer = run(tmp_path, "-c", "print(6 * 7)", extra={"QT_QPA_PLATFORM": "nonsense"})
    assert "42" not in answer.stdout


def test_the_hidden_helpers_answer(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but not really")
    answer = run(tmp_path, "_check_header", str(broken))
    assert "Traceback" not in answer.stderr
    assert answer.stdout or answer.returncode != 0


def test_commands_of_the_agent_see_the_users_environment(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    replies = [
        Reply(calls=[("run_shell_command", {"command": "env > seen.txt"})]),
        Reply(text="Done."),
    ]
    secrets = {
        "OPENAI_API_KEY": "canary-key",
        "HF_TOKEN": "canary-token",
        "LD_LIBRARY_PATH": "/opt/users/own",
    }
    with ScriptedOpenAIServer(replies, repeat_last=True) as server:
        answer = run(
            tmp_path, "agent", "--workspace", str(workspace), "--base-url", server.base_url,
            "--mode", "auto", "--json", "Look around.", extra=secrets,
        )  # fmt: skip
    assert answer.returncode == 0, answer.stdout[-2000:] + answer.stderr[-2000:]
    seen = (workspace / "seen.txt").read_text()
    assert "PATH=" in seen
    assert "_internal" not in seen
    assert "_PYI" not in seen
    assert "_MEI" not in seen
    assert "canary" not in seen


def test_closed_output_is_no_crash(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    line = f'"{PROGRAM}" --version >&- 2>&- <&-'
    ended = subprocess.run(["/bin/sh", "-c", line], env=env, cwd=tmp_path, timeout=60)
    assert ended.returncode in (0, 1)


def test_a_library_planted_in_the_working_directory_is_not_loaded(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler to make the planted library with")
    marker = tmp_path / "loaded"
    source = tmp_path / "evil.c"
    source.write_text(
        "#include <stdio.h>\n__attribute__((constructor)) static void start(void)"
        f'{{ FILE *f = fopen("{marker}", "w"); if (f) fclose(f); }}\n'
    )
    for name in ("libggml-cpu-evil.so", "libggml-cpu.so", "libggml-base.so.0", "libllama.so"):
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-o", str(tmp_path / name), str(source)], check=True
        )
    run(tmp_path, "doctor", "--json")
    assert not marker.exists()


def test_no_file_searches_a_folder_of_the_build_machine() -> None:
    wrong = {
        f"{path.relative_to(FOLDER)}: {folder}"
        for path in elf_files(FOLDER)
        for folder in run_paths(path)
        if not folder.startswith("$ORIGIN")
    }
    assert not wrong


def test_the_engine_has_one_copy_of_each_library() -> None:
    libraries = FOLDER / "_internal" / "llama_cpp" / "lib"
    real = [path for path in libraries.iterdir() if not path.is_symlink()]
    assert {path.name for path in real} == {
        "libllama.so", "libggml.so.0", "libggml-base.so.0", "libggml-cpu.so.0",
    }  # fmt: skip
    assert (libraries / "libggml-base.so").samefile(libraries / "libggml-base.so.0")


def test_the_engine_uses_the_bundles_libraries_not_the_systems(tmp_path: Path) -> None:
    models = sorted((FOLDER / "_internal" / "resources").glob("models/*.gguf"))
    if not models:
        pytest.skip("this bundle was made without the starter model")
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = [str(PROGRAM), "serve", "--port", "0", "--ctx", "512", "--model", str(models[0])]
    with subprocess.Popen(command, env=env, cwd=tmp_path, stdout=subprocess.PIPE) as serving:
        try:
            assert serving.stdout is not None
            assert b"http://" in serving.stdout.readline()
            ours = {path.name for path in (FOLDER / "_internal").rglob("*.so*")}
            engines = psutil.Process(serving.pid).children(recursive=True)
            mapped = {
                Path(row.path) for one in engines for row in one.memory_maps() if ".so" in row.path
            }
        finally:
            serving.terminate()
    assert any(path.name.startswith("libssl") for path in mapped)
    real = FOLDER.resolve()
    assert {path for path in mapped if path.name in ours and real not in path.parents} == set()


@pytest.mark.parametrize("network", ["as it is", "not even a loopback interface"])
def test_the_whole_way_works(tmp_path: Path, network: str) -> None:
    alone = ("unshare", "--user", "--map-root-user", "--net")
    before = () if network == "as it is" else alone
    if before and (
        shutil.which("unshare") is None or subprocess.run([*alone, "true"]).returncode != 0
    ):
        pytest.skip("this system lets nobody make a network namespace")
    if not list((FOLDER / "_internal" / "resources").glob("models/*.gguf")):
        pytest.skip("this bundle was made without the starter model")
    answer = run(tmp_path, "--self-test", limit_s=300, before=before)
    assert answer.returncode == 0, answer.stdout + answer.stderr
