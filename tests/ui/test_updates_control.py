from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QWidget

from app import __version__
from app.core.paths import find_paths
from app.core.settings import Settings
from app.library import updates
from app.ui.application import icons_folder
from app.ui.buttons import FlatButton
from app.ui.help_dialogs import About
from app.ui.icons import Icons
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from app.ui.toast import Toast
from app.ui.updates_control import UpdatesControl


class Told(Toast):
    """Keeps what it was told."""

    def __init__(self, theme: Theme, parent: QWidget) -> None:
        super().__init__(theme, parent)
        self.told: list[str] = []

    def say(self, words: str, **_rest: object) -> None:
        self.told.append(words)


def told(qapp: QApplication, folder: Path) -> tuple[list[str], list[str]]:
    """What the user reads after asking, and the errors of the task."""
    host = QWidget()
    toast, errors = Told(Theme(qapp), host), []
    paths = find_paths({"GARRET_HOME": str(folder / "home")})

    async def scene() -> None:
        tasks = TaskOwner(on_error=lambda _name, error: errors.append(str(error)))
        control = UpdatesControl(paths, Settings.load(paths.settings_file), folder, tasks, toast)
        control.ask()
        while tasks.running("updates"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    asyncio.run(scene())
    return toast.told, errors


def test_a_build_without_an_address_says_so(qapp: QApplication, tmp_path: Path) -> None:
    words, errors = told(qapp, tmp_path)
    assert not words
    assert "knows no address" in errors[0]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (updates.Update("9.1", "https://example.org/", "", True, True), "Garret 9.1 is out."),
        (updates.Update("0.1", "https://example.org/", "", False, False), "the newest version"),
    ],
)
def test_the_answer_is_told(
    qapp: QApplication,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    found: updates.Update,
    expected: str,
) -> None:
    key = base64.b64encode(b"k" * 32).decode()
    build = {"update_url": "https://example.org/u.json", "update_key": key}
    (tmp_path / "build.json").write_text(json.dumps(build))
    monkeypatch.setattr(updates.UpdateCheck, "run", lambda _self: found)
    words, errors = told(qapp, tmp_path)
    assert not errors
    assert expected in words[0]


def test_the_about_window_asks_only_when_pressed(qapp: QApplication) -> None:
    theme, host = Theme(qapp), QWidget()
    about = About(__version__, theme, Icons(icons_folder(), theme), host)
    asked: list[bool] = []
    about.updates_wanted.connect(lambda: asked.append(True))
    assert not asked
    (button,) = [b for b in about.findChildren(FlatButton) if "newer" in b.text()]
    button.click()
    assert asked == [True]
