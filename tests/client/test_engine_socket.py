from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.client.engine_socket import new_socket_path, remove_stale
from app.client.openai_chat import OpenAIChatEngine
from app.client.process import EngineProcess
from app.client.supervisor import EngineSupervisor
from app.core.control import EngineBoot
from app.core.errors import EngineUnreachable

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows uses a loopback port")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A short folder of our own: pytest's are too long for a socket's path."""
    with tempfile.TemporaryDirectory(prefix="g") as folder:
        temporary = Path(folder, "tmp")
        temporary.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(temporary))
        yield Path(folder)


def test_the_folder_is_the_users_runtime_folder_and_nobody_elses(runtime: Path) -> None:
    path = Path(new_socket_path({"XDG_RUNTIME_DIR": str(runtime)}))
    assert path.parent == runtime / "garret"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not path.exists()
    assert new_socket_path({"XDG_RUNTIME_DIR": str(runtime)}) != str(path)


@pytest.mark.parametrize("named", ["", "relative", "/nonexistent/folder"])
def test_without_a_runtime_folder_it_is_a_private_one_for_temporary_files(
    runtime: Path, named: str
) -> None:
    path = Path(new_socket_path({"XDG_RUNTIME_DIR": named}))
    assert path.parent == runtime / "tmp" / f"garret-{os.getuid()}"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_runtime_folder_open_to_others_is_not_used(runtime: Path) -> None:
    runtime.chmod(0o755)
    path = Path(new_socket_path({"XDG_RUNTIME_DIR": str(runtime)}))
    assert path.parent.parent == runtime / "tmp"


@pytest.mark.parametrize("squatter", ["link", "open", "file"])
def test_a_folder_that_somebody_else_prepared_is_not_used(runtime: Path, squatter: str) -> None:
    place = runtime / "tmp" / f"garret-{os.getuid()}"
    if squatter == "link":
        (runtime / "theirs").mkdir(mode=0o700)
        place.symlink_to(runtime / "theirs")
    elif squatter == "open":
        place.mkdir()
        place.chmod(0o777)
    else:
        place.write_text("")
    assert new_socket_path({}) == ""


def test_a_path_too_long_for_a_socket_is_not_used(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = runtime / ("x" * 100)
    deep.mkdir(mode=0o700)
    path = Path(new_socket_path({"XDG_RUNTIME_DIR": str(deep)}))
    assert path.parent.parent == runtime / "tmp"
    monkeypatch.setattr(tempfile, "tempdir", str(deep))
    assert new_socket_path({}) == ""


def test_what_killed_programs_left_is_removed_and_nothing_else(runtime: Path) -> None:
    def bound(name: str) -> socket.socket:
        one = socket.socket(socket.AF_UNIX)
        one.bind(str(runtime / f"{name}.sock"))
        return one

    bound("dead").close()
    bound("fresh").close()  # as one that is bound and about to listen
    with bound("live") as live:
        live.listen()
        for name in ("live", "dead"):
            os.utime(runtime / f"{name}.sock", (0, 0))
        remove_stale(runtime)
    assert {path.stem for path in runtime.glob("*.sock")} == {"live", "fresh"}


def test_the_app_reaches_its_engine_without_any_open_port(runtime: Path) -> None:
    async def body() -> None:
        supervisor = EngineSupervisor(EngineBoot(token=""), runtime / "engine.log")
        try:
            await supervisor.start()
            assert (await supervisor.status()).state == "idle"
            assert supervisor.view.base_url is None
            assert supervisor.view.pid is not None
            engine = psutil.Process(supervisor.view.pid)
            assert engine.net_connections(kind="inet") == []
            (path,) = (runtime / "tmp").rglob("*.sock")
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        finally:
            await supervisor.stop()

    asyncio.run(body())
    assert not list((runtime / "tmp").iterdir())


def test_a_port_in_use_takes_the_endpoint_but_not_the_window(runtime: Path) -> None:
    async def body(port: int) -> None:
        boot = EngineBoot(token="", port=port, share=True, port_may_fail=True)
        supervisor = EngineSupervisor(boot, runtime / "engine.log")
        try:
            await supervisor.start()
            assert (await supervisor.status()).state == "idle"
            assert supervisor.view.base_url is None
            assert str(port) in supervisor.view.notice
            assert "Choose another port" in supervisor.view.notice
        finally:
            await supervisor.stop()

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        asyncio.run(body(other.getsockname()[1]))


def test_where_no_folder_is_fit_a_loopback_port_does_it(runtime: Path) -> None:
    (runtime / "tmp" / f"garret-{os.getuid()}").write_text("in the way")

    async def body() -> None:
        supervisor = EngineSupervisor(EngineBoot(token=""), runtime / "engine.log")
        try:
            await supervisor.start()
            assert (await supervisor.status()).state == "idle"
            assert (supervisor.view.base_url or "").startswith("http://127.0.0.1:")
        finally:
            await supervisor.stop()

    asyncio.run(body())


def test_a_socket_that_is_gone_is_said_without_an_address(runtime: Path) -> None:
    async def body() -> None:
        gone = str(runtime / "gone.sock")
        engine = OpenAIChatEngine("http://localhost", "t", own=True, socket=gone)
        with pytest.raises(EngineUnreachable) as told:
            await engine.models()
        await engine.close()
        assert told.value.sentence == "The engine does not answer."

    asyncio.run(body())


def test_a_killed_engine_leaves_no_socket(runtime: Path) -> None:
    program = (
        "import json, socket, sys, time; boot = json.loads(sys.stdin.readline());"
        "socket.socket(socket.AF_UNIX).bind(boot['socket']);"
        "ready = {'host': '', 'port': 0, 'pid': 1, 'socket': boot['socket']};"
        "print(json.dumps(ready), flush=True);"
        "time.sleep(600)"
    )

    async def body() -> None:
        command = [sys.executable, "-c", program]
        boot = EngineBoot(token="t")
        engine = await EngineProcess.start(boot, runtime / "engine.log", command=command)
        assert os.path.exists(engine.ready.socket)  # noqa: ASYNC240
        psutil.Process(engine.pid).kill()
        await engine.wait()
        assert not os.path.exists(engine.ready.socket)  # noqa: ASYNC240

    asyncio.run(body())


_NO_LOOPBACK = """
import asyncio, json, sys
from pathlib import Path
from app.client.supervisor import EngineSupervisor
from app.core.control import EngineBoot

async def body():
    supervisor = EngineSupervisor(EngineBoot(token=""), Path(sys.argv[1]))
    try:
        await supervisor.start()
        status = await supervisor.status()
    finally:
        await supervisor.stop()
    names = [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line]
    up = [line for line in open("/proc/net/route")][1:]
    print(json.dumps([status.state, names, up]))

asyncio.run(body())
"""


def test_it_works_where_even_the_loopback_interface_is_down(runtime: Path) -> None:
    unshare = shutil.which("unshare")
    alone = [unshare or "", "--user", "--map-root-user", "--net"]
    if unshare is None or subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("this system lets nobody make a network namespace")
    answer = subprocess.run(
        [*alone, sys.executable, "-P", "-c", _NO_LOOPBACK, str(runtime / "engine.log")],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(runtime / "tmp"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert answer.returncode == 0, answer.stderr
    state, names, routes = json.loads(answer.stdout)
    assert (state, names, routes) == ("idle", ["lo"], [])
