from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.bootstrap import commands, exclusive
from scripts.bootstrap.console import SetupFailed
from scripts.bootstrap.engine_wheel import WheelCache, link_copies
from scripts.bootstrap.environment import Environment, pinned_version, without_package
from scripts.bootstrap.stamp import Stamp, key_of

ROOT = Path(__file__).resolve().parents[2]
LOCKS = [ROOT / "requirements.lock", *sorted((ROOT / "scripts" / "locks").glob("*.lock"))]
LOCK = """\
# head
jinja2==3.1.6 \\
    --hash=sha256:aa
llama-cpp-python==0.3.36 \\
    --hash=sha256:bb \\
    --hash=sha256:cc
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:dd
"""


def test_a_package_leaves_a_lock_with_all_its_hashes() -> None:
    rest = without_package(LOCK, "llama-cpp-python")
    assert "llama" not in rest
    assert "bb" not in rest
    assert "cc" not in rest
    assert rest.count("--hash") == 2


def test_the_pinned_version_is_read() -> None:
    assert pinned_version(LOCK, "llama-cpp-python") == "0.3.36"
    with pytest.raises(SetupFailed):
        pinned_version(LOCK, "llama")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_every_pin_has_hashes_and_no_lock_names_a_host(lock: Path) -> None:
    text = lock.read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=[a-z0-9])", "\n".join(re.findall(r"^[^#].*$", text, re.MULTILINE)))
    assert blocks
    for block in blocks:
        assert re.match(r"[a-z0-9-]+==\S+", block), block
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", block), block
    assert "://" not in text
    assert not re.search(r"^\s*-(?:i|f|-index|-find|-extra|-trusted)", text, re.MULTILINE)


def test_the_test_tools_do_not_move_the_apps_own_versions() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9-]+==[^\s\\]+[^\\\n]*", (ROOT / name).read_text(), re.M))

    assert pins("requirements.lock") <= pins("scripts/locks/test.lock")
    assert pins("requirements.lock") <= pins("scripts/locks/bundle.lock")


def test_every_dependency_of_the_project_is_locked() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = (ROOT / "requirements.lock").read_text()
    for requirement in project["dependencies"]:
        name = re.split(r"[\[<>=!~; ]", requirement)[0].lower().replace("_", "-")
        assert re.search(rf"^{re.escape(name)}==", locked, re.MULTILINE), name


def test_the_stamp_survives_damage_and_notices_changes(tmp_path: Path) -> None:
    file = tmp_path / "stamp.json"
    source = tmp_path / "lock"
    source.write_text("one")
    key = key_of([source], "1")
    Stamp(file).add("packages", key)
    assert Stamp(file).has("packages", key)
    source.write_text("two")
    assert not Stamp(file).has("packages", key_of([source], "1"))
    file.write_text("{ half")
    assert not Stamp(file).has("packages", key)
    file.write_text("[]")
    assert not Stamp(file).has("packages", key)


def test_a_tuned_wheel_is_only_used_on_its_own_processor(tmp_path: Path) -> None:
    cache = WheelCache(tmp_path / "wheels")
    built = tmp_path / "llama_cpp_python-1-py3-none-linux_x86_64.whl"
    built.write_bytes(b"wheel")
    cache.keep(built, "1", "cpu", "aaaa")
    found = cache.find("1", "cpu", "aaaa")
    assert found is not None
    assert found.read_bytes() == b"wheel"
    assert cache.find("1", "cpu", "bbbb") is None
    assert cache.find("2", "cpu", "aaaa") is None
    assert cache.find("1", "cuda", "aaaa") is None


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("OSError: [Errno 28] No space left on device", "full"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES", "locked"),
        ("Max retries exceeded with url", "cannot be reached"),
        ("error: something else", "something else"),
    ],
)
def test_failures_of_pip_become_a_sentence_and_a_remedy(
    tmp_path: Path, line: str, word: str
) -> None:
    failure = commands.explain(["Collecting x", line], "Installing", tmp_path / "log")
    assert word in failure.sentence
    assert failure.remedy
    assert "\n" not in failure.sentence


def test_everything_a_command_prints_is_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "setup.log"
    seen: list[str] = []
    code, tail = commands.run(
        ["/bin/sh", "-c", "echo out; echo err >&2; exit 3"], log, on_line=seen.append
    )
    assert (code, tail, seen) == (3, ["out", "err"], ["out", "err"])
    assert "out\nerr\n" in log.read_text()


def test_copies_of_a_library_become_one_file(tmp_path: Path) -> None:
    for name in ("libggml.so", "libggml.so.0", "libggml.so.0.25.3"):
        (tmp_path / name).write_bytes(b"ggml")
    for name in ("libggml-base.so", "libggml-base.so.0", "libggml-base.so.0.25.3"):
        (tmp_path / name).write_bytes(b"base")
    link_copies(tmp_path)
    link_copies(tmp_path)
    assert (tmp_path / "libggml.so").samefile(tmp_path / "libggml.so.0.25.3")
    assert (tmp_path / "libggml.so.0").samefile(tmp_path / "libggml.so.0.25.3")
    assert (tmp_path / "libggml-base.so").read_bytes() == b"base"
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.slow
def test_a_half_removed_environment_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    command = [sys.executable, "-I", "-m", "venv", str(environment.folder)]
    subprocess.run(command, check=True)
    assert environment.runs()
    (environment.folder / "pyvenv.cfg").unlink()
    assert not environment.runs()
    environment.make()
    assert environment.runs()


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is a POSIX matter")
def test_the_next_set_up_waits_for_what_a_killed_one_left_running(tmp_path: Path) -> None:
    lock, log = tmp_path / "lock", tmp_path / "log"
    code = (
        "import sys; from pathlib import Path;"
        "from scripts.bootstrap import commands, exclusive\n"
        f"with exclusive.only_one(Path({str(lock)!r})):\n"
        f"    commands.run(['/bin/sh', '-c', 'echo begun; sleep 2'], Path({str(log)!r}),"
        " on_line=lambda line: print(line, flush=True))"
    )
    first = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout is not None
    assert first.stdout.readline() == "begun\n"
    first.kill()
    first.wait()
    first.stdout.close()
    with lock.open("a+b") as file:
        assert not exclusive._try_lock(file)
    with exclusive.only_one(lock):
        pass
