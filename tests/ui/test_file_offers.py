"""“@” names files of the workspace and attaches them; nothing outside it, nothing ignored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.core.errors import WorkspaceError
from app.session.workspace_files import WorkspaceFiles
from app.ui.file_offers import FileOffers, best_paths
from tests.ui.conftest import in_qt_loop, until

OpenWindow = Callable[..., Any]
pytestmark = pytest.mark.qt_log_ignore("This plugin (does not )?support", extend=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    (root / "src" / "main.py").write_text("print('hello')\n")
    (root / "domain.md").write_text("words\n")
    (root / "built.o").write_bytes(b"\0\1")
    (root / ".gitignore").write_text("*.log\n")
    (root / "run.log").write_text("noise\n")
    (tmp_path / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(tmp_path / "secret.txt")
    return root


def test_names_that_begin_with_the_word_come_first() -> None:
    paths = ("src/domain/x.py", "src/domain.py", "main.py", "a/b/Main.go")
    assert best_paths(paths, "main") == [
        "main.py",
        "a/b/Main.go",
        "src/domain.py",
        "src/domain/x.py",
    ]


def test_ignored_files_and_links_are_not_listed_and_nothing_outside_is_read(folder: Path) -> None:
    async def scenario() -> None:
        files = WorkspaceFiles()
        listed = await files.paths(str(folder))
        assert {"src/main.py", "domain.md"} <= set(listed)
        assert not {"run.log", "link.txt"} & set(listed)
        assert (await files.read(str(folder), "src/main.py")).text == "print('hello')\n"
        for path in ("../secret.txt", "link.txt", "built.o", "gone.py"):
            with pytest.raises(WorkspaceError):
                await files.read(str(folder), path)
        assert await files.paths(str(folder / "gone")) == ()

    asyncio.run(scenario())


@in_qt_loop
async def test_a_file_is_completed_after_an_at_and_attached(
    open_window: OpenWindow, folder: Path
) -> None:
    async with open_window() as opened:
        composing, composer = opened.window.composing, opened.window.chat_page.composer
        composing.files._folder = lambda: str(folder)
        opened.window.activateWindow()
        composer.text.setFocus()
        QTest.keyClicks(composer.text, "Explain @mai")
        await until(lambda: composing.files._paths)
        composing.completion.refresh()
        composing.completion._on_text()
        assert composing.completion.isVisible()
        QTest.keyClick(composer.text, Qt.Key.Key_Return)
        assert composer.current_text == "Explain `src/main.py` "
        await until(lambda: composer.files.parts)
        assert composer.files.parts[0].text == "print('hello')\n"


@in_qt_loop
async def test_without_a_workspace_an_at_is_an_at(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        composer = opened.window.chat_page.composer
        QTest.keyClicks(composer.text, "@me")
        assert not opened.window.composing.completion.isVisible()
        assert isinstance(opened.window.composing.files, FileOffers)
