"""A setting that nothing reads would be a promise nobody keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.core.setting_list import SECTIONS, SETTINGS, Setting

APP = Path(__file__).parents[2] / "app"
DECLARATIONS = {"setting_list.py", "setting_rules.py", "settings.py"}


@pytest.fixture(scope="module")
def source() -> str:
    files = [path for path in APP.rglob("*.py") if path.name not in DECLARATIONS]
    return "\n".join(path.read_text(encoding="utf-8") for path in files)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda one: one.key)
def test_every_setting_is_read_somewhere(setting: Setting, source: str) -> None:
    assert f'"{setting.key}"' in source


def test_every_section_has_a_visible_setting() -> None:
    visible = {one.section for one in SETTINGS if not one.hidden}
    assert {section.key for section in SECTIONS} == visible
