"""The engine process can change nothing but its own folders, and connects to nobody."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from app.core.control import EngineBoot
from app.core.landlock import landlock_abi
from app.engine.containment import _DRIVER_CACHES, HELD, contain

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
    import json, os, socket, subprocess, sys, threading
    from pathlib import Path
    from app.core.control import EngineBoot
    from app.engine.containment import contain
    cache, log, outside, port = json.loads(sys.argv[1])
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    out = {"sentence": contain(EngineBoot(token="", prefix_cache_dir=cache, log_path=log))}
    def attempt(name, action):
        try:
            action(); out[name] = "done"
        except PermissionError:
            out[name] = "refused"
        except Exception as error:
            out[name] = repr(error)
    place = Path(outside)
    attempt("cache", lambda: Path(cache, "x.state").write_text("x"))
    attempt("rename", lambda: Path(cache, "x.state").replace(Path(cache, "scratch", "y")))
    attempt("log", lambda: Path(log).with_suffix(".crash").write_text("x"))
    attempt("temporary", lambda: __import__("tempfile").TemporaryFile().write(b"x"))
    attempt("null", lambda: open("/dev/null", "w").write("x"))
    attempt("read", lambda: (place / "kept").read_text())
    attempt("create", lambda: (place / "new").write_text("x"))
    attempt("change", lambda: (place / "kept").write_text("x"))
    attempt("remove", lambda: (place / "kept").unlink())
    attempt("folder", lambda: (place / "sub").mkdir())
    attempt("link", lambda: (place / "l").symlink_to("kept"))
    attempt("take away", lambda: (place / "kept").rename(Path(cache, "kept")))
    attempt("connect", lambda: socket.create_connection(("127.0.0.1", port), 2))
    attempt("child", lambda: subprocess.run(["touch", str(place / "c")], check=True,
                                            capture_output=True))
    def in_thread():
        attempt("thread", lambda: (place / "t").write_text("x"))
    worker = threading.Thread(target=in_thread); worker.start(); worker.join()
    print(json.dumps(out))
"""


def _tried(tmp_path: Path, port: int) -> dict[str, Any]:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("precious")
    (tmp_path / "logs").mkdir()
    for folder in (tmp_path, outside, tmp_path / "logs"):
        folder.chmod(0o777)
    facts = [str(tmp_path / "cache"), str(tmp_path / "logs" / "engine.log"), str(outside)]
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), json.dumps([*facts, port])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (outside / "kept").read_text() == "precious"
    assert sorted(path.name for path in outside.iterdir()) == ["kept"]
    result: dict[str, Any] = json.loads(ended.stdout)
    return result


@pytest.mark.skipif(landlock_abi() == 0, reason="this kernel offers no Landlock")
def test_only_its_own_folders_can_be_written(tmp_path: Path) -> None:
    tried = _tried(tmp_path, 9)
    assert tried["sentence"].startswith(HELD)
    allowed = ("cache", "rename", "log", "temporary", "null", "read")
    assert {name: tried[name] for name in allowed} == dict.fromkeys(allowed, "done")
    refused = ("create", "change", "remove", "folder", "link", "take away", "thread")
    assert {name: tried[name] for name in refused} == dict.fromkeys(refused, "refused")
    assert "CalledProcessError" in tried["child"]
    if landlock_abi() >= 4:
        assert tried["connect"] == "refused"


def test_a_system_without_landlock_is_told_and_runs_on(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("app.core.landlock.landlock_abi", lambda: 0)
    for name in ("TMPDIR", *_DRIVER_CACHES):
        monkeypatch.setenv(name, str(tmp_path))
    sentence = contain(EngineBoot(token="", prefix_cache_dir=str(tmp_path / "cache")))
    assert sentence.startswith("Not contained")
    (tmp_path / "still-writable").write_text("x")


def test_a_driver_that_needs_its_helper_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux contains the engine")
    (tmp_path / "nvidiactl").touch()
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert "memory module" in contain(EngineBoot(token=""), tmp_path)
