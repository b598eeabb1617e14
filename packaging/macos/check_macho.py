"""Looks at every Mach-O file of a bundle or wheel: `check_macho.py FOLDER [--arch arm64]`.

Each must hold the wanted architecture, ask for no newer system than the bundle does, and link only
to the system, to its own folder, or to @rpath; no file may name a folder of a build machine.
Runs anywhere with macholib.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from macholib import mach_o
from macholib.MachO import MachO

MINIMUM_SYSTEM = (14, 0)
SYSTEM = ("/usr/lib/", "/System/Library/")
OWN = ("@rpath/", "@loader_path", "@executable_path")
CPU_NAMES = {0x0100000C: "arm64", 0x01000007: "x86_64"}
_LOADS = {mach_o.LC_LOAD_DYLIB, mach_o.LC_LOAD_WEAK_DYLIB, mach_o.LC_REEXPORT_DYLIB}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with one file."""

    file: str
    text: str


def is_macho(path: Path) -> bool:
    """True for a thin or universal Mach-O file."""
    with path.open("rb") as file:
        magic = file.read(4)
    return magic in (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")


def check_file(path: Path, arch: str) -> list[Finding]:
    """What is wrong with one Mach-O file."""
    found: list[Finding] = []
    headers = MachO(str(path)).headers
    names = {CPU_NAMES.get(header.header.cputype & 0xFFFFFFFF, "?") for header in headers}
    if arch not in names:
        found.append(Finding(path.name, f"is for {', '.join(sorted(names))}, not {arch}"))
    for header in headers:
        for load, command, data in header.commands:
            if load.cmd in _LOADS:
                found += _link(path, _text(data))
            elif load.cmd == mach_o.LC_RPATH:
                found += _run_path(path, _text(data))
            elif load.cmd == mach_o.LC_BUILD_VERSION:
                found += _minimum(path, int(command.minos))
            elif load.cmd == mach_o.LC_VERSION_MIN_MACOSX:
                found += _minimum(path, int(command.version))
    return found


def _text(data: object) -> str:
    raw = data if isinstance(data, bytes) else b""
    return raw.split(b"\0")[0].decode("utf-8", "replace")


def _link(path: Path, target: str) -> list[Finding]:
    if target.startswith((*SYSTEM, *OWN)):
        return []
    return [Finding(path.name, f"links to {target}")]


def _run_path(path: Path, folder: str) -> list[Finding]:
    if folder.startswith((*OWN, *SYSTEM)):
        return []
    return [Finding(path.name, f"searches {folder}, a folder of its build machine")]


def _minimum(path: Path, packed: int) -> list[Finding]:
    version = (packed >> 16, packed >> 8 & 0xFF)
    if version <= MINIMUM_SYSTEM:
        return []
    return [Finding(path.name, f"needs macOS {version[0]}.{version[1]}")]


def main() -> int:
    folder = Path(sys.argv[1])
    arch = sys.argv[3] if len(sys.argv) > 3 else "arm64"
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and is_macho(path)
    ]
    findings = [finding for path in files for finding in check_file(path, arch)]
    for finding in findings:
        print(f"{finding.file} {finding.text}")
    print(f"{len(files)} Mach-O files, {len(findings)} problems")
    return 1 if findings or not files else 0


if __name__ == "__main__":
    sys.exit(main())
