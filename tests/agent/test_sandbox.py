from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.agent import seatbelt
from app.agent.child_env import child_env, search_path
from app.agent.redact import redact, values_in
from app.agent.sandbox import Sandbox, launcher_argv, readable
from app.agent.sandbox_kernel import landlock_abi, missing_at
from app.agent.sentinel import Sentinel
from app.agent.shell import Limits, Result, clean, run, start
from app.agent.undo.log import UndoStore
from app.agent.workspace import Workspace
from tests.agent.hands_kit import no_sandbox, proven_sandbox

linux = pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
PYTHON = os.path.dirname(os.path.realpath(sys.executable))


@pytest.fixture
def needs_sandbox() -> None:
    if not proven_sandbox().status.proven:
        pytest.skip(proven_sandbox().status.sentence)


class Place:
    """A folder for commands and something outside it."""

    def __init__(self, tmp_path: Path) -> None:
        self.base = tmp_path.resolve()
        self.root, self.out, self.scratch = (self.base / n for n in ("work", "out", "tmp"))
        for folder in (self.root, self.out, self.scratch):
            folder.mkdir()
        (self.out / "file").write_text("outside")

    def run(
        self,
        command: str,
        sandbox: Sandbox | None = None,
        limits: Limits | None = None,
        network: bool = False,
    ) -> Result:
        async def whole() -> Result:
            chosen = sandbox or proven_sandbox()
            env = {"PATH": f"{PYTHON}:/usr/bin:/bin", "OUT": str(self.out), "HOME": str(self.base)}
            argv = ("/bin/bash", "-c", command)
            wanted = limits or Limits(wall_s=30)
            running = await start(
                chosen, argv, self.root, self.scratch, env, wanted,
                network=network, sandboxed=chosen.status.proven,
            )  # fmt: skip

            async def never(_elapsed_s: float) -> bool:
                return False

            spill = self.base / "spill.txt"
            return await run(running, wanted, asyncio.Event(), lambda _text: None, spill, never)

        return asyncio.run(whole())

    def python(self, code: str, **more: object) -> Result:
        (self.root / "script.py").write_text(f"import os\nOUT = os.environ['OUT']\n{code}\n")
        return self.run("python3 script.py", **more)  # type: ignore[arg-type]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@linux
@pytest.mark.usefixtures("needs_sandbox")
@pytest.mark.parametrize(
    "command",
    [
        "echo x > a && mv a b && rm b && mkdir -p c/d && rmdir c/d",
        "echo x > $OUT/../tmp/t",
        "echo x > /dev/null",
        "touch a && chmod 755 a && touch -d 2001-01-01 a && ls -l a | grep -q rwxr-xr-x",
        "touch a && cp -p a b && tar cf t.tar a b && mkdir t && tar xf t.tar -C t",
        "touch a; test $(stat -c %Y a) -gt 1000000000",
        "git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x",
        "python3 -c 'import multiprocessing as m; m.Lock(); print(m.Pool(2).map(abs, [-1]))'",
        "python3 -c 'import socket; a, b = socket.socketpair(); a.send(b\"x\"); b.recv(1)'",
        "python3 -c 'import asyncio; asyncio.run(asyncio.sleep(0))'",
        "mkdir a b && echo x > a/f && mv a/f b/f && ln b/f b/g",
        "ls /usr/bin > /dev/null && cat /etc/passwd > /dev/null",
    ],
)
def test_ordinary_work_works(place: Place, command: str) -> None:
    result = place.run(command)
    assert result.exit_code == 0, result.text


