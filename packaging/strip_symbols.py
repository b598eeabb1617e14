"""Takes out of the bundle's libraries what only a debugger reads: symbols, and folders of the build
machine. On Linux, where wheels often come with both (about 30 MB)."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from linux_packages import elf_files, run_paths

_LOAD = re.compile(r"LOAD\s+(0x\w+) (0x\w+) 0x\w+ 0x\w+ 0x\w+ [RWE ]+ (0x\w+)")


def strip_bundle(internal: Path, patchelf: Path) -> None:
    """All libraries below `internal`, each only where the result is sound."""
    for path in elf_files(internal):
        if ".symtab" in _read(path, "-SW"):
            strip(path)
        if any(not folder.startswith("$ORIGIN") for folder in run_paths(path)):
            subprocess.run([str(patchelf), "--remove-rpath", str(path)], check=True)


def strip(path: Path) -> bool:
    """Without symbols, in one step; False where that would break it, and it is left as it was.

    Files whose search path was rewritten (auditwheel) can come out of `strip` with segments that
    the loader refuses.
    """
    made = path.with_name(f".{path.name}.stripped")
    answer = subprocess.run(
        ["strip", "--strip-unneeded", "-o", str(made), str(path)], capture_output=True
    )
    if answer.returncode != 0 or not is_sound(made):
        made.unlink(missing_ok=True)
        return False
    made.chmod(path.stat().st_mode & 0o777)
    os.replace(made, path)
    return True


def is_sound(path: Path) -> bool:
    """Whether each segment lies in the file as the loader must map it."""
    segments = [[int(field, 16) for field in row] for row in _LOAD.findall(_read(path, "-lW"))]
    return bool(segments) and all(
        offset % alignment == address % alignment for offset, address, alignment in segments
    )


def _read(path: Path, what: str) -> str:
    return subprocess.run(["readelf", what, str(path)], capture_output=True, text=True).stdout
