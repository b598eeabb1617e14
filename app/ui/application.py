"""The QApplication and its asyncio loop, in pieces for the composition root.

    app = create_application(sys.argv)
    instance = SingleInstance(name)            # app.ui.single_instance
    if instance.ask_running_one(): return 0
    return run(app, main)                      # main() builds the window and awaits its end

`main` is a coroutine that returns the exit code; the usual one builds `Theme(app)`,
`Icons(icons_folder(), theme)`, opens the storage, starts the supervisor, makes the `MainWindow`,
shows it and awaits `window.until_closed()`.
"""

from __future__ import annotations

import asyncio
import builtins
import logging
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import qasync
from PySide6.QtCore import QLibraryInfo, QLocale, QTranslator
from PySide6.QtWidgets import QApplication

_log = logging.getLogger(__name__)
_NATIVE_STYLES = {"darwin", "win32"}


def resources_folder() -> Path:
    """resources/, beside the package or inside a bundle."""
    bundle = getattr(sys, "_MEIPASS", None)
    root = Path(bundle) if bundle else Path(__file__).resolve().parents[2]
    return root / "resources"


def icons_folder() -> Path:
    """Where the SVG files are."""
    return resources_folder() / "icons"


def create_application(argv: Sequence[str]) -> QApplication:
    """The one QApplication, named and styled; nothing is shown yet."""
    app = QApplication(list(argv))
    app.setApplicationName("garret")
    app.setApplicationDisplayName("Garret")
    app.setDesktopFileName("garret")
    app.setQuitOnLastWindowClosed(False)
    if sys.platform not in _NATIVE_STYLES:
        app.setStyle("fusion")
    return app


def import_plainly() -> None:
    """Undoes PySide's replacement of `import`.

    It reads the source of every module imported after Qt to see whether that uses Qt too, for a
    feature (`from __feature__ import …`) nothing here uses: a tenth of a second at each start.
    """
    original = getattr(builtins, "__orig_import__", None)
    if original is not None:
        builtins.__import__ = original


def install_translation(app: QApplication, language: str) -> QTranslator | None:
    """Loads resources/translations/garret_<language>.qm; None when there is none."""
    locale = QLocale() if language == "system" else QLocale(language)
    folder = resources_folder() / "translations"
    translator = QTranslator(app)
    if not translator.load(locale, "garret", "_", str(folder)):
        return None
    app.installTranslator(translator)
    widgets = QTranslator(app)
    qt_folder = QLibraryInfo.path(QLibraryInfo.LibraryPath.TranslationsPath)
    if widgets.load(locale, "qtbase", "_", qt_folder):
        app.installTranslator(widgets)
    return translator


def run(app: QApplication, main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Runs `main` in a Qt-driven asyncio loop until it returns; its exit code."""
    sys.excepthook = _log_exception  # a slot that raises ends there, not in the loop
    loop = qasync.QEventLoop(app)
    asyncio.set_event_loop(loop)
    closing: set[asyncio.Task[None]] = set()

    def close_later(generator: AsyncGenerator[Any, Any]) -> None:
        task = loop.create_task(generator.aclose())
        closing.add(task)
        task.add_done_callback(closing.discard)

    old_hooks = sys.get_asyncgen_hooks()
    # qasync installs none: a stream dropped in the middle would never be closed
    sys.set_asyncgen_hooks(finalizer=lambda agen: loop.call_soon_threadsafe(close_later, agen))
    try:
        with loop:
            return int(loop.run_until_complete(main()))
    finally:
        sys.excepthook = sys.__excepthook__  # a start that fails must be seen
        sys.set_asyncgen_hooks(*old_hooks)
        asyncio.set_event_loop(None)


def _log_exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    _log.critical("a bug surfaced in a slot", exc_info=(kind, error, trace))
