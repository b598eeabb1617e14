"""Commands that are asked whatever the mode, and the few that are never run."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from app.agent.commands import Argv, Parsed, program_of
from app.agent.protected import words_named
from app.agent.types import visible

MANY_FILES = 10

_NETWORK = {
    "curl",
    "wget",
    "ssh",
    "scp",
    "sftp",
    "rsync",
    "nc",
    "ncat",
    "netcat",
    "socat",
    "telnet",
    "ftp",
    "ping",
    "dig",
    "nslookup",
    "host",
    "aria2c",
    "http",
    "https",
    "gh",
    "glab",
    "aws",
    "gcloud",
    "az",
    "kubectl",
    "helm",
    "terraform",
    "docker",
    "podman",
    "ollama",
    "twine",
    "vercel",
    "netlify",
    "heroku",
    "flyctl",
    "rclone",
    "mail",
    "sendmail",
}
_GIT_NETWORK = {"clone", "fetch", "pull", "push", "ls-remote", "remote", "submodule", "lfs",
                "send-email", "archive", "svn", "p4"}  # fmt: skip
_GIT_LOSES = {"clean", "reset", "checkout", "switch", "restore", "stash", "rebase", "merge",
              "cherry-pick", "revert", "rm", "mv", "gc", "prune", "filter-branch", "reflog",
              "update-ref", "worktree", "am", "apply", "pull", "bisect", "replace"}  # fmt: skip
_GIT_WRITES = _GIT_LOSES | {"add", "commit", "branch", "tag", "config", "init", "notes", "hook"}
_INSTALL = {
    "pip": {"install", "download", "wheel", "uninstall"},
    "pip3": {"install", "download", "wheel", "uninstall"},
    "pipx": {"install", "run", "upgrade", "inject"},
    "uv": {"pip", "add", "sync", "tool", "python", "lock", "remove"},
    "poetry": {"install", "add", "update", "lock", "remove"},
    "pipenv": {"install", "update", "sync"},
    "conda": {"install", "create", "update", "env"}, "mamba": {"install", "create", "update"},
    "npm": {"install", "i", "ci", "add", "update", "exec", "uninstall", "publish", "link", "audit"},
    "pnpm": {"install", "i", "add", "update", "dlx", "publish"},
    "yarn": {"install", "add", "upgrade", "dlx", "publish", "up"},
    "bun": {"install", "add", "x", "i"}, "cargo": {"install", "add", "update", "publish", "fetch"},
    "go": {"get", "install", "mod"}, "gem": {"install", "update", "push"},
    "bundle": {"install", "update", "add"}, "composer": {"install", "require", "update"},
    "apt": set(), "apt-get": set(), "dnf": set(), "yum": set(), "pacman": set(), "apk": set(),
    "brew": set(), "snap": set(), "flatpak": set(), "winget": set(), "choco": set(), "npx": set(),
    "bunx": set(), "uvx": set(), "easy_install": set(), "nix-env": set(), "rustup": set(),
}  # fmt: skip
_BACKGROUND = {"nohup", "setsid", "disown", "at", "batch", "crontab", "systemctl", "launchctl",
               "screen", "tmux", "daemonize", "pm2", "systemd-run"}  # fmt: skip
_PRIVILEGE = {"sudo", "doas", "su", "pkexec", "runuser"}
_TRANSPARENT = {"env", "sudo", "doas", "timeout", "nice", "nohup", "time", "setsid", "stdbuf",
                "command", "exec", "xargs", "ionice", "watch", "builtin"}  # fmt: skip
_FORBIDDEN = re.compile(
    r":\(\)\s*\{|\bmkfs(\.\w+)?\b|\bdd\b[^\n;|&]*\bof=/dev/(?!null\b)|>\s*/dev/(sd|nvme|vd|disk)"
    r"|\b(shutdown|reboot|poweroff|halt)\b\s*(-|now|$)"
    r"|\brm\s+(-[a-zA-Z-]+\s+)+(--\s+)?(/|~|\$HOME|/\*|~/\*|\$\{HOME\})(\s|$|;|&|\|)"
)
_OUTSIDE = re.compile(r"(?:^|[\s'\"=:(<>|;&])(~(?:[\w/]|$)|\.\.(?:/|\\|$|\s)|/(?!/))")
_HARMLESS = re.compile(
    r"(?<![\w.])/dev/(null|stdin|stdout|stderr|zero|urandom|random|full)\b"
    r"|(?<![\w.])/(usr/)?(local/)?s?bin/[\w.+-]+"
)


@dataclass(frozen=True, slots=True)
class Dangers:
    """What a command text shows. `asks` are plain reasons; `network` says it wants the network."""

    forbidden: str = ""
    asks: tuple[str, ...] = ()
    network: bool = False
    touches_git: bool = False
    outside: tuple[str, ...] = ()  # the places outside that the text names


def inspect(
    text: str,
    parsed: Parsed,
    is_inside: Callable[[str], bool],
    count_files: Callable[[str], int],
) -> Dangers:
    """What is to be asked about a command.

    Args:
        is_inside: whether a path text lies in the folder.
        count_files: how many files a path in the folder holds.
    """
    if _FORBIDDEN.search(text):
        return Dangers(forbidden="This could destroy the system or all of your files.")
    asks: list[str] = []
    argvs = [_unwrapped(argv) for argv in parsed.parts]
    network = any(_wants_network(argv, text) for argv in argvs)
    installs = any(_installs(argv) for argv in argvs)
    if installs:
        asks.append("It installs software.")
    if network and not installs:
        asks.append("It uses the network.")
    if any(_PRIVILEGE.intersection(_leading(argv)) for argv in parsed.parts):
        asks.append("It asks for administrator rights.")
    if _starts_background(text, parsed):
        asks.append("It leaves something running in the background.")
    asks += [reason for argv in argvs if (reason := _loses(argv, count_files))]
    named = words_named(text)
    if named:
        asks.append(f"It names a protected place. {named}")
    outside = _named_outside(text, is_inside)
    if outside:
        asks.append(f"It names a place outside the folder: {visible(outside[0])[:80]}")
    touches_git = any(_git_verb(argv) in _GIT_WRITES for argv in argvs)
    return Dangers("", tuple(dict.fromkeys(asks)), network or installs, touches_git, outside)


def _leading(argv: Argv) -> list[str]:
    """The program and, behind `env` and the like, every word that could be the next one."""
    return [argv[0], *argv[1:]] if program_of(argv) in _TRANSPARENT else [program_of(argv)]


def _unwrapped(argv: Argv) -> Argv:
    """The command behind `env`, `sudo`, `timeout 5` and the like."""
    for _ in range(8):
        if not argv or program_of(argv) not in _TRANSPARENT:
            break
        rest = list(argv[1:])
        while rest and (rest[0].startswith("-") or "=" in rest[0] or rest[0][:1].isdigit()):
            rest.pop(0)
        if not rest:
            break
        argv = tuple(rest)
    while len(argv) > 1 and "=" in argv[0] and "/" not in argv[0].partition("=")[0]:
        argv = argv[1:]
    return argv


def _git_verb(argv: Argv) -> str:
    if program_of(argv) != "git":
        return ""
    rest = list(argv[1:])
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in ("-C", "-c", "--git-dir", "--work-tree", "--namespace") and rest:
            rest.pop(0)
    return rest[0] if rest else ""


def _wants_network(argv: Argv, text: str) -> bool:
    name = program_of(argv)
    if name in _NETWORK or _git_verb(argv) in _GIT_NETWORK:
        return True
    return "/dev/tcp/" in text or "/dev/udp/" in text


def _installs(argv: Argv) -> bool:
    name = program_of(argv)
    if name in ("python", "python3") and argv[1:2] == ("-m",):
        argv = argv[2:]
        name = program_of(argv) if argv else ""
        if name == "ensurepip":
            return True
    if name not in _INSTALL:
        return False
    verbs = _INSTALL[name]
    plain = [arg for arg in argv[1:] if not arg.startswith("-")]
    if name == "yarn" and not plain:
        return True
    return not verbs or any(arg in verbs for arg in plain[:1])


def _starts_background(text: str, parsed: Parsed) -> bool:
    if any(program_of(argv) in _BACKGROUND for argv in parsed.parts):
        return True
    bare = re.sub(r"'[^']*'|\"[^\"]*\"", "", text)
    return re.search(r"(?<![&>])&(?![&>\d])", bare) is not None


def _loses(argv: Argv, count_files: Callable[[str], int]) -> str:
    """Why a command may delete or overwrite much; "" when it does not look so."""
    name = program_of(argv)
    verb = _git_verb(argv)
    if verb in _GIT_LOSES:
        return f"git {verb} can throw away work that was never committed."
    if name == "find" and any(a in ("-delete", "-exec", "-execdir", "-ok") for a in argv):
        return "find runs something on every file it finds."
    if name in ("shred", "truncate"):
        return f"{name} destroys what a file held."
    if name not in ("rm", "rmdir", "unlink", "mv", "cp", "sed"):
        return ""
    targets = [arg for arg in argv[1:] if not arg.startswith("-")]
    if any(any(char in target for char in "*?[$`") for target in targets) and name != "sed":
        return f"{name} works on a pattern of files."
    if name == "cp":
        return ""
    total = sum(count_files(target) for target in targets[: 4 * MANY_FILES])
    if total > MANY_FILES or len(targets) > 2 * MANY_FILES:
        return f"It deletes or overwrites more than {MANY_FILES} files."
    return ""


def _named_outside(text: str, is_inside: Callable[[str], bool]) -> tuple[str, ...]:
    bare = _HARMLESS.sub(" ", text)
    found: list[str] = []
    for hit in _OUTSIDE.finditer(bare):
        word = re.split(r"[\s'\"`;|&<>()=,]", bare[hit.start(1) :], maxsplit=1)[0]
        if not is_inside(word):
            found.append(word)
    return tuple(dict.fromkeys(found))
