"""What the system's own notices and the line in the window do with time and clicks."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QObject, Qt, Signal
from PySide6.QtWidgets import QMainWindow, QWidget
from pytestqt.qtbot import QtBot

from app.ui import notices as module
from app.ui.icons import Icons
from app.ui.notices import Notices
from app.ui.theme import Theme
from app.ui.toast import Toast


class FakeTray(QObject):
    """A system tray that keeps what it was asked to show."""

    messageClicked = Signal()
    activated = Signal(object)
    available = True
    made: list[FakeTray]

    def __init__(self, _icon: object, window: QWidget) -> None:
        super().__init__(window)
        self.is_shown = False
        self.said: list[tuple[str, str]] = []
        FakeTray.made.append(self)

    @staticmethod
    def isSystemTrayAvailable() -> bool:
        return FakeTray.available

    @staticmethod
    def supportsMessages() -> bool:
        return FakeTray.available

    def show(self) -> None:
        self.is_shown = True

    def hide(self) -> None:
        self.is_shown = False

    def showMessage(self, title: str, words: str, _icon: object) -> None:
        self.said.append((title, words))


@pytest.fixture
def tray(monkeypatch: pytest.MonkeyPatch) -> type[FakeTray]:
    FakeTray.made, FakeTray.available = [], True
    monkeypatch.setattr(module, "QSystemTrayIcon", FakeTray)
    return FakeTray


@pytest.fixture
def window(qtbot: QtBot) -> Any:
    window = QMainWindow()
    qtbot.addWidget(window)
    return window


def test_the_system_says_it_once_for_each_thing_with_one_icon(
    tray: type[FakeTray], window: QMainWindow, icons: Icons
) -> None:
    notices = Notices(window, icons, lambda: True)
    notices.tell("Qwen3-Coder-Next is ready.")
    notices.tell("The answer is there.")
    (one,) = tray.made
    assert one.is_shown
    assert one.said == [
        ("Garret", "Qwen3-Coder-Next is ready."),
        ("Garret", "The answer is there."),
    ]
    notices.close()
    assert not one.is_shown


@pytest.mark.qt_log_ignore(r"does not support raise\(\)")  # offscreen
@pytest.mark.parametrize("by", ["message", "icon"])
def test_a_click_on_it_brings_the_window_to_the_front(
    tray: type[FakeTray], window: QMainWindow, icons: Icons, by: str
) -> None:
    notices = Notices(window, icons, lambda: True)
    window.showMinimized()
    notices.tell("Done.")
    if by == "message":
        tray.made[0].messageClicked.emit()
    else:
        tray.made[0].activated.emit(0)
    assert not window.isMinimized()
    assert window.isVisible()
    notices.close()


def test_a_system_without_a_place_for_notices_gets_no_icon(
    tray: type[FakeTray], window: QMainWindow, icons: Icons
) -> None:
    tray.available = False
    assert Notices(window, icons, lambda: True).tell("Done.")
    assert tray.made == []


def test_nothing_is_said_that_nobody_wants(
    tray: type[FakeTray], window: QMainWindow, icons: Icons
) -> None:
    assert not Notices(window, icons, lambda: False).tell("Done.")
    assert tray.made == []


def test_the_line_waits_while_the_mouse_is_on_it(
    qtbot: QtBot, theme: Theme, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = QWidget()
    qtbot.addWidget(host)
    host.resize(600, 400)
    host.show()
    pressed: list[bool] = []
    toast = Toast(theme, host)
    toast.say("Garret 9.9.9 is out.", action="Open its page", then=lambda: pressed.append(True))
    over = [True]
    monkeypatch.setattr(toast, "underMouse", lambda: over[0])
    toast._timer.timeout.emit()
    assert toast.isVisible()
    qtbot.mouseClick(toast.button, Qt.MouseButton.LeftButton)
    assert pressed == [True]
    assert not toast.isVisible()
    toast.say("This is the newest version.")
    over[0] = False
    toast._timer.timeout.emit()
    assert not toast.isVisible()
