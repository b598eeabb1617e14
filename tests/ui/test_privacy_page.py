"""The list of connections on the privacy page, notices, and what the View menu keeps."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtWidgets import QMainWindow, QMessageBox, QPushButton
from pytestqt.qtbot import QtBot

from app.compose import SettingsFollower, _maintain
from app.core.network_log import NetworkLog
from app.core.prompt_states import PromptStates, tag_of
from app.core.setting_list import BY_KEY, SECTIONS, SETTINGS
from app.core.settings import Settings
from app.storage.storage import open_storage
from app.ui.actions import COMMANDS
from app.ui.icons import Icons
from app.ui.notices import Notices
from app.ui.settings.controller import SettingsController
from app.ui.settings.page import SettingsPage
from app.ui.settings.privacy_control import PrivacyControl
from app.ui.settings.privacy_panel import PrivacyPanel
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from tests.ui.conftest import in_qt_loop, until


@in_qt_loop
async def test_every_connection_is_listed_newest_first_and_can_be_cleared(
    theme: Theme, qtbot: QtBot, tmp_path: Path
) -> None:
    log = NetworkLog(tmp_path / "network.jsonl")
    log.note("hub.example.org", "Asked about <b>a model</b>", 1_234)
    log.note("cdn.example.org", "Download of m.gguf", 5_000_000_000)
    log.note("hub.example.org", "Asked about the Hub", failed=True)
    panel = PrivacyPanel(theme)
    qtbot.addWidget(panel)
    tasks = TaskOwner()
    states = PromptStates(tmp_path / "states")
    control = PrivacyControl(panel, log, tasks, lambda: None, states)
    control.refresh()
    rows = [panel.table.topLevelItem(row) for row in range(3)]
    assert [row.text(1) for row in rows if row] == [
        "hub.example.org", "cdn.example.org", "hub.example.org"
    ]  # fmt: skip
    assert [row.text(3) for row in rows if row] == ["failed", "5.0 GB", "1 kB"]
    await until(lambda: panel.now.text().startswith("At this moment"))
    panel.clear.click()
    await until(lambda: panel.table.topLevelItemCount() == 0)
    assert NetworkLog(tmp_path / "network.jsonl").entries() == ()
    await tasks.close()


@in_qt_loop
async def test_what_the_engine_keeps_is_measured_and_cleared(
    theme: Theme, qtbot: QtBot, tmp_path: Path
) -> None:
    (tmp_path / "a.0.state").write_bytes(bytes(3_000_000))
    panel = PrivacyPanel(theme)
    qtbot.addWidget(panel)
    tasks = TaskOwner()
    log = NetworkLog(tmp_path / "network.jsonl")
    control = PrivacyControl(panel, log, tasks, lambda: None, PromptStates(tmp_path))
    assert not panel.forget.isEnabled()
    control.refresh()
    await until(lambda: "3 MB" in panel.kept.text())
    panel.forget.click()
    await until(lambda: not panel.forget.isEnabled())
    assert PromptStates(tmp_path).files() == []
    assert "No prompt states" in panel.kept.text()
    await tasks.close()


def test_notices_come_only_when_wanted_and_nobody_looks(theme: Theme, icons: Icons) -> None:
    window = QMainWindow()
    wanted = [True]
    notices = Notices(window, icons, lambda: wanted[0])
    assert notices.tell("Done.")  # the window is not in front
    wanted[0] = False
    assert not notices.tell("Done.")
    notices.close()
    window.deleteLater()


@in_qt_loop
async def test_the_view_menu_is_kept_in_the_settings(open_window: Any, theme: Theme) -> None:
    async with open_window() as opened:
        settings = Settings()
        tasks = TaskOwner()
        follower = SettingsFollower(settings, theme, opened.window, None, None)  # type: ignore[arg-type]
        follower.follow_look()
        theme.changed.connect(lambda: follower.keep_look(tasks))
        opened.window.actions_by_name["zoom_in"].trigger()
        opened.window.actions_by_name["theme_dark"].trigger()
        await until(lambda: settings.text("look.theme") == "dark")
        await until(lambda: settings.number("look.text_size") == 110)
        settings.set_many({"look.text_size": 125, "look.theme": "light"})
        follower.follow_look()
        assert (theme.base_zoom, theme.scheme) == (1.25, "light")
        await tasks.close()
        theme.reset_zoom()


@in_qt_loop
async def test_all_settings_go_back_after_a_question(
    theme: Theme, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QMessageBox, "open", lambda _self: None)  # offscreen warns about sizes
    page = SettingsPage(SECTIONS, SETTINGS, theme)
    qtbot.addWidget(page)
    settings = Settings()
    settings.set_many({"look.text_size": 150, "chat.enter_sends": False, "models.last": "m"})
    tasks = TaskOwner()
    SettingsController(page, settings, tasks)
    page._reset_all.click()
    buttons = page.findChildren(QPushButton)
    next(one for one in buttons if one.text() == "Set back").click()
    await until(lambda: settings.flag("chat.enter_sends"))
    assert settings.number("look.text_size") == BY_KEY["look.text_size"].default
    assert settings.text("models.last") == "m"
    await tasks.close()


def test_every_command_has_keys_that_no_desktop_takes() -> None:
    taken = {"Ctrl+Alt+L", "Ctrl+Alt+D", "Ctrl+Alt+T", "Ctrl+Alt+Del", "Ctrl+Shift+U"}
    for command in COMMANDS:
        assert command.keys, command.name
        assert not taken & set(command.keys), command.name


def test_a_chat_that_goes_for_good_takes_its_prompt_states_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.compose._FIRST_SECONDS_S", 0.0)
    states = PromptStates(tmp_path)

    def left() -> set[str]:
        return {path.name for path in states.files()}

    async def scenario() -> None:
        storage = await open_storage(tmp_path / "chats.sqlite3")
        kept, trashed = await storage.chats.create(), await storage.chats.create()
        for name, uid in (("kept", kept.uid), ("trashed", trashed.uid), ("long gone", "x")):
            states.new_path(name, tag_of(uid)).touch()
        await storage.chats.trash(trashed.id)
        window: Any = None
        task = asyncio.create_task(_maintain(storage, window, states))
        await until(lambda: len(left()) == 2)
        assert {name.split(".")[0] for name in left()} == {"kept", "trashed"}
        await storage.chats.purge(older_than_s=0)
        assert {name.split(".")[0] for name in left()} == {"kept"}
        assert states.forgotten().covers(tag_of(trashed.uid), 1)
        task.cancel()
        await asyncio.wait({task})
        await storage.close()

    asyncio.run(scenario())
