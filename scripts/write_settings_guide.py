"""Writes resources/guide/settings.md from the list of settings; a test compares the two."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.core.setting_docs import settings_page

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "resources" / "guide" / "settings.md"


def main() -> int:
    """Writes the page."""
    PAGE.write_text(settings_page(), encoding="utf-8")
    print(PAGE)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