@linux
@pytest.mark.usefixtures("needs_sandbox")
@pytest.mark.parametrize(
    "code",
    [
        "open(OUT + '/new', 'w')",
        "open(OUT + '/file')",
        "os.unlink(OUT + '/file')",
        "os.truncate(OUT + '/file', 0)",
        "os.chmod(OUT + '/file', 0o777)",
        "os.chown(OUT + '/file', 1, 1)",
        "os.utime(OUT + '/file')",
        "os.setxattr(OUT + '/file', 'user.a', b'b')",
        "os.chmod(os.open(OUT, os.O_PATH), 0o777)",
        "os.symlink(OUT + '/file', 'l'); os.chmod('l', 0)",
        "os.symlink(OUT + '/file', 'l'); open('l', 'w')",
        "os.chdir('..'); os.chmod('out/file', 0)",
        "os.chmod('/proc/self/cwd/../out/file', 0)",
        "os.link(OUT + '/file', 'h')",
        "os.rename('script.py', OUT + '/script.py')",
        "os.mkdir(OUT + '/d')",
        "os.mknod('dev', 0o600 | 0o020000, os.makedev(1, 3))",
        "os.kill(os.getppid(), 9)",
        "os.kill(1, 0)",
        "import socket; socket.socket()",
        "import socket; socket.socket(socket.AF_NETLINK)",
        "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)",
        "import socket; socket.socket(socket.AF_UNIX).connect('/run/x')",
        "import ctypes; l = ctypes.CDLL(None, use_errno=True);"
        "r = l.syscall(425, 8, ctypes.create_string_buffer(120));"
        "raise SystemExit(9 if r < 0 and ctypes.get_errno() == 1 else 0)",
        "import ctypes; raise SystemExit(9 if ctypes.CDLL(None).ptrace(0, 0, 0, 0) < 0 else 0)",
        "import ctypes; raise SystemExit(9 if ctypes.CDLL(None).unshare(0x10000000) < 0 else 0)",
        "open('/dev/sda')",
        "open('/proc/%d/environ' % os.getppid()).read()",
        "open('/etc/shadow')",
    ],
)
def test_nothing_reaches_outside(place: Place, code: str) -> None:
    before = (place.out / "file").stat()
    result = place.python(code)
    after = (place.out / "file").stat()
    assert result.exit_code not in (0, None), result.text
    assert (place.out / "file").read_text() == "outside"
    assert (before.st_mode, before.st_mtime_ns, before.st_uid, before.st_nlink) == (
        after.st_mode, after.st_mtime_ns, after.st_uid, after.st_nlink,
    )  # fmt: skip
    assert sorted(path.name for path in place.out.iterdir()) == ["file"]


@linux
@pytest.mark.usefixtures("needs_sandbox")
def test_known_gap_a_hard_link_is_written_through(place: Place) -> None:
    """Landlock knows paths, not inodes: such files are named and asked before a command runs. A
    kernel that closes this gap is to be noticed here."""
    os.link(place.out / "file", place.root / "hard")
    assert place.run("echo x >> hard").exit_code == 0
    assert (place.out / "file").read_text() == "outsidex\n"


@linux
@pytest.mark.usefixtures("needs_sandbox")
def test_an_allowed_network_opens_sockets_only(place: Place) -> None:
    assert place.python("import socket; socket.socket()", network=True).exit_code == 0
    assert place.python("open(OUT + '/new', 'w')", network=True).exit_code != 0


@linux
@pytest.mark.parametrize("abi", [1, 2, 3, 4, 5, 6])
def test_older_kernels_get_what_they_have(place: Place, abi: int) -> None:
    if landlock_abi() < abi:
        pytest.skip(f"this kernel has Landlock ABI {landlock_abi()}")
    sandbox = Sandbox(max_abi=abi)
    status = sandbox.probe()
    assert status.proven, status.sentence
    assert status.abi == abi
    assert ("commands can end other programs of yours" in status.missing) == (abi < 6)
    assert place.run("echo x > $OUT/new", sandbox).exit_code != 0
    assert place.python("os.truncate(OUT + '/file', 0)", sandbox=sandbox).exit_code != 0
    assert place.run("echo x > a; chmod 600 a", sandbox).exit_code == 0


