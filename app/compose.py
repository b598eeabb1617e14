"""The composition root: builds the objects and hands them to who needs them. No globals.

The window comes first. What talks to the engine (an HTTP client among it) is imported on a thread
once the window is on screen; until then the engine's seat is empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import os
import sys
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from app.client.spawn import SpareEngine
from app.core.engine_view import EngineView
from app.core.errors import GarretError
from app.core.logs import log_to_file
from app.core.paths import Paths, find_paths
from app.core.prompt_states import PromptStates, tag_of
from app.core.settings import Settings
from app.session.engine_seat import EngineSeat
from app.storage.storage import Storage, open_storage
from app.ui.application import (
    create_application,
    icons_folder,
    install_translation,
    resources_folder,
    run,
)
from app.ui.icons import Icons
from app.ui.main_window import MainWindow
from app.ui.ports import ChatOptions, ChatServices
from app.ui.single_instance import SingleInstance, instance_name
from app.ui.start_marks import COMMAND as MARK_THE_START
from app.ui.start_marks import StartMarks
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from app.ui.updates_control import UpdatesControl
from app.ui.window_state import WindowState

if TYPE_CHECKING:  # imported for real once the window is on screen
    from app.ui.late_pages import LatePages
    from app.ui.settings.build import SettingsArea

_DAY_S = 24 * 3600.0
_FIRST_SECONDS_S = 5.0  # they belong to the window and the engine
_PAGES_AT_LATEST_S = 4.0
_LOOK_AGAIN_S = 0.1


def main(argv: list[str], spare: SpareEngine | None = None) -> int:
    """Opens the window; returns when it is closed. `spare` is an engine started early."""
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

    marked = argv[:1] == [MARK_THE_START]

    async def window() -> int:
        return await _run_window(paths, settings, theme, instance, marked, spare)

    try:
        return run(app, window)
    finally:
        instance.close()


async def _run_window(
    paths: Paths,
    settings: Settings,
    theme: Theme,
    instance: SingleInstance,
    marked: bool,
    spare: SpareEngine | None,
) -> int:
    storage = await open_storage(paths.chats_file, paths.backups)
    seat = EngineSeat()
    marks = StartMarks(seat) if marked else None
    icons = Icons(icons_folder(), theme)
    tasks = TaskOwner(on_error=lambda name, error: window.report(name, error))
    state = WindowState(paths.config / "window.ini")
    chat = marks.engine if marks is not None else seat
    services = ChatServices(
        storage,
        chat,
        seat,
        lambda: late.instructions() or settings.text("chat.system_prompt"),
        lambda: next(iter(settings.items("agent.recent_folders")), ""),
    )
    window = MainWindow(theme, icons, services, state, tasks)
    instance.woken.connect(window.wake)
    updates = UpdatesControl(paths, settings, resources_folder(), tasks, window.toast)
    window.updates_wanted.connect(updates.ask)
    late = _Late()
    if marks is not None:
        marks.follow(window, window.chat_page, window.chats.send)

    said: set[str] = set()

    def on_view(view: EngineView) -> None:
        if marks is not None:
            marks.see(view)
        window.set_engine_view(view)
        if view.notice and view.notice not in said:
            said.add(view.notice)
            window.toast.say(view.notice)
        late.set_engine_view(view)

    seat.on_change = on_view
    follower = SettingsFollower(settings, theme, window, seat, paths)
    loop = asyncio.get_running_loop()

    def on_setting(key: str, _value: object) -> None:
        # settings are written on a thread, so their listeners are called there
        loop.call_soon_threadsafe(_on_setting_changed, key)

    def _on_setting_changed(key: str) -> None:
        late.refresh_settings()
        if (work := follower.follow(key)) is not None:
            tasks.start(f"follow-{key}", work)

    follower.follow_look()
    theme.changed.connect(lambda: follower.keep_look(tasks))
    unsubscribe = settings.subscribe(on_setting)
    window.show()
    gc.freeze()  # what is there now stays to the end
    gc.enable()
    tasks.start("engine-open", _seat_engine(seat, paths, settings, spare))
    tasks.start("maintain", _maintain(storage, window, PromptStates(paths.prefix_cache)))
    tasks.start("mirror", _mirror(storage, settings))
    tasks.start("pages", late.build(window, paths, settings, seat, theme, icons, tasks))
    try:
        await window.until_closed()
    finally:
        unsubscribe()
        seat.on_change = lambda _view: None
        await tasks.close()
        await late.close()
        await seat.close()
        await storage.close()
    return 0


class _Late:
    """What is built after the first paint; empty until then."""

    def __init__(self) -> None:
        self.pages: LatePages | None = None
        self._settings: SettingsArea | None = None
        self._engine_runs = asyncio.Event()

    async def build(
        self,
        window: MainWindow,
        paths: Paths,
        settings: Settings,
        seat: EngineSeat,
        theme: Theme,
        icons: Icons,
        tasks: TaskOwner,
    ) -> None:
        """Imports on a thread, builds on this one; the way to the first answer goes first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PAGES_AT_LATEST_S):
                await self._engine_runs.wait()
                while window.chats.busy_chats:  # noqa: ASYNC110 - somebody has asked at once
                    await asyncio.sleep(_LOOK_AGAIN_S)
        module = await asyncio.to_thread(importlib.import_module, "app.ui.settings.build")
        area: SettingsArea = module.SettingsArea(settings, theme, tasks, lambda: seat.view)
        window.add_page("settings", window.tr("Settings"), "settings", area.page, "Ctrl+,")
        self._settings = area
        module = await asyncio.to_thread(importlib.import_module, "app.ui.late_pages")
        parts = (window, paths, settings, seat, theme, icons, tasks)
        self.pages = module.add_late_pages(*parts, settings_area=area, doctor=_doctor)

    def set_engine_view(self, view: EngineView) -> None:
        if view.phase not in ("stopped", "starting"):
            self._engine_runs.set()
        if self._settings is not None and view.phase != "loading":
            self._settings.refresh_endpoint()
        if self.pages is not None:
            self.pages.set_engine_view(view)

    def instructions(self) -> str:
        """What new chats with the model in use begin with; '' for nothing of its own."""
        return self.pages.instructions() if self.pages is not None else ""

    def refresh_settings(self) -> None:
        """After one of them has changed."""
        if self._settings is not None:
            self._settings.refresh()

    async def close(self) -> None:
        if self.pages is not None:
            await self.pages.close()


