"""Another engine for the installed bundle: a folder of llama.cpp libraries, as .deb and .tar.zst.

A pack adds `backends/<name>` to the program's own folder and nothing else. The program tries it in
a process of its own and passes it over where it does not work (app/client/backends.py). It comes
apart from the bundle because one GPU engine is larger than everything that others need.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path, PurePosixPath

from linux_packages import (
    LINUX,
    build_deb,
    debian_name,
    elf_files,
    installed_kib,
    make_archive,
    needed,
    put,
)

from scripts.bootstrap.engine_wheel import link_copies

TITLES = {"vulkan": "graphics processors through Vulkan"}


def unpack_engine(wheel: Path, folder: Path) -> Path:
    """The engine's libraries out of a wheel, one copy of each.

    Raises:
        FileNotFoundError: the wheel holds no llama.cpp.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            path = PurePosixPath(member.filename)
            wanted = path.name.startswith(("libllama.so", "libggml"))
            if path.parent == PurePosixPath("llama_cpp/lib") and wanted and ".so" in path.name:
                (folder / path.name).write_bytes(archive.read(member))
    if not (folder / "libllama.so").exists():
        raise FileNotFoundError(f"no llama.cpp in {wheel.name}")
    link_copies(folder)
    return folder


def make_pack(folder: Path, name: str, work: Path, target: Path, version: str) -> list[Path]:
    """garret-<name> as .deb and as an archive to unpack over the bundle's."""
    tree = work / f"deb-{name}"
    shutil.rmtree(tree, ignore_errors=True)
    place = tree / "usr/lib/garret/_internal/backends" / name
    shutil.copytree(folder, place, symlinks=True)
    for path in tree.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
    put(LINUX / "copyright", tree / f"usr/share/doc/garret-{name}")
    control = (LINUX / "control-backend").read_text(encoding="utf-8")
    for key, value in {
        "@NAME@": name,
        "@TITLE@": TITLES.get(name, name),
        "@VERSION@": version,
        "@INSTALLED_KIB@": str(installed_kib(tree)),
        "@DEPENDS@": ", ".join([f"garret (= {version})", *_packages(folder)]),
    }.items():
        control = control.replace(key, value)
    deb = build_deb(tree, control, target / f"garret-{name}_{version}_amd64.deb")
    overlay = work / f"overlay-{name}"
    shutil.rmtree(overlay, ignore_errors=True)
    shutil.copytree(folder, overlay / "_internal/backends" / name, symlinks=True)
    archive = make_archive(overlay, target, version, name=f"garret-{name}-{version}-linux-x86_64")
    shutil.rmtree(overlay)
    return [deb, archive]


def _packages(folder: Path) -> list[str]:
    own = {path.name for path in folder.iterdir()}
    wanted = {soname for path in elf_files(folder) for soname in needed(path)} - own
    return sorted({debian_name(soname) for soname in wanted} - {"libc6"})
