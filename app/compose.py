"""The composition root: builds the objects and hands them to who needs them. No globals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

from app.client.openai_chat import OpenAIChatEngine
from app.client.supervisor import EngineSupervisor, EngineView, SupervisedChatEngine
from app.core.control import EngineBoot
from app.core.errors import GarretError
from app.core.logs import log_to_file
from app.core.paths import Paths, find_paths
from app.core.ports import ChatEngine
from app.core.settings import Settings
from app.library.store import Store
from app.session.local_engine import LocalEngine
from app.session.remote_engine import RemoteEngine
from app.storage.storage import Storage, open_storage
from app.ui.application import create_application, icons_folder, install_translation, run
from app.ui.icons import Icons
from app.ui.main_window import MainWindow
from app.ui.ports import ChatServices
from app.ui.single_instance import SingleInstance, instance_name
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from app.ui.window_state import WindowState

_log = logging.getLogger(__name__)


def main(argv: list[str]) -> int:
    """Opens the window; returns when it is closed."""
    _require_screen()
    paths = find_paths()
    paths.make()
    log_to_file(paths.logs)
    app = create_application([sys.argv[0], *argv])
    instance = SingleInstance(instance_name(paths.data))
    if instance.ask_running_one():
        return 0
    instance.listen()
    settings = Settings.load(paths.settings_file)
    install_translation(app, settings.text("look.language"))
    theme = Theme(app)

    async def window() -> int:
        return await _run_window(paths, settings, theme, instance)

    try:
        return run(app, window)
    finally:
        instance.close()


async def _run_window(
    paths: Paths, settings: Settings, theme: Theme, instance: SingleInstance
) -> int:
    storage = await open_storage(paths.chats_file, paths.backups)
    views = _Views()
    control, engine = build_engine(paths, settings, views)
    icons = Icons(icons_folder(), theme)
    tasks = TaskOwner(on_error=lambda name, error: window.report(name, error))
    state = WindowState(paths.config / "window.ini")
    window = MainWindow(theme, icons, ChatServices(storage, engine, control), state, tasks)
    views.listener = window.set_engine_view
    instance.woken.connect(window.wake)
    apply_settings(settings, theme)
    unsubscribe = settings.subscribe(lambda _key, _value: apply_settings(settings, theme))
    window.show()
    tasks.start("engine-open", control.open())
    tasks.start("maintain", _maintain(storage))
    try:
        await window.until_closed()
    finally:
        unsubscribe()
        views.listener = None
        await tasks.close()
        await control.close()
        await storage.close()
    return 0


def build_engine(
    paths: Paths, settings: Settings, views: _Views
) -> tuple[LocalEngine | RemoteEngine, ChatEngine]:
    """The engine the settings name: another one's address, or our own process."""
    if url := settings.text("engine.remote_url"):
        chat = OpenAIChatEngine(url, settings.text("engine.remote_key") or None)
        return RemoteEngine(chat, views, settings.text("models.last")), chat
    folder = settings.text("models.folder")
    store = Store(Path(folder).expanduser() if folder else paths.models)
    supervisor = EngineSupervisor(
        engine_boot(paths, settings), paths.logs / "engine.log", on_change=views
    )
    return LocalEngine(supervisor, store, settings), SupervisedChatEngine(supervisor)


def engine_boot(paths: Paths, settings: Settings) -> EngineBoot:
    """What the engine process is told at its start: the endpoint's switch, keys and port."""
    share = settings.flag("endpoint.enabled")
    return EngineBoot(
        token="",
        port=settings.number("endpoint.port") if share else 0,
        share=share,
        user_keys=settings.items("endpoint.keys"),
        any_user_key=share and not settings.flag("endpoint.require_key"),
        prefix_cache_dir=str(paths.prefix_cache),
        log_path=str(paths.logs / "engine.log"),
    )


def apply_settings(settings: Settings, theme: Theme) -> None:
    """What shows at once: theme and text size."""
    scheme = settings.text("look.theme")
    if scheme in ("system", "light", "dark") and scheme != theme.scheme:
        theme.set_scheme(scheme)  # type: ignore[arg-type]  # checked on the line above


class _Views:
    """Carries engine views to the window, which is built after the supervisor."""

    def __init__(self) -> None:
        self.listener: Callable[[EngineView], None] | None = None

    def __call__(self, view: EngineView) -> None:
        if self.listener is not None:
            self.listener(view)


async def _maintain(storage: Storage) -> None:
    await asyncio.sleep(5.0)  # the first seconds belong to the window and the engine
    with contextlib.suppress(GarretError):
        await storage.maintain()


def _require_screen() -> None:
    """Qt aborts the process where there is no screen; say so instead.

    Raises: GarretError.
    """
    if not sys.platform.startswith("linux"):
        return
    if any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")):
        return
    raise GarretError(
        "There is no screen to show the window on.",
        "Start garret from a desktop session, or use garret chat, serve or agent here.",
    )
