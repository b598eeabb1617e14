"""The environment of a command: an allow-list, so that no secret and no setting of ours leaks."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

_KEPT = ("HOME", "LANG", "LANGUAGE", "TZ", "USER", "LOGNAME", "SHELL")
_KEPT_WINDOWS = ("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "USERPROFILE",
                 "USERNAME", "NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "PROGRAMFILES",
                 "PROGRAMDATA", "LOCALAPPDATA", "APPDATA")  # fmt: skip
_FIXED = {
    "TERM": "dumb",
    "NO_COLOR": "1",
    "CI": "1",
    "PAGER": "cat",
    "GIT_PAGER": "cat",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "",
    "GIT_EDITOR": "true",
    "EDITOR": "true",
    "VISUAL": "true",
    "DEBIAN_FRONTEND": "noninteractive",
    "PIP_NO_INPUT": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "GARRET_AGENT": "1",
    "GIT_CONFIG_COUNT": "1",  # a repository's own configuration may name a program here
    "GIT_CONFIG_KEY_0": "core.fsmonitor",
    "GIT_CONFIG_VALUE_0": "false",
}


def search_path(environ: Mapping[str, str], root: Path) -> str:
    """PATH without relative entries and without places inside the folder, where a planted
    `git` or `python` could stand."""
    inside = os.path.realpath(root)
    kept: list[str] = []
    for entry in environ.get("PATH", os.defpath).split(os.pathsep):
        if not entry or not os.path.isabs(entry):
            continue
        real = os.path.realpath(entry)
        if real == inside or real.startswith(inside.rstrip(os.sep) + os.sep):
            continue
        if entry not in kept and not _is_bundle(entry):
            kept.append(entry)
    return os.pathsep.join(kept)


def _is_bundle(entry: str) -> bool:
    bundle = getattr(sys, "_MEIPASS", None)
    return bool(bundle) and os.path.realpath(entry).startswith(os.path.realpath(str(bundle)))


def child_env(
    environ: Mapping[str, str], root: Path, scratch: Path, platform: str = sys.platform
) -> dict[str, str]:
    """Everything a command sees.

    Args:
        scratch: the command's private temporary folder; caches go there too, since the sandbox
            lets nothing be written in the home folder.
    """
    env = {name: environ[name] for name in _KEPT if name in environ}
    env |= {name: value for name, value in environ.items() if name.startswith("LC_")}
    if platform == "win32":
        upper = {name.upper(): value for name, value in environ.items()}
        env |= {name: upper[name] for name in _KEPT_WINDOWS if name in upper}
    env["PATH"] = search_path(environ, root)
    env |= _FIXED
    temporary = str(scratch)
    env |= {"TMPDIR": temporary, "TMP": temporary, "TEMP": temporary}
    env |= {
        "XDG_CACHE_HOME": str(scratch / "cache"),
        "PIP_CACHE_DIR": str(scratch / "cache" / "pip"),
        "npm_config_cache": str(scratch / "cache" / "npm"),
        "GOCACHE": str(scratch / "cache" / "go"),
        "UV_CACHE_DIR": str(scratch / "cache" / "uv"),
        "RUFF_CACHE_DIR": str(scratch / "cache" / "ruff"),
        "MYPY_CACHE_DIR": str(scratch / "cache" / "mypy"),
        "HISTFILE": os.devnull,
    }
    return env


def env_digest(env: Mapping[str, str]) -> str:
    """A short name for one environment."""
    text = "\0".join(f"{name}={value}" for name, value in sorted(env.items()))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
