"""Help: the guide, commands by name, the log without anything private, doctor, licences."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QScrollArea, QWidget
from pytestqt.qtbot import QtBot

from app.ui.actions import COMMANDS
from app.ui.application import resources_folder
from app.ui.help.area import read_logs
from app.ui.help.doctor_dialog import DoctorDialog
from app.ui.help.guide import GuidePage, load_guide, search
from app.ui.help.guide_page import GuideView
from app.ui.help.keyboard_map import KeyboardMap
from app.ui.help.licences import load_parts
from app.ui.help.licences_dialog import LicencesDialog
from app.ui.help.log_dialog import LogDialog
from app.ui.theme import Theme
from tests.ui.conftest import in_qt_loop


@pytest.fixture(scope="module")
def pages() -> tuple[GuidePage, ...]:
    return load_guide(resources_folder() / "guide")


def test_every_page_of_the_guide_is_loaded(pages: tuple[GuidePage, ...]) -> None:
    files = {file.stem for file in (resources_folder() / "guide").glob("*.md")}
    assert {page.name for page in pages} == files
    assert pages[0].name == "index"


def test_the_search_wants_all_words_and_puts_titles_first() -> None:
    made = (
        GuidePage("a", "Models", "# Models\nAbout a **fox** and [links](b.md)."),
        GuidePage("b", "The fox", "# The fox\nJumps."),
        GuidePage("c", "Other", "# Other\nA dog."),
    )
    assert [hit.page.name for hit in search(made, "FOX")] == ["b", "a"]
    assert [hit.page.name for hit in search(made, "fox links")] == ["a"]
    assert search(made, "fox zebra") == ()
    assert search(made, "  ") == ()
    assert "**" not in search(made, "fox links")[0].around


def test_the_guide_is_searched_and_opened_by_keyboard(
    pages: tuple[GuidePage, ...], theme: Theme, qtbot: QtBot
) -> None:
    view = GuideView(pages, theme)
    host = QScrollArea()  # never a window of its own
    host.setWidget(view)
    qtbot.addWidget(host)
    host.show()
    QTest.keyClicks(view.search, "quantization")
    QTest.keyClick(view.search, Qt.Key.Key_Return)
    assert view.page != "index"
    assert "uantization" in view.text.toPlainText()
    view.search.setText("zzzz nothing has this")
    assert "No page" in view.list.item(0).text()


def test_links_lead_to_pages_and_foreign_ones_are_handed_out(
    pages: tuple[GuidePage, ...], theme: Theme, qtbot: QtBot
) -> None:
    view = GuideView(pages, theme)
    qtbot.addWidget(view)
    outside: list[str] = []
    view.outside.connect(outside.append)
    for target in ("agent.md", "https://example.org/x", "file:///etc/passwd"):
        view.text.anchorClicked.emit(target)
    assert view.page == "agent"
    assert outside == ["https://example.org/x"]


@in_qt_loop
async def test_the_keyboard_map_has_every_command_and_runs_one(open_window: Any) -> None:
    async with open_window() as opened:
        window = opened.window
        shown = KeyboardMap(window.menuBar(), window._theme, window)
        rows = dict(shown.rows)
        for name, action in window.actions_by_name.items():
            assert action.text().rstrip("…").replace("&", "") in rows, name
        assert rows["New Chat"] == "Ctrl+N"
        ran: list[bool] = []
        window.actions_by_name["zoom_in"].triggered.connect(lambda: ran.append(True))
        shown.field.setText("larger te")
        assert [name for name, _keys in shown.rows] == ["Larger Text"]
        QTest.keyClick(shown, Qt.Key.Key_Return)
        assert ran == [True]
        window._theme.reset_zoom()


def test_no_two_commands_share_keys() -> None:
    keys = [key for command in COMMANDS for key in command.keys]
    assert len(keys) == len(set(keys))


def test_the_log_is_copied_without_what_is_private(theme: Theme, qtbot: QtBot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = LogDialog(theme, parent)
    assert not dialog.copy.isEnabled()
    dialog.show_logs("clean report", {"garret.log": "my secret"})
    assert dialog.text.toPlainText() == "clean report"
    dialog.copy.click()
    assert QGuiApplication.clipboard().text() == "clean report"
    dialog.whole.setChecked(True)
    assert "my secret" in dialog.text.toPlainText()
    dialog.copy.click()
    assert QGuiApplication.clipboard().text() == "clean report"


def test_missing_logs_are_empty_and_long_ones_are_read_at_their_end(tmp_path: Path) -> None:
    (tmp_path / "garret.log").write_bytes(b"x" * 300_000 + b"\nend\xff")
    logs = read_logs(tmp_path)
    assert logs["engine.log"] == ""
    assert len(logs["garret.log"]) <= 200_000
    assert logs["garret.log"].endswith("end�")


@dataclass
class Found:
    check: str
    level: str
    text: str
    remedy: str = ""


def test_the_doctor_counts_what_needs_a_remedy(theme: Theme, qtbot: QtBot) -> None:
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = DoctorDialog(theme, parent)
    dialog.show_findings(
        [Found("engine", "ok", "It starts."), Found("models", "problem", "None.", "Get one.")]
    )
    words = [label.text() for label in dialog.findChildren(QLabel)]
    assert "One thing needs a remedy." in words
    assert "None. Get one." in words
    assert "problem  models: None. Get one." in dialog.text


def test_licences_come_from_the_bundle_when_there_is_one(
    tmp_path: Path, theme: Theme, qtbot: QtBot
) -> None:
    part = {"name": "Zlib", "version": "1", "licence": "Zlib", "home": "h", "texts": ["All of it"]}
    (tmp_path / "licences.json").write_text(json.dumps([part]))
    own = tmp_path / "LICENSE"
    own.write_text("Apache")
    parts = load_parts(tmp_path, own)
    assert [(one.name, one.licence) for one in parts] == [
        ("Garret", "Apache-2.0"),
        ("Zlib", "Zlib"),
    ]
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = LicencesDialog(theme, parent)
    dialog.show_parts(parts)
    assert dialog.text.toPlainText() == "Apache"
    dialog.list.setCurrentRow(1)
    assert "All of it" in dialog.text.toPlainText()


def test_without_a_bundle_the_installed_packages_are_listed(tmp_path: Path) -> None:
    names = {part.name for part in load_parts(tmp_path)}
    assert {"Garret", "qasync", "httpx"} <= names
