"""Reads a shell command as far as it is certain what it means; the rest is "not simple".

Nothing here makes a command safe: that is the sandbox's job. It decides which commands may get an
"Always allow", and which are asked whatever the mode.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Argv = tuple[str, ...]

_CHAIN = re.compile(r"&&|\|\||;|\||\n")
_SPECIAL = set("$`<>(){}!#*?[]~&^%")
_ASSIGNMENT = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*\+?=")


@dataclass(frozen=True, slots=True)
class Parsed:
    """`parts` are the argv of each simple command; `simple` says they are all there is: no
    redirection, substitution, expansion, assignment or background job."""

    parts: tuple[Argv, ...]
    simple: bool


def parse(text: str) -> Parsed:
    """The simple commands of a shell text; for a text that is not simple, a best effort."""
    words, simple = _tokens(text)
    parts: list[Argv] = []
    current: list[str] = []
    for kind, word in words:
        if kind == "operator":
            if not current:
                simple = False
            else:
                parts.append(tuple(current))
            current = []
        else:
            current.append(word)
    if current:
        parts.append(tuple(current))
    elif not text.rstrip().endswith(";"):
        simple = False
    if any(_ASSIGNMENT.match(part[0]) for part in parts) or not parts:
        simple = False
    return Parsed(tuple(parts), simple)


def _tokens(text: str) -> tuple[list[tuple[str, str]], bool]:
    found: list[tuple[str, str]] = []
    simple = True
    word: list[str] | None = None
    at = 0
    while at < len(text):
        char = text[at]
        if char == "'":
            end = text.find("'", at + 1)
            simple = simple and end >= 0
            end = len(text) if end < 0 else end
            word = [*(word or []), text[at + 1 : end]]
            at = end + 1
            continue
        if char == '"':
            body, at, closed = _double_quoted(text, at + 1)
            simple = simple and closed
            word = [*(word or []), body]
            continue
        if char == "\\":
            simple = False
            word = [*(word or []), text[at + 1 : at + 2]]
            at += 2
            continue
        operator = _CHAIN.match(text, at)
        if operator or char in " \t":
            if word is not None:
                found.append(("word", "".join(word)))
                word = None
            if operator:
                found.append(("operator", operator[0]))
                at = operator.end()
            else:
                at += 1
            continue
        if char in _SPECIAL or ord(char) < 0x20 or ord(char) == 0x7F:
            simple = False
        word = [*(word or []), char]
        at += 1
    if word is not None:
        found.append(("word", "".join(word)))
    return found, simple


def _double_quoted(text: str, at: int) -> tuple[str, int, bool]:
    """The body of a double-quoted word, the offset after it, and whether it held no expansion."""
    out: list[str] = []
    plain = True
    while at < len(text):
        char = text[at]
        if char == '"':
            return "".join(out), at + 1, plain
        if char == "\\" and text[at + 1 : at + 2] in ("\\", '"', "$", "`", "\n"):
            out.append(text[at + 1])
            at += 2
            continue
        if char in "$`!":
            plain = False
        out.append(char)
        at += 1
    return "".join(out), at, False


# "Always allow"

_SHELLS = {"sh", "bash", "dash", "zsh", "ksh", "fish", "csh", "tcsh", "busybox", "cmd", "cmd.exe",
           "powershell", "pwsh", "nu", "elvish", "xonsh"}  # fmt: skip
_WRAPPERS = {"env", "sudo", "doas", "su", "timeout", "xargs", "nice", "nohup", "time", "setsid",
             "stdbuf", "exec", "eval", "command", "builtin", "source", ".", "parallel", "watch",
             "chroot", "unshare", "script", "strace", "gdb", "ltrace", "ionice", "taskset", "entr",
             "flock", "runuser", "pkexec", "ssh", "trap", "alias", "export", "coproc", "find",
             "awk", "gawk", "mawk", "sed", "tee", "dd", "ld.so", "systemd-run"}  # fmt: skip
_INTERPRETERS = {
    "python",
    "python2",
    "python3",
    "node",
    "nodejs",
    "perl",
    "ruby",
    "php",
    "lua",
    "deno",
    "bun",
    "osascript",
    "tclsh",
    "Rscript",
    "julia",
    "pypy",
    "pypy3",
}
_DESTRUCTIVE = {"rm", "rmdir", "mv", "cp", "ln", "chmod", "chown", "truncate", "shred", "kill",
                "killall", "pkill", "mkfs", "mount", "umount", "install", "unlink"}  # fmt: skip
_SUBCOMMANDS = {
    "git": {"status", "diff", "log", "show", "ls-files", "rev-parse", "shortlog"},
    "npm": {"test", "run"}, "pnpm": {"test", "run"}, "yarn": {"test", "run"},
    "cargo": {"test", "check", "build", "clippy", "fmt"},
    "go": {"test", "build", "vet", "fmt"}, "dotnet": {"test", "build"},
    "gradle": {"test", "build"}, "mvn": {"test", "compile", "verify"},
    "mix": {"test", "compile", "format"}, "swift": {"test", "build"}, "zig": {"build", "test"},
    "uv": {"run"}, "poetry": {"run"}, "pipenv": {"run"}, "bundle": {"exec"},
}  # fmt: skip
_THIRD_WORD = {("npm", "run"), ("pnpm", "run"), ("yarn", "run"), ("uv", "run"), ("poetry", "run"),
               ("pipenv", "run"), ("bundle", "exec")}  # fmt: skip
_SINGLE = {
    "pytest",
    "py.test",
    "tox",
    "nox",
    "ruff",
    "black",
    "isort",
    "mypy",
    "pyright",
    "flake8",
    "pylint",
    "coverage",
    "tsc",
    "eslint",
    "prettier",
    "jest",
    "vitest",
    "mocha",
    "ls",
    "cat",
    "head",
    "tail",
    "wc",
    "pwd",
    "stat",
    "file",
    "du",
    "grep",
    "rg",
    "diff",
    "ctest",
    "phpunit",
    "rspec",
    "rubocop",
    "golangci-lint",
    "shellcheck",
    "stylelint",
    "biome",
}
_MODULES = {"pytest", "unittest", "mypy", "ruff", "black", "flake8", "pylint", "compileall",
            "doctest", "coverage", "isort"}  # fmt: skip
_INLINE = re.compile(r"^-(?:[a-zA-Z]*[ceEpr]|-eval|-print|-command|-exec|-run)(?:=.*)?$")


def program_of(argv: Argv) -> str:
    """The program's plain name: `/usr/bin/python3.11` is `python3`."""
    name = argv[0].replace("\\", "/").rpartition("/")[2]
    name = name.removesuffix(".exe")
    return re.sub(r"^(python[23]?|pypy3?|perl|ruby|lua|php|node)[\d.]+$", r"\1", name)


