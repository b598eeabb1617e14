from __future__ import annotations

from pathlib import Path

from app.core.setting_docs import default_words, settings_page
from app.core.setting_list import BY_KEY, SETTINGS

PAGE = Path(__file__).parents[2] / "resources" / "guide" / "settings.md"


def test_the_guide_says_what_the_list_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_page(), (
        "run scripts/write_settings_guide.py"
    )


def test_every_visible_setting_is_in_the_guide_and_no_hidden_one() -> None:
    text = settings_page()
    for setting in SETTINGS:
        assert (f"**{setting.title}** (" in text) is not setting.hidden


def test_defaults_are_said_in_words() -> None:
    assert default_words(BY_KEY["engine.threads"]) == "Automatic, or 1 to 256"
    assert default_words(BY_KEY["chat.enter_sends"]) == "on"
    assert default_words(BY_KEY["models.folder"]) == "empty"
    assert default_words(BY_KEY["look.theme"]) == "Like the system"
    assert default_words(BY_KEY["look.text_size"]) == "100 %, or 75 to 220 %"
