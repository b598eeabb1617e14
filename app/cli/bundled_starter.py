"""The starter model that lies inside a bundle goes into the user's store at the first start."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from app.core.errors import GarretError
from app.core.paths import Paths, find_paths
from app.core.settings import Settings
from app.library.starter import add_starter
from app.library.store import Store

MARKER = "starter-added"
_NEED_NO_MODEL = ("--", "-h", "--help", "-V", "--version", "help", "doctor", "acp")


def bundled_starter() -> Path | None:
    """The GGUF inside this bundle; None when there is none or this is no bundle."""
    bundle = getattr(sys, "_MEIPASS", None)
    if bundle is None:
        return None
    return next(iter(sorted((Path(bundle) / "resources" / "models").glob("*.gguf"))), None)


def needs_model(argv: Sequence[str]) -> bool:
    """False for the commands that show something and end, and for our own helper processes."""
    first = argv[0] if argv else ""
    return not first.startswith("_") and first not in _NEED_NO_MODEL


def offer(argv: Sequence[str], source: Path | None = None, paths: Paths | None = None) -> None:
    """Adds the bundled model once; a user who removes it later is not given it again."""
    model = source or bundled_starter()
    if model is None or not needs_model(argv):
        return
    folders = paths or find_paths()
    marker = folders.data / MARKER
    if marker.exists():
        return
    try:
        folders.make()
        chosen = Settings.load(folders.settings_file).text("models.folder")
        add_starter(Store(Path(chosen).expanduser() if chosen else folders.models), model)
        marker.touch()
    except GarretError as error:
        sys.stderr.write(f"garret: {error}\n")
    except OSError as error:
        sys.stderr.write(f"garret: The starter model could not be stored: {error.strerror}.\n")
