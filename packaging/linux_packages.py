"""The bundle as .tar.zst and .deb."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

LINUX = Path(__file__).resolve().parent / "linux"
ICON_SIZES = (16, 24, 32, 48, 64, 128, 256, 512)
# Loaded by name only when wanted, or brought by the graphics driver; not found by reading files.
ALSO_NEEDED = ("libegl1", "libgl1", "libxcb-cursor0", "libfontconfig1")
_GLIBC = ("libc", "libm", "libdl", "libpthread", "librt", "libutil", "libresolv", "ld-linux-x86-64")
_UNRULY = {"libz.so.1": "zlib1g", "libglib-2.0.so.0": "libglib2.0-0"}


def make_archive(bundle: Path, target: Path, version: str, name: str = "") -> Path:
    """garret-<version>-linux-x86_64.tar.zst (or .tar.xz where zstd is missing), links kept.

    It unpacks to a folder garret-<version>-linux-x86_64, also under another file `name`.
    """
    root = f"garret-{version}-linux-x86_64"
    name = name or root
    if shutil.which("zstd") is None:
        out = target / f"{name}.tar.xz"
        with tarfile.open(out, "w:xz", preset=6) as tar:
            tar.add(bundle, root)
        return out
    out = target / f"{name}.tar.zst"
    with out.open("wb") as file:
        packer = subprocess.Popen(
            ["zstd", "-15", "-T0", "-q", "-c"], stdin=subprocess.PIPE, stdout=file
        )
        assert packer.stdin is not None
        with tarfile.open(fileobj=packer.stdin, mode="w|") as tar:
            tar.add(bundle, root)
        packer.stdin.close()
        if packer.wait() != 0:
            raise OSError("zstd failed")
    return out


def make_deb(bundle: Path, made: Path, target: Path, version: str) -> Path:
    """garret_<version>_amd64.deb: /usr/lib/garret, a command, a menu entry, icons, metadata."""
    tree = made.parent / "deb"
    shutil.rmtree(tree, ignore_errors=True)
    share = tree / "usr/share"
    _copy_bundle(bundle, tree / "usr/lib/garret")
    (tree / "usr/bin").mkdir(parents=True)
    (tree / "usr/bin/garret").symlink_to("../lib/garret/garret")
    put(LINUX / "garret.desktop", share / "applications")
    metainfo = "app.garret.Garret.metainfo.xml"
    put(LINUX / metainfo, share / "metainfo")
    for size in ICON_SIZES:
        icons = share / f"icons/hicolor/{size}x{size}/apps"
        put(made / f"garret-{size}.png", icons, "garret.png")
    put(LINUX / "copyright", share / "doc/garret")
    _put_manual(share / "man/man1", version)
    depends = ", ".join(debian_dependencies(bundle))
    control = (LINUX / "control").read_text(encoding="utf-8")
    for key, value in {
        "@VERSION@": version,
        "@INSTALLED_KIB@": str(installed_kib(tree)),
        "@DEPENDS@": depends,
    }.items():
        control = control.replace(key, value)
    return build_deb(tree, control, target / f"garret_{version}_amd64.deb")


def installed_kib(tree: Path) -> int:
    """What a package's tree takes on the disk."""
    return sum(f.lstat().st_size for f in tree.rglob("*") if f.is_file()) // 1024


def build_deb(tree: Path, control: str, out: Path) -> Path:
    """Packs `tree` as a Debian package and removes it."""
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(control, encoding="utf-8")
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(tree), str(out)],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "XZ_DEFAULTS": "-T0"},
    )
    shutil.rmtree(tree)
    return out


def debian_dependencies(bundle: Path) -> list[str]:
    """Debian packages that bring what the bundle's files link to and the bundle does not hold."""
    own = {path.name for path in bundle.rglob("*")}
    wanted = {name for path in elf_files(bundle) for name in needed(path)} - own
    cache = subprocess.run(
        ["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True
    ).stdout
    packages = set(ALSO_NEEDED)
    for name in sorted(wanted):
        found = re.search(rf"^\s*{re.escape(name)} \(.*x86-64.*\) => (\S+)", cache, re.MULTILINE)
        if found is None:
            continue  # an optional plugin's own affair; the build has refused real ones
        packages |= _owners(found.group(1)) or {debian_name(name)}
    packages.discard("libc6")
    return [f"libc6 (>= {glibc_floor(bundle)})", *sorted(packages)]


def debian_name(soname: str) -> str:
    """The package of a library by Debian's rule for their names, where dpkg knows no packages."""
    name, _, version = soname.lower().replace("_", "-").partition(".so.")
    if name in _GLIBC:
        return "libc6"
    between = "-" if name[-1].isdigit() else ""
    return _UNRULY.get(soname, f"{name}{between}{version.partition('.')[0]}")


def glibc_floor(bundle: Path) -> str:
    """The newest glibc version any file of the bundle asks for."""
    newest = (0, 0)
    for path in elf_files(bundle):
        answer = subprocess.run(["readelf", "-VW", str(path)], capture_output=True, text=True)
        for major, minor in re.findall(r"GLIBC_(\d+)\.(\d+)", answer.stdout):
            newest = max(newest, (int(major), int(minor)))
    return f"{newest[0]}.{newest[1]}"


def needed(path: Path) -> list[str]:
    """The sonames an ELF file links to."""
    answer = subprocess.run(["readelf", "-dW", str(path)], capture_output=True, text=True)
    return re.findall(r"\(NEEDED\)\s+Shared library: \[([^\]]+)\]", answer.stdout)


def run_paths(path: Path) -> list[str]:
    """The folders an ELF file is searched for libraries in."""
    answer = subprocess.run(["readelf", "-dW", str(path)], capture_output=True, text=True)
    found = re.findall(r"\((?:RPATH|RUNPATH)\)\s+Library r\w+: \[([^\]]*)\]", answer.stdout)
    return [folder for text in found for folder in text.split(":")]


def elf_files(bundle: Path) -> Iterable[Path]:
    for path in sorted(bundle.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(4) == b"\x7fELF":
                    yield path


def _owners(library: str) -> set[str]:
    for name in (library, os.path.realpath(library), f"/usr{library}"):
        answer = subprocess.run(["dpkg", "-S", name], capture_output=True, text=True)
        if answer.returncode == 0:
            return {line.split(":")[0] for line in answer.stdout.splitlines()}
    return set()


def _copy_bundle(bundle: Path, target: Path) -> None:
    shutil.copytree(bundle, target, symlinks=True)
    for path in target.rglob("*"):
        if path.is_symlink():
            continue
        runs = path.is_dir() or path.parent == target
        path.chmod(0o755 if runs else 0o644)


def _put_manual(folder: Path, version: str) -> None:
    folder.mkdir(parents=True)
    page = (LINUX / "garret.1").read_text(encoding="utf-8").replace("@VERSION@", version)
    target = folder / "garret.1.gz"
    target.write_bytes(gzip.compress(page.encode(), 9, mtime=0))
    target.chmod(0o644)


def put(source: Path, folder: Path, name: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / (name or source.name)
    shutil.copyfile(source, target)
    target.chmod(0o644)
