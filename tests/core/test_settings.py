from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import SettingError
from app.core.setting_list import BY_KEY, SECTIONS, SETTINGS
from app.core.setting_rules import Setting
from app.core.settings import Settings, check_value, default_values


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config" / "settings.json"


def test_a_new_user_gets_the_defaults_and_no_file(file: Path) -> None:
    settings = Settings.load(file)
    assert {key: settings.get(key) for key in BY_KEY} == default_values()
    assert not file.exists()


def test_a_change_survives_a_restart(file: Path) -> None:
    Settings.load(file).set("look.theme", "dark")
    assert Settings.load(file).text("look.theme") == "dark"


def test_going_back_to_the_default_leaves_nothing_in_the_file(file: Path) -> None:
    settings = Settings.load(file)
    settings.set("look.theme", "dark")
    settings.set("look.theme", "system")
    assert json.loads(file.read_text()) == {}


def test_lists_come_back_as_tuples_without_repeats(file: Path) -> None:
    Settings.load(file).set("endpoint.keys", ["a", "b", "a"])
    assert Settings.load(file).items("endpoint.keys") == ("a", "b")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("no.such.key", 1),
        ("look.theme", "purple"),
        ("look.theme", 1),
        ("engine.threads", 9999),
        ("engine.threads", True),
        ("engine.threads", 4.0),
        ("engine.threads", -1),
        ("endpoint.port", 80),
        ("endpoint.enabled", 1),
        ("endpoint.keys", "a key"),
        ("endpoint.keys", [""]),
        ("endpoint.keys", [str(i) for i in range(51)]),
        ("models.folder", "relative/folder"),
        ("models.folder", "/a\0b"),
        ("models.folder", None),
        ("chat.system_prompt", "x" * 20_001),
        ("chat.system_prompt", b"x"),
    ],
)
def test_bad_values_are_refused_and_change_nothing(file: Path, key: str, value: object) -> None:
    settings = Settings.load(file)
    with pytest.raises(SettingError) as caught:
        settings.set(key, value)
    assert caught.value.remedy
    assert {name: settings.get(name) for name in BY_KEY} == default_values()
    assert not file.exists()


def test_the_special_value_lies_outside_the_bounds_and_is_allowed() -> None:
    assert check_value("engine.threads", 0) == 0
    assert check_value("engine.context_tokens", 0) == 0
    with pytest.raises(SettingError, match="2,048"):
        check_value("engine.context_tokens", 1)


def test_several_changes_are_all_or_nothing(file: Path) -> None:
    settings = Settings.load(file)
    with pytest.raises(SettingError):
        settings.set_many({"look.theme": "dark", "endpoint.port": 1})
    assert settings.text("look.theme") == "system"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe\x00", b"null", b'"x"'])
def test_a_corrupt_file_is_set_aside_and_never_fatal(file: Path, content: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    settings = Settings.load(file)
    assert settings.set_aside is not None
    assert settings.set_aside.read_bytes() == content
    assert settings.text("look.theme") == "system"
    settings.set("look.theme", "dark")
    assert Settings.load(file).text("look.theme") == "dark"


def test_one_bad_value_in_the_file_costs_only_itself(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(json.dumps({"look.theme": "purple", "endpoint.port": 9000}))
    settings = Settings.load(file)
    assert settings.text("look.theme") == "system"
    assert settings.number("endpoint.port") == 9000
    assert len(settings.problems) == 1
    assert "Theme" in settings.problems[0]


def test_what_a_newer_version_stored_is_kept(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(json.dumps({"future.thing": [1, 2]}))
    Settings.load(file).set("look.theme", "dark")
    assert json.loads(file.read_text()) == {"future.thing": [1, 2], "look.theme": "dark"}


def test_two_garrets_do_not_undo_each_others_changes(file: Path) -> None:
    first, second = Settings.load(file), Settings.load(file)
    first.set("look.theme", "dark")
    second.set("endpoint.port", 9000)
    fresh = Settings.load(file)
    assert (fresh.text("look.theme"), fresh.number("endpoint.port")) == ("dark", 9000)


def test_a_failed_write_keeps_the_old_file_and_the_old_value(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings.load(file)
    settings.set("look.theme", "dark")
    before = file.read_bytes()

    def full_disk(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(SettingError, match="No space left"):
        settings.set("look.theme", "light")
    assert file.read_bytes() == before
    assert settings.text("look.theme") == "dark"
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


@pytest.mark.skipif(os.name != "posix", reason="file modes are a POSIX matter")
def test_only_the_user_can_read_the_file(file: Path) -> None:
    Settings.load(file).set("endpoint.keys", ["secret"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_listeners_hear_real_changes_only_until_they_leave() -> None:
    settings = Settings()
    heard: list[tuple[str, object]] = []
    leave = settings.subscribe(lambda key, value: heard.append((key, value)))
    settings.set("look.theme", "dark")
    settings.set("look.theme", "dark")
    leave()
    settings.set("look.theme", "light")
    assert heard == [("look.theme", "dark")]


def test_reset_spares_what_the_app_remembers_by_itself() -> None:
    settings = Settings()
    settings.set_many({"look.theme": "dark", "models.last": "starter"})
    settings.reset()
    assert settings.text("look.theme") == "system"
    assert settings.text("models.last") == "starter"


def test_a_bug_report_holds_no_secret() -> None:
    settings = Settings()
    settings.set_many({"models.hub_token": "hf_canary", "endpoint.keys": ["canary"]})
    settings.set("look.theme", "dark")
    assert settings.changed() == {"look.theme": "dark"}


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)
def test_every_declaration_is_sound(setting: Setting) -> None:
    assert check_value(setting.key, setting.default) == setting.default
    assert setting.section in {section.key for section in SECTIONS}
    assert setting.title
    assert setting.title[-1] != "."
    assert setting.hidden or setting.help.endswith(".")
    assert (setting.kind == "choice") == bool(setting.choices)
    assert (setting.special is None) == (setting.special_title == "")
    if setting.kind in ("number", "decimal"):
        assert setting.minimum is not None
        assert setting.maximum is not None


def test_keys_are_unique() -> None:
    assert len(BY_KEY) == len(SETTINGS)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(key=st.sampled_from(sorted(BY_KEY)), value=json_values)
def test_any_stored_value_is_either_usable_or_refused_politely(key: str, value: object) -> None:
    try:
        checked = check_value(key, value)
    except SettingError:
        return
    assert check_value(key, checked) == checked
