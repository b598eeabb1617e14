from __future__ import annotations

import json
from pathlib import Path

import pytest

from app import __version__
from app.core.build import version_line


def test_a_bundle_says_which_commit_it_was_made_from(tmp_path: Path) -> None:
    (tmp_path / "build.json").write_text(json.dumps({"version": "x", "commit": "90272c5a1b2c"}))
    assert version_line(tmp_path) == f"{__version__} (build 90272c5a1b2c)"


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"commit": "unknown"}', '{"commit": 7}'])
def test_without_a_commit_it_is_the_version_alone(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "build.json").write_text(text)
    assert version_line(tmp_path) == __version__