def test_what_is_missing_is_said() -> None:
    assert missing_at(7, True) == []
    assert len(missing_at(1, False)) == 3


def test_without_a_sandbox_nothing_is_proven() -> None:
    assert not no_sandbox().status.proven
    assert not Sandbox("win32").probe().proven
    assert not Sandbox().status.proven  # not before the probe
    assert not Sandbox(max_abi=0).probe().proven


@linux
def test_a_probe_that_fails_frees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A launcher that runs the command without putting anything up is found out."""
    fake = ("/bin/sh", "-c", 'shift 2; exec "$@"', "fake")
    monkeypatch.setattr("app.agent.sandbox.launcher_argv", lambda: fake)
    status = Sandbox().probe()
    assert not status.proven
    assert "12" in status.sentence or "13" in status.sentence


@linux
@pytest.mark.parametrize("kind", ["sandbox", "none"])
def test_limits_end_a_command(place: Place, kind: str) -> None:
    sandbox = proven_sandbox() if kind == "sandbox" else no_sandbox()
    many = place.run(
        "for i in $(seq 60); do sleep 50 & done; wait", sandbox, Limits(wall_s=30, processes=20)
    )
    assert many.ended_by == "processes"
    greedy = place.python(
        "x = bytearray(300_000_000)\nimport time; time.sleep(20)",
        sandbox=sandbox,
        limits=Limits(wall_s=30, memory_bytes=150_000_000),
    )
    assert greedy.ended_by == "memory"
    big = place.run(
        "head -c 3000000 /dev/zero > big", sandbox, Limits(wall_s=30, file_bytes=1_000_000)
    )
    assert big.exit_code != 0
    assert (place.root / "big").stat().st_size <= 1_000_000


@linux
@pytest.mark.parametrize("kind", ["sandbox", "none"])
def test_what_a_command_leaves_behind_is_ended(place: Place, kind: str) -> None:
    sandbox = proven_sandbox() if kind == "sandbox" else no_sandbox()
    result = place.run("setsid sleep 4321 & (sleep 4322 &); disown -a; echo done", sandbox)
    assert result.text == "done\n"
    left = [
        process
        for process in psutil.process_iter(["cmdline"])
        if {"4321", "4322"} & set(process.info["cmdline"] or ())
    ]
    assert left == []


@linux
def test_commands_end_when_the_app_is_killed(place: Place) -> None:
    """The keeper's control pipe closes with the app, however it dies."""
    code = (
        "import asyncio, os, sys\nfrom pathlib import Path\n"
        "from app.agent.sandbox import Sandbox\nfrom app.agent.shell import Limits, start\n"
        "async def main():\n"
        "    s = Sandbox(); s.probe()\n"
        "    p = Path(sys.argv[1])\n"
        "    await start(s, ('/bin/sh', '-c', 'sleep 5432'), p, p, {'PATH': '/usr/bin:/bin'},"
        " Limits(), network=False, sandboxed=s.status.proven)\n"
        "    await asyncio.sleep(1)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    top = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code, str(place.root)], cwd=top, check=False, timeout=60
    )
    assert done.returncode == -9
    for _ in range(50):
        left = [p for p in psutil.process_iter(["cmdline"]) if "5432" in (p.info["cmdline"] or ())]
        if not left:
            return
        psutil.wait_procs(left, timeout=0.2)
    pytest.fail("the command outlived the app")


@linux
@pytest.mark.parametrize(
    "arguments", [[], ["{"], ["{}", "x"], ["[]", "--", "ls"], ["3", "--", "x"]]
)
def test_the_launcher_refuses_what_it_does_not_understand(arguments: list[str]) -> None:
    done = subprocess.run([*launcher_argv(), *arguments], capture_output=True, check=False)
    assert done.returncode == 125
    assert b"Traceback" not in done.stderr