def never_always(argv: Argv) -> bool:
    """Whether this command must be asked each time, whatever was allowed before."""
    name = program_of(argv)
    if name in _SHELLS or name in _WRAPPERS or name in _DESTRUCTIVE:
        return True
    if name in _INTERPRETERS:
        return len(argv) == 1 or any(_INLINE.match(arg) for arg in argv[1:2]) or argv[1] == "-"
    if name == "git" and len(argv) > 1 and argv[1].startswith("-"):
        return True
    return _THIRD_WORD.issuperset({argv[:2]}) and (
        len(argv) < 3 or argv[2].startswith("-") or _runs_anything((argv[2], *argv[3:]))
    )


def _runs_anything(argv: Argv) -> bool:
    return never_always(argv) or program_of(argv) in _INTERPRETERS


def token_rule(argv: Argv) -> Argv | None:
    """The leading tokens "Always allow" stores inside a proven sandbox; None: exact argv only."""
    if never_always(argv) or "/" in argv[0] or "\\" in argv[0]:
        return None
    name = argv[0]
    if program_of(argv) in _INTERPRETERS:
        if len(argv) >= 3 and argv[1] == "-m" and argv[2] in _MODULES:
            return argv[:3]
        return None
    if argv[:2] in _THIRD_WORD:
        return argv[:3]
    if name in _SUBCOMMANDS:
        return argv[:2] if len(argv) > 1 and argv[1] in _SUBCOMMANDS[name] else None
    return argv[:1] if name in _SINGLE else None
