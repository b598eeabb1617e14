"""Which build of Garret this is: its version, and in a bundle the commit it was made from."""

from __future__ import annotations

import json
import re
from pathlib import Path

from app import __version__

_RESOURCES = Path(__file__).resolve().parents[2] / "resources"


def version_line(resources: Path = _RESOURCES) -> str:
    """Such as "0.1.0 (build 90272c5a1b2c)"; the version alone in a checkout."""
    try:
        made = json.loads((resources / "build.json").read_text(encoding="utf-8"))
        commit = str(made["commit"])
    except (OSError, ValueError, TypeError, KeyError):
        return __version__
    known = re.fullmatch(r"[0-9a-f]{7,40}", commit)
    return f"{__version__} (build {commit})" if known else __version__