@linux
def test_the_launcher_imports_nothing_but_the_standard_library() -> None:
    code = (
        "import sys, json; import app.agent.sandbox_launcher; print(json.dumps(sorted("
        "m for m in sys.modules if m.split('.')[0] not in sys.stdlib_module_names)))"
    )
    top = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=top, capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stdout)) == {
        "__main__", "app", "app.agent", "app.agent.sandbox_keeper", "app.agent.sandbox_kernel",
        "app.agent.sandbox_launcher",
    }  # fmt: skip


def test_the_home_folder_is_not_readable_but_toolchains_are(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / ".venv/bin").mkdir(parents=True)
    (home / ".venv/pyvenv.cfg").write_text("home = /opt/python/bin\n")
    env = {"HOME": str(home), "PATH": f"{home}/.venv/bin:{home}:relative:/usr/bin"}
    found = readable(env, home / "project")
    assert str(home) not in found
    assert str(home / ".venv") in found
    assert str(home / ".cargo/bin") in found
    assert not any(path.endswith((".ssh", ".aws", "shadow")) for path in found)


# The environment


def test_path_loses_relative_and_planted_places(tmp_path: Path) -> None:
    root = tmp_path / "work"
    (root / "bin").mkdir(parents=True)
    link = tmp_path / "link"
    link.symlink_to(root / "bin")
    path = f".:{root}:{root}/bin:{link}::bin:/usr/bin:/bin:/usr/bin"
    assert search_path({"PATH": path}, root) == "/usr/bin:/bin"


def test_the_child_environment_is_an_allow_list(tmp_path: Path) -> None:
    names = (
        "HF_TOKEN OPENAI_API_KEY SSH_AUTH_SOCK DOCKER_HOST LD_PRELOAD LD_LIBRARY_PATH PYTHONPATH "
        "BASH_ENV ENV DBUS_SESSION_BUS_ADDRESS QT_PLUGIN_PATH _PYI_X GARRET_API_KEY PROMPT_COMMAND "
        "GIT_SSH_COMMAND"
    )
    secrets = dict.fromkeys(names.split(), "secret")
    kept = {"HOME": "/h", "LANG": "C", "LC_ALL": "C", "PATH": "/usr/bin"}
    env = child_env({**secrets, **kept}, tmp_path / "w", tmp_path / "s", "linux")
    assert "secret" not in env.values()
    assert not set(secrets) & set(env)
    assert env["HOME"] == "/h"
    assert env["PAGER"] == "cat"
    assert env["CI"] == "1"
    assert env["TMPDIR"] == str(tmp_path / "s")


def test_secrets_are_taken_out_of_output() -> None:
    token = "hf_" + "a" * 34
    key = "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----"
    text = redact(f"x {token} y\n{key}\nz and hunter22", values_in("PASSWORD='hunter22'\nA=1\n"))
    assert text == "x [secret removed] y\n[secret removed]\nz and [secret removed]"


def test_terminal_output_becomes_plain_text() -> None:
    assert clean("\x1b[31mred\x1b[0m\r\n10%\r20%\n\x1b]0;title\x07a\x08b\u202e") == (
        "red\n20%\na\\x08b\\u{202e}"
    )


# macOS, as far as text goes


def test_the_mac_profile_passes_paths_as_parameters() -> None:
    root = Path('/private/tmp/a") (allow network*) ("')
    arguments = seatbelt.arguments(root, Path("/private/tmp/s"), Path("/Users/me"), False)
    assert arguments[0] == "/usr/bin/sandbox-exec"
    profile = arguments[2]
    assert str(root) not in profile
    assert f"-DROOT={root}" in arguments
    assert profile.count("(") == profile.count(")")
    assert "(deny network*)" in profile
    assert "(deny file-write*)" in profile
    for name in (".git/hooks", ".git/config", ".vscode"):
        (number,) = [a.split("=")[0][2:] for a in arguments if a.endswith(f"{root}/{name}")]
        assert f'(deny file-write* (literal (param "{number}")) (subpath (param "{number}")))' in profile  # fmt: skip  # noqa: E501
    home_rule = profile.index('(deny file-read-data (subpath (param "HOME")))')
    assert home_rule < profile.index('(allow file-read-data (subpath (param "ROOT"))')
    assert "(deny network*)" not in seatbelt.arguments(root, root, root, True)[2]