async def _doctor() -> Sequence[Any]:
    """What `garret doctor` finds."""
    module = await asyncio.to_thread(importlib.import_module, "app.cli.doctor")
    report = await module.collect()
    return tuple(report["findings"])


async def _seat_engine(
    seat: EngineSeat, paths: Paths, settings: Settings, spare: SpareEngine | None = None
) -> None:
    engines = await asyncio.to_thread(importlib.import_module, "app.session.engines")
    control, chat = engines.build_engine(paths, settings, seat.show, spare)
    await seat.take(control, chat)


class SettingsFollower:
    """Makes a changed setting true while the window is open."""

    def __init__(
        self,
        settings: Settings,
        theme: Theme,
        window: MainWindow,
        seat: EngineSeat,
        paths: Paths,
    ) -> None:
        self._settings = settings
        self._theme = theme
        self._window = window
        self._seat = seat
        self._paths = paths

    def follow_look(self) -> None:
        """Theme, code font and how chats are shown, at once."""
        self._theme.set_zoom(self._settings.number("look.text_size") / 100)
        scheme = self._settings.text("look.theme")
        if scheme in ("system", "light", "dark") and scheme != self._theme.scheme:
            self._theme.set_scheme(scheme)  # type: ignore[arg-type]  # checked on the line above
        self._window.set_options(
            ChatOptions(
                enter_sends=self._settings.flag("chat.enter_sends"),
                show_thinking=self._settings.flag("chat.show_thinking"),
                show_speed=self._settings.flag("chat.show_speed"),
                code_font=self._settings.text("look.code_font"),
            )
        )

    def keep_look(self, tasks: TaskOwner) -> None:
        """The View menu changed text size or colours: that is the setting, too."""
        shown = {
            "look.text_size": round(self._theme.base_zoom * 100),
            "look.theme": self._theme.scheme,
        }
        changed = {key: now for key, now in shown.items() if self._settings.get(key) != now}
        if changed:
            tasks.start("keep-look", asyncio.to_thread(self._settings.set_many, changed))

    def follow(self, key: str) -> Coroutine[Any, Any, None] | None:
        """The work a change calls for, if any."""
        if key.startswith(("look.", "chat.")):
            self.follow_look()
        if key in _NEW_ENGINE:
            return _seat_engine(self._seat, self._paths, self._settings)
        return None


# A running engine keeps its port and its address; these settings need a fresh one.
_NEW_ENGINE = frozenset(
    {
        "engine.remote_url",
        "engine.remote_key",
        "endpoint.enabled",
        "endpoint.port",
        "endpoint.require_key",
        "endpoint.keys",
    }
)


async def _mirror(storage: Storage, settings: Settings) -> None:
    await asyncio.sleep(_FIRST_SECONDS_S)
    module = await asyncio.to_thread(importlib.import_module, "app.session.mirror_keeper")
    await module.keep_mirror(storage, lambda: settings.text("chat.mirror_folder"))


async def _maintain(storage: Storage, window: MainWindow, states: PromptStates) -> None:
    """Checks, backs up and tidies now and daily; says what the user should know.

    A chat that is deleted for good takes along what the engine kept of it, also when Garret was
    ended in between.
    """
    storage.chats.on_purged = lambda uids: states.forget(map(tag_of, uids))
    if storage.recovery is not None:
        window.toast.say(storage.recovery.sentence, is_problem=True)
    await asyncio.sleep(_FIRST_SECONDS_S)
    while True:
        try:
            await storage.maintain()
            known = [tag_of(uid) for uid in await storage.chats.uids()]
            await asyncio.to_thread(states.keep_only, known)
        except GarretError as error:
            window.show_problem(error)
        await asyncio.sleep(_DAY_S)


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
