from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.engine_view import EngineView
from app.core.setting_list import SECTIONS, SETTINGS
from app.core.settings import Settings
from app.ui.settings.build import SettingsArea
from app.ui.settings.fields import ChoiceField, ListField, NumberField, SwitchField, TextField
from app.ui.settings.page import SettingsPage
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from tests.ui.conftest import in_qt_loop, until


@pytest.fixture
def theme(qapp: QApplication) -> Theme:
    return Theme(qapp)


@pytest.fixture
def page(qtbot: QtBot, theme: Theme) -> SettingsPage:
    made = SettingsPage(SECTIONS, SETTINGS, theme)
    qtbot.addWidget(made)
    return made


def test_every_visible_setting_has_a_row_in_its_section(page: SettingsPage) -> None:
    assert set(page.rows) == {one.key for one in SETTINGS if not one.hidden}
    page.show_section("endpoint")
    shown = {key for key, row in page.rows.items() if row.isVisibleTo(page)}
    assert shown == {one.key for one in SETTINGS if one.section == "endpoint" and not one.hidden}


def test_search_finds_rows_of_every_section(page: SettingsPage) -> None:
    page.search.setText("theme")
    shown = {key for key, row in page.rows.items() if row.isVisibleTo(page)}
    assert "look.theme" in shown
    assert "endpoint.port" not in shown


def test_showing_values_announces_nothing(page: SettingsPage) -> None:
    heard: list[tuple[str, object]] = []
    page.changed.connect(lambda key, value: heard.append((key, value)))
    page.show_values({one.key: one.default for one in SETTINGS})
    assert heard == []


def test_inputs_announce_their_value(page: SettingsPage, qtbot: QtBot) -> None:
    heard: dict[str, object] = {}
    page.changed.connect(heard.__setitem__)
    page.show_values({one.key: one.default for one in SETTINGS})
    for row in page.rows.values():
        field = row.field
        if isinstance(field, SwitchField):
            field.box.toggle()
        elif isinstance(field, NumberField):
            if field.special is not None:
                field.special.click()
            else:
                field.spin.stepUp()
                if row.setting.key not in heard:
                    field.spin.stepDown()
        elif isinstance(field, ChoiceField):
            field.box.activated.emit(0)
        elif isinstance(field, TextField) and field.line is not None:
            field.line.setText("changed")
            field.line.editingFinished.emit()
        elif isinstance(field, TextField) and field.area is not None:
            field.area.setPlainText("changed")
            field._on_done()
        elif isinstance(field, ListField):
            continue
    silent = {
        key
        for key, row in page.rows.items()
        if key not in heard and not isinstance(row.field, ListField)
    }
    assert silent == set()


@in_qt_loop
async def test_a_change_is_stored_and_a_refusal_is_said_in_its_row(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    settings = Settings.load(tmp_path / "settings.json")
    tasks = TaskOwner()
    area = SettingsArea(settings, Theme(qapp), tasks, EngineView)
    qtbot.addWidget(area.page)
    area.page.changed.emit("look.theme", "dark")
    await until(lambda: settings.text("look.theme") == "dark")
    area.page.changed.emit("endpoint.port", 3)
    row = area.page.rows["endpoint.port"]
    await until(lambda: row._error.text())
    assert settings.number("endpoint.port") == 8765
    await tasks.close()


@in_qt_loop
async def test_a_new_key_appears_in_the_snippets_and_can_be_copied(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    settings = Settings.load(tmp_path / "settings.json")
    tasks = TaskOwner()
    area = SettingsArea(settings, Theme(qapp), tasks, EngineView)
    qtbot.addWidget(area.page)
    field = area.page.rows["endpoint.keys"].field
    assert isinstance(field, ListField)
    field._on_new_key()
    await until(lambda: settings.items("endpoint.keys"))
    area.refresh()
    (key,) = settings.items("endpoint.keys")
    assert key in area.endpoint.text.toPlainText()
    assert key not in field.list.item(0).text()
    qtbot.mouseClick(area.endpoint.copy, Qt.MouseButton.LeftButton)
    assert key in QGuiApplication.clipboard().text()
    await tasks.close()