def test_a_mac_command_is_wrapped_by_the_systems_own_program(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path), "PATH": "/usr/bin"}
    wrapped = Sandbox("darwin").wrap(("/bin/sh", "-c", "x"), tmp_path / "w", tmp_path / "s", env)
    assert wrapped.argv[0] == "/usr/bin/sandbox-exec"
    assert wrapped.argv[-3:] == ("/bin/sh", "-c", "x")
    assert f"-DHOME={tmp_path}" in wrapped.argv
    assert any(argument.endswith("/.pyenv") for argument in wrapped.argv)
    assert not any(argument.endswith("/.ssh") for argument in wrapped.argv)
    assert not wrapped.is_launcher


# The sentinel


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[Path, Sentinel, UndoStore]]:
    root = tmp_path / "work"
    for name, text in {
        ".git/HEAD": "ref", ".git/config": "[core]", ".git/hooks/pre-commit": "x",
        ".git/objects/a": "o", ".git/refs/b": "r", "AGENTS.md": "rules", "a.py": "1",
    }.items():  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    workspace = Workspace(root)
    store = UndoStore(tmp_path / "undo", workspace)
    yield root, Sentinel(workspace, store.blobs), store
    store.close()


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("echo evil > .git/hooks/post-checkout", ".git/hooks/post-checkout"),
        ("echo evil > .git/hooks/pre-commit", ".git/hooks/pre-commit"),
        ("rm -rf .git/hooks", ".git/hooks/pre-commit"),
        ("rm -rf .git/hooks; ln -s /tmp .git/hooks", ".git/hooks"),
        ("echo x >> .git/config", ".git/config"),
        ("rm AGENTS.md; mkdir AGENTS.md; touch AGENTS.md/x", "AGENTS.md"),
        ("mkdir .vscode; echo x > .vscode/tasks.json", ".vscode/tasks.json"),
        ("mkdir -p s/.git/hooks; echo x > s/.git/hooks/update", "s/.git/hooks/update"),
        ("rm -rf .git", ".git"),
        ("mv .git elsewhere", ".git"),
    ],
)  # fmt: skip
def test_guarded_places_are_put_back(
    guarded: tuple[Path, Sentinel, UndoStore], command: str, place: str
) -> None:
    root, sentinel, store = guarded
    picture = store.before_command()
    watch = sentinel.before(picture)
    kept = ("HEAD", "config", "hooks/pre-commit", "objects/a", "refs/b")
    before = {name: (root / ".git" / name).read_text() for name in kept}
    subprocess.run(["/bin/sh", "-c", command], cwd=root, check=True)
    report = sentinel.after(watch, store.look_after(picture), True)
    assert place in report.restored
    assert report.failed == ()
    assert {name: (root / ".git" / name).read_text() for name in kept} == before
    assert (root / "AGENTS.md").read_text() == "rules"
    assert not (root / ".git/hooks").is_symlink()
    assert not (root / ".git/hooks/post-checkout").exists()
    assert not (root / ".vscode/tasks.json").exists()
    assert not (root / "s/.git/hooks/update").exists()


def test_what_the_person_allowed_is_reported_and_left(
    guarded: tuple[Path, Sentinel, UndoStore],
) -> None:
    root, sentinel, store = guarded
    picture = store.before_command()
    watch = sentinel.before(picture)
    (root / "AGENTS.md").write_text("new")
    report = sentinel.after(watch, store.look_after(picture), False)
    assert report.changed == ("AGENTS.md",)
    assert report.restored == ()
    assert (root / "AGENTS.md").read_text() == "new"
