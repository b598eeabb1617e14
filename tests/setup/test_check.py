from __future__ import annotations

from pathlib import Path

import pytest

from scripts import check


def test_a_module_over_the_cap_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "small.py").write_text("x = 1\n" * 100)
    assert check.sizes_are_fine(tmp_path)
    (tmp_path / "app" / "large.py").write_text("x = 1\n" * 501)
    assert not check.sizes_are_fine(tmp_path)
    assert "large.py: 501" in capsys.readouterr().out


def test_a_tree_without_modules_is_no_success(tmp_path: Path) -> None:
    assert not check.sizes_are_fine(tmp_path)
