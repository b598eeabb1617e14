"""Windows for the tests, coroutine tests inside the Qt loop, and a look for what is left behind."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import qasync
import shiboken6
from PySide6.QtCore import QCoreApplication, QEvent, QTimer
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from app.storage.storage import Storage, open_storage
from app.ui.application import icons_folder
from app.ui.icons import Icons
from app.ui.main_window import MainWindow
from app.ui.ports import ChatServices
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from app.ui.transcript.transcript import Transcript
from app.ui.window_state import WindowState
from tests.fakes import FakeEngine, FakeEngineControl

os.environ["QT_QPA_PLATFORM"] = "offscreen"  # before pytest-qt makes the application
TEST_LIMIT_S = 20.0
CoroutineTest = Callable[..., Coroutine[Any, Any, None]]


def in_qt_loop(test: CoroutineTest) -> Callable[..., None]:
    """Runs a coroutine test in a Qt-driven asyncio loop; a task left behind fails it."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        app = QApplication.instance()
        loop = qasync.QEventLoop(app)
        asyncio.set_event_loop(loop)
        try:
            with loop:
                loop.run_until_complete(_with_limit(test(*args, **kwargs)))
        finally:
            asyncio.set_event_loop(None)

    return run


async def _with_limit(work: Coroutine[Any, Any, None]) -> None:
    before = asyncio.all_tasks()
    await asyncio.wait_for(work, TEST_LIMIT_S)
    await asyncio.sleep(0)
    left = [task.get_name() for task in asyncio.all_tasks() - before if not task.done()]
    assert not left, f"tasks left running: {left}"


async def until(condition: Callable[[], object], limit_s: float = 8.0) -> None:
    """Waits for something a user would see."""
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110  any widget state, not one event
            await asyncio.sleep(0.01)


@pytest.fixture(scope="session", autouse=True)
def whole_turns() -> Iterator[None]:
    """What a turn shows does not depend on how fast this machine is; some tests set less."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.ui.transcript.turn.BUDGET_S", 5.0)
        yield


@pytest.fixture(scope="session", autouse=True)
def few_pixmaps() -> Iterator[None]:
    """Icons of one size: drawing all eight of each took a third of most tests here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.ui.icons._SIZES", (20,))
        patch.setattr("app.ui.icons._SCALES", (1.0,))
        yield


@pytest.fixture(autouse=True)
def nothing_is_left_behind(qapp: QApplication) -> Iterator[None]:
    """Fails a test that leaves a running timer, a window or a thread."""
    gc.freeze()  # what is there already is no part of this test's collections and searches
    threads = set(threading.enumerate())
    timers = set(map(id, _running_timers()))
    yield
    for widget in QApplication.topLevelWidgets():
        if shiboken6.isValid(widget):
            widget.close()
            widget.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
    gc.collect()
    left = [timer for timer in _running_timers() if id(timer) not in timers]
    owners = [f"{timer.parent()!r} every {timer.interval()} ms" for timer in left]
    assert not owners, f"timers left running: {owners}"
    # a QThread that once ran Python leaves a dummy entry; the loop's executor joins its own
    fresh = [t for t in set(threading.enumerate()) - threads if not t.name.startswith("Dummy-")]
    for thread in fresh:
        if thread.name == "load lexer":  # ends by itself
            thread.join(10)
    alive = [thread.name for thread in fresh if thread.is_alive()]
    assert not alive, f"threads left running: {alive}"


def _running_timers() -> list[QTimer]:
    return [
        thing
        for thing in gc.get_objects()
        if isinstance(thing, QTimer) and shiboken6.isValid(thing) and thing.isActive()
    ]


@pytest.fixture
def theme(qapp: QApplication) -> Iterator[Theme]:
    qapp.setStyle("fusion")
    made = Theme(qapp)
    yield made
    made.set_scheme("light")
    made.deleteLater()


@pytest.fixture
def icons(theme: Theme) -> Icons:
    return Icons(icons_folder(), theme)


@pytest.fixture
def transcript(theme: Theme, icons: Icons, qtbot: QtBot) -> Transcript:
    made = Transcript(theme, icons)
    made.resize(800, 600)
    qtbot.addWidget(made)
    made.show()
    return made


@dataclass
class Opened:
    """A window with everything around it."""

    window: MainWindow
    storage: Storage
    engine: FakeEngine
    control: FakeEngineControl
    problems: list[str]


@pytest.fixture
def open_window(theme: Theme, icons: Icons, tmp_path: Path) -> Callable[..., Any]:
    """`async with open_window(engine) as opened:`; the data folder is the test's own."""

    @asynccontextmanager
    async def opener(
        engine: FakeEngine | None = None,
        control: FakeEngineControl | None = None,
        folder: Path = tmp_path,
    ) -> AsyncIterator[Opened]:
        storage = await open_storage(folder / "chats.sqlite3")
        problems: list[str] = []
        tasks = TaskOwner(lambda name, error: problems.append(f"{name}: {error!r}"))
        services = ChatServices(storage, engine or FakeEngine(), control or FakeEngineControl())
        state = WindowState(tmp_path / "window.ini")
        window = MainWindow(theme, icons, services, state, tasks)
        window.show()
        opened = Opened(window, storage, services.engine, services.control, problems)  # type: ignore[arg-type]
        try:
            yield opened
        finally:
            window.close()
            await window.until_closed()
            await storage.close()
            _delete(window)
        assert not problems, problems

    return opener


def _delete(window: QWidget) -> None:
    window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
