"""The engine as a process: one line in, one line out, and it never outlives whoever started it."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest

from app.core.control import EngineBoot, EngineReady

ROOT = Path(__file__).resolve().parents[2]


def _start(env: dict[str, str] | None = None, **boot: object) -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-m", "app.engine"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, **(env or {})},
    )
    assert child.stdin is not None
    line = json.dumps(EngineBoot(token="secret", **boot).to_json())  # type: ignore[arg-type]
    child.stdin.write(line.encode() + b"\n")
    child.stdin.flush()
    return child


def _ready(child: subprocess.Popen[bytes]) -> EngineReady:
    assert child.stdout is not None
    return EngineReady.from_json(json.loads(child.stdout.readline()))


def _end(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.communicate()


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return condition()


def test_it_says_where_it_listens_and_ends_with_its_stdin() -> None:
    child = _start()
    try:
        ready = _ready(child)
        assert ready.pid == child.pid
        assert ready.host == "127.0.0.1"
        request = urllib.request.Request(
            f"http://127.0.0.1:{ready.port}/control/status",
            headers={"Authorization": "Bearer secret"},
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            assert json.load(response)["state"] == "idle"
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(20) == 0
    finally:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()
        assert child.stderr is not None
        child.stderr.close()


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_killing_the_parent_leaves_no_engine_behind() -> None:
    """The parent's pipe end is inherited by a third process, so only the signal can tell."""
    program = f"""
        import json, subprocess, sys, time
        child = subprocess.Popen([sys.executable, "-m", "app.engine"], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, cwd={str(ROOT)!r})
        child.stdin.write(b'{{"token": "x"}}\\n'); child.stdin.flush()
        child.stdout.readline()
        print(child.pid, flush=True)
        time.sleep(600)
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    engine = int(parent.stdout.readline())
    assert psutil.pid_exists(engine)
    _end(parent)

    def gone() -> bool:
        return not psutil.pid_exists(engine) or psutil.Process(engine).status() == "zombie"

    assert _within(5, gone)


def test_secrets_and_foreign_libraries_stay_outside(tmp_path: Path) -> None:
    planted = {
        "HF_TOKEN": "canary",
        "OPENAI_API_KEY": "canary",
        "LLAMA_CPP_LIB_PATH": str(tmp_path),
        "GGML_BACKEND_PATH": str(tmp_path / "libevil.so"),
        "GARRET_HOME": str(tmp_path),
    }
    program = (
        "import json, os; from app.engine.__main__ import prepare; prepare();"
        "print(json.dumps([dict(os.environ), os.getcwd()]))"
    )
    out = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **planted},
        capture_output=True,
        check=True,
    ).stdout
    environment, folder = json.loads(out)
    assert not set(planted) - {"GARRET_HOME"} & set(environment)
    assert "canary" not in environment.values()
    assert environment["GGML_NO_BACKTRACE"] == "1"
    assert folder == str(ROOT)


def test_a_planted_library_in_the_working_directory_is_not_loaded(tmp_path: Path) -> None:
    for name in ("libggml-cpu-evil.so", "libggml-cpu.so", "libllama.so"):
        (tmp_path / name).write_bytes(b"not a library, and nobody should look")
    program = (
        "import os; from app.engine.native import library; lib = library();"
        "print(lib.devices(), [l.split()[-1] for l in open('/proc/self/maps') if '.so' in l])"
    )
    if not Path("/proc/self/maps").exists():
        pytest.skip("no /proc to look into")
    out = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=True,
        text=True,
    ).stdout
    assert "CPU" in out
    assert str(tmp_path) not in out


def test_a_taken_port_is_one_sentence() -> None:
    first = _start()
    try:
        ready = _ready(first)
        second = _start(port=ready.port)
        out, err = second.communicate(timeout=30)
        assert out == b""
        assert second.returncode == 1
        assert f"Port {ready.port}" in err.decode()
        assert "Traceback" not in err.decode()
    finally:
        _end(first)


@pytest.mark.skipif(sys.platform == "win32", reason="no Unix sockets there")
def test_the_app_has_its_own_socket_beside_the_shared_port() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's are too long for a socket's path
        path = f"{folder}/own.sock"
        child = _start(socket=path, share=True)
        try:
            ready = _ready(child)
            assert (ready.socket, ready.problem) == (path, "")
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            own = httpx.HTTPTransport(uds=path)
            key = {"Authorization": "Bearer secret"}
            with httpx.Client(transport=own, base_url="http://localhost", headers=key) as http:
                assert http.get("/control/status").json()["state"] == "idle"
                assert http.get("/control/status", headers={"Host": "evil.com"}).status_code == 403
            with httpx.Client(base_url=f"http://127.0.0.1:{ready.port}", headers=key) as http:
                assert http.get("/control/status").status_code == 200
            third = _start(socket=f"{folder}/third.sock", share=True, port=ready.port)
            _, err = third.communicate(timeout=30)
            assert third.returncode == 1
            assert f"Port {ready.port}" in err.decode()
        finally:
            _end(child)


def test_a_file_system_without_sockets_gets_a_port(tmp_path: Path) -> None:
    child = _start(socket=str(tmp_path / "no such folder" / "own.sock"))
    try:
        ready = _ready(child)
        assert ready.socket == ""
        assert ready.port
    finally:
        _end(child)


def test_the_reason_of_a_native_abort_is_left_for_the_parent(tmp_path: Path) -> None:
    program = f"""
        import ctypes
        from pathlib import Path
        from app.engine.native import library
        library().set_crash_file(Path({str(tmp_path / "engine.crash")!r}))
        library()._base.ggml_abort(b"somewhere.c", 7, b"GGML_ASSERT(%s) failed", b"n > 0")
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        env={**os.environ, "GGML_NO_BACKTRACE": "1"},
        capture_output=True,
        check=False,
    )
    assert ended.returncode != 0
    assert "GGML_ASSERT(n > 0)" in (tmp_path / "engine.crash").read_text()
    assert b"llama.cpp aborted" in ended.stderr
