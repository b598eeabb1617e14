"""What holds a command on this system, found out by really running one in it."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.agent import seatbelt
from app.agent.types import SandboxStatus

_SYSTEM_READS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix",
                 "/snap", "/proc", "/sys", "/etc/alternatives", "/gnu", "/var/lib/gems",
                 "/var/lib/python", "/run/current-system", "/home/linuxbrew/.linuxbrew",
                 "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
                 "/dev/ptmx", "/dev/pts")  # fmt: skip
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty",
            "/dev/ptmx")  # fmt: skip
_SHARED_MEMORY = "/dev/shm"  # noqa: S108  Python's multiprocessing keeps its semaphores there
_PRIVATE_ETC = ("shadow", "gshadow", "sudoers", "ssh", "ssl/private", "security", "krb5.keytab",
                "ppp", "wireguard", "openvpn", "ipsec", "NetworkManager", "netplan", "docker",
                "kubernetes", "machine-id", "garret", "cron", "crypttab", "letsencrypt",
                "wpa_supplicant", "cups", "polkit-1", "apt")  # fmt: skip
_TOOLCHAINS = (".cargo/bin", ".cargo/env", ".cargo/registry", ".cargo/git", ".rustup", ".pyenv",
               ".rbenv", ".nvm", ".volta", ".fnm", ".asdf", ".sdkman", ".jenv", ".nodenv", ".deno",
               ".bun", ".local/bin", ".local/lib", ".local/pipx", ".local/share/uv",
               ".local/share/pipx", ".local/share/mise", ".local/share/fnm", ".local/share/pnpm",
               ".local/share/virtualenvs", ".virtualenvs", "go", ".m2/repository",
               ".gradle/caches", ".gradle/wrapper", "miniconda3", "anaconda3", "miniforge3",
               ".conda", ".gem", ".npm-global", ".yarn/releases", ".ghcup", ".cabal/bin", ".opam",
               ".juliaup", ".gitconfig", ".config/git", ".linuxbrew")  # fmt: skip
_NETWORK_READS = ("/run/systemd/resolve", "/run/resolvconf", "/etc/apt", "/run/NetworkManager")
_PROBE = (
    'echo x > "$1/in" || exit 11; '
    '(echo x > "$2/out") 2>/dev/null && exit 12; '
    'cat "$2/secret" >/dev/null 2>&1 && exit 13; '
    "(: < /dev/tcp/127.0.0.1/9) 2>/dev/null && exit 14; "
    'chmod 600 "$2/secret" 2>/dev/null && exit 15; '
    "exit 0"
)
_PROBE_LIMIT_S = 15.0


@dataclass(frozen=True, slots=True)
class Wrapped:
    """The argv to start, and whether it is our launcher (which speaks on two pipes)."""

    argv: tuple[str, ...]
    is_launcher: bool


def launcher_argv() -> tuple[str, ...]:
    """How the launcher is started: our own program when frozen, else this Python, bare."""
    if getattr(sys, "frozen", False):
        return (sys.executable, "_sandbox")
    top = str(Path(__file__).resolve().parents[2])
    code = (
        f"import sys; sys.path.append({top!r}); "
        "from app.agent.sandbox_launcher import main; sys.exit(main(sys.argv[1:]))"
    )
    return (sys.executable, "-I", "-S", "-c", code)


class Sandbox:
    """Wraps commands. `status` stays "not proven" until `probe` has passed.

    Args:
        platform_name: as `sys.platform`.
        disabled: behave as on a system without any (tests, `--no-sandbox` hosts).
        max_abi: the newest Landlock ABI to use (tests of older kernels).
    """

    def __init__(
        self, platform_name: str = sys.platform, disabled: bool = False, max_abi: int = 99
    ) -> None:
        self._platform = platform_name
        self._disabled = disabled
        self._max_abi = max_abi
        self.status = SandboxStatus("none", False, "Commands always ask: not checked yet.")

    def wrap(
        self,
        argv: Sequence[str],
        root: Path,
        scratch: Path,
        env: Mapping[str, str],
        *,
        network: bool = False,
        limits: Mapping[str, int] | None = None,
        pipes: tuple[int, int] = (-1, -1),
        sandboxed: bool = True,
        reads: Sequence[str] = (),
    ) -> Wrapped:
        """The argv that starts a command, held as well as this system can.

        Args:
            limits: processes, memory_bytes, file_bytes.
            pipes: the descriptors of the control and the report pipe.
            reads: more places the command may read.
            sandboxed: False for the keeper alone (limits, Stop), where there is no sandbox.
        """
        if self._platform == "darwin" and sandboxed:
            home = Path(os.path.realpath(env.get("HOME") or Path.home()))
            tools = [p for p in readable(env, root) if p.startswith(f"{home}/")]
            profile = seatbelt.arguments(root, scratch, home, network, [*tools, *reads])
            return Wrapped((*profile, *argv), False)
        if self._platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
            return Wrapped(tuple(argv), False)
        spec = {
            "write": [str(root), str(scratch), _SHARED_MEMORY],
            "devices": _DEVICES,
            "read": [*readable(env, root), *reads, *(_NETWORK_READS if network else ())],
            "network": network,
            "sandbox": sandboxed,
            "control_fd": pipes[0],
            "report_fd": pipes[1],
            "max_abi": self._max_abi,
            **(limits or {}),
        }
        return Wrapped((*launcher_argv(), json.dumps(spec), "--", *argv), True)

    def probe(self) -> SandboxStatus:
        """Runs a real command in the sandbox that tries what must fail; takes about half a
        second, so not for the GUI thread. Never raises."""
        self.status = self._probed()
        return self.status

    def _probed(self) -> SandboxStatus:
        if self._disabled or self._platform not in ("linux", "darwin"):
            return SandboxStatus("none", False, "There is no sandbox here: commands always ask.")
        if self._platform == "linux" and platform.machine() not in ("x86_64", "aarch64"):
            return SandboxStatus("none", False, "There is no sandbox here: commands always ask.")
        shell = shutil.which("bash", path="/bin:/usr/bin") or "/bin/sh"
        try:
            with tempfile.TemporaryDirectory(prefix="garret-") as made:
                return self._try(shell, Path(made).resolve())
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            return SandboxStatus("none", False, f"Commands always ask: {error}.")

    def _try(self, shell: str, place: Path) -> SandboxStatus:
        inside, outside = place / "inside", place / "outside"
        inside.mkdir()
        outside.mkdir()
        (outside / "secret").write_text("x")
        (outside / "secret").chmod(0o640)
        report_read, report_write = os.pipe()
        env = {"PATH": "/usr/bin:/bin", "TMPDIR": str(inside), "HOME": str(outside)}
        argv = (shell, "-c", _PROBE, "probe", str(inside), str(outside))
        with os.fdopen(report_read, "rb") as reports:
            try:
                wrapped = self.wrap(argv, inside, inside, env, pipes=(-1, report_write))
                done = subprocess.run(
                    wrapped.argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    cwd=inside,
                    env=env,
                    pass_fds=(report_write,) if wrapped.is_launcher else (),
                    start_new_session=True,
                    timeout=_PROBE_LIMIT_S,
                    check=False,
                )
            finally:
                os.close(report_write)
            return self._verdict(done.returncode, reports.read(), done.stderr)

    def _verdict(self, code: int, reports: bytes, errors: bytes) -> SandboxStatus:
        facts = {}
        for line in reports.splitlines():
            item = json.loads(line)
            facts.update(item if isinstance(item, dict) else {})
        if code != 0:
            said = str(facts.get("error") or errors.decode("utf-8", "replace").strip()[:200])
            why = said or f"the probe ended with {code}"
            return SandboxStatus("none", False, f"Commands always ask: no sandbox ({why}).")
        if self._platform == "darwin":
            return SandboxStatus(
                "seatbelt", True, "Commands can change only this folder and have no network."
            )
        missing = tuple(str(item) for item in facts.get("missing", ()))
        return SandboxStatus(
            "landlock",
            True,
            "Commands can change only this folder and have no network.",
            int(facts.get("abi", 0)),
            missing,
        )


def probe_sandbox() -> SandboxStatus:
    """What holds commands on this system; for `garret doctor`."""
    return Sandbox().probe()


def readable(env: Mapping[str, str], root: Path) -> list[str]:
    """What a command may read besides the folder: the system and toolchains, no documents, no
    keys, nothing else of the home folder."""
    found = [*_SYSTEM_READS, *_etc()]
    home = env.get("HOME", "")
    if home and os.path.isabs(home):
        found += [os.path.join(home, name) for name in _TOOLCHAINS]
    found += _programs(env.get("PATH", ""), home)
    return list(dict.fromkeys(found))


def _etc() -> list[str]:
    try:
        names = sorted(os.listdir("/etc"))
    except OSError:
        return []
    kept = [n for n in names if not n.startswith(_PRIVATE_ETC) and n != "ssl"]
    return [f"/etc/{name}" for name in kept] + ["/etc/ssl/certs", "/etc/ssl/openssl.cnf"]


def _programs(path: str, home: str) -> list[str]:
    """The directories of PATH; for `X/bin` the whole of X when it is a tool's own place (a
    virtual environment, a language), never a home folder or anything above one."""
    found: list[str] = []
    real_home = os.path.realpath(home) if home else ""
    for entry in path.split(os.pathsep):
        if not os.path.isabs(entry) or not os.path.isdir(entry):
            continue
        real = os.path.realpath(entry)
        if real in ("/", real_home):
            continue
        found.append(real)
        above = os.path.dirname(real)
        name = os.path.basename(real)
        is_tool = name == "shims" or (
            name in ("bin", "sbin")
            and any(os.path.exists(os.path.join(above, mark)) for mark in ("pyvenv.cfg", "lib"))
        )
        holds_home = real_home == above or real_home.startswith(above.rstrip("/") + "/")
        if is_tool and above != "/" and not holds_home:
            found.append(above)
            found += _base_of(above)
    return found


def _base_of(environment: str) -> list[str]:
    """The Python installation a virtual environment was made from."""
    try:
        lines = Path(environment, "pyvenv.cfg").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    for line in lines:
        name, _, value = line.partition("=")
        if name.strip() == "home" and os.path.isabs(value.strip()):
            base = os.path.realpath(value.strip())
            above = os.path.dirname(base)
            return [above if os.path.basename(base) == "bin" and above != "/" else base]
    return []
