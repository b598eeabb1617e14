"""System libraries and tools that pip cannot bring: found before something aborts without them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from scripts.bootstrap import commands
from scripts.bootstrap.console import SetupFailed, Step
from scripts.bootstrap.qt_libraries import QT_LIBRARIES

FONTS = ("fonts-dejavu-core", "dejavu-sans-fonts", "ttf-dejavu", "dejavu-fonts")
COMPILER = ("build-essential", "gcc-c++ make", "base-devel", "gcc-c++ make")
GOMP = ("libgomp1", "libgomp", "gcc-libs", "libgomp1")
QT_FILES = (
    "Qt/plugins/platforms/libqxcb.so",
    "Qt/plugins/platforms/libqoffscreen.so",
    "Qt/lib/libQt6Gui.so.6",
    "Qt/lib/libQt6Widgets.so.6",
    "Qt/lib/libQt6Network.so.6",
)


@dataclass(frozen=True, slots=True)
class PackageManager:
    """How this system installs packages; `column` picks its names from the tables above."""

    column: int
    command: str


def package_manager(os_release: str) -> PackageManager | None:
    """The package manager of a distribution, from the text of its os-release file."""
    found = re.findall(r'^(?:ID|ID_LIKE)="?([^"\n]*)', os_release, re.MULTILINE)
    words = set(" ".join(found).split())
    if words & {"debian", "ubuntu"}:
        return PackageManager(0, "apt-get install -y --no-install-recommends")
    if words & {"fedora", "rhel", "centos"}:
        return PackageManager(1, "dnf install -y")
    if "arch" in words:
        return PackageManager(2, "pacman -S --needed")
    if words & {"suse", "opensuse"}:
        return PackageManager(3, "zypper install -y")
    return None


def missing_sonames(files: Iterable[Path], run_ldd: str = "ldd") -> list[str]:
    """Libraries the dynamic linker cannot find for these files, once each, in order."""
    missing: dict[str, None] = {}
    for file in files:
        if not file.exists():
            continue
        answer = subprocess.run(
            [run_ldd, str(file)], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        for name in re.findall(r"^\s*(\S+) => not found", answer.stdout, re.MULTILINE):
            missing[name] = None
    return list(missing)


def need_qt_libraries(python: Path, log: Path) -> None:
    """Makes sure that Qt can open a window.

    Raises:
        SetupFailed: something is missing and may not be installed without asking.
    """
    if not sys.platform.startswith("linux") or shutil.which("ldd") is None:
        return
    where = subprocess.run(
        [str(python), "-I", "-c", "import PySide6; print(PySide6.__path__[0])"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    files = [Path(where.stdout.strip()) / name for name in QT_FILES]
    missing = missing_sonames(files)
    wanted = [QT_LIBRARIES.get(name, (name,) * 4) for name in missing]
    if not _has_fonts():
        wanted.append(FONTS)
    if not wanted:
        return
    _install(wanted, "Installing system libraries for the window", log)
    still = missing_sonames(files)
    if still:
        raise SetupFailed(
            f"The window needs system libraries that are not here: {', '.join(still)}.",
            "Install them with your system's package manager and run the same command again.",
        )


def need_compiler(log: Path) -> None:
    """Makes sure that a C++ compiler is there.

    Raises:
        SetupFailed: none is there and none may be installed without asking.
    """
    if os.environ.get("CXX") or any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        return
    if sys.platform == "darwin":
        raise SetupFailed(
            "Building the engine needs a C++ compiler.", "Run  xcode-select --install"
        )
    if os.name == "nt":
        return  # CMake finds Visual Studio by itself
    _install([COMPILER], "Installing a C++ compiler", log)


def _install(wanted: Sequence[tuple[str, str, str, str]], title: str, log: Path) -> None:
    manager = package_manager(_os_release())
    if manager is None:
        debian = " ".join(dict.fromkeys(row[0] for row in wanted))
        raise SetupFailed("System packages are missing.", f"Install what Debian calls:  {debian}")
    names = list(dict.fromkeys(name for row in wanted for name in row[manager.column].split()))
    command = f"{manager.command} {' '.join(names)}"
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    if manager.column != 0 or not is_root or shutil.which("apt-get") is None:
        prefix = "" if is_root else "sudo "
        raise SetupFailed("System packages are missing.", f"Install them with:  {prefix}{command}")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with Step(title) as step:
        step.say(", ".join(names))
        commands.run(["apt-get", "update"], log, env=env)
        code, tail = commands.run(command.split(), log, env=env)
    if code != 0:
        raise SetupFailed(
            f"{title} failed: {tail[-1] if tail else 'no output'}", f"Try it by hand:  {command}"
        )


def _os_release() -> str:
    for name in ("/etc/os-release", "/usr/lib/os-release"):
        if Path(name).exists():
            return Path(name).read_text(encoding="utf-8", errors="replace")
    return ""


def _has_fonts() -> bool:
    home = Path.home()
    folders = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"), home / ".fonts",
               home / ".local/share/fonts")  # fmt: skip
    return any(
        next(folder.rglob(pattern), None) is not None
        for folder in folders
        if folder.is_dir()
        for pattern in ("*.ttf", "*.otf", "*.ttc")
    )
