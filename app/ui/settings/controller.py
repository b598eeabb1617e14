"""Ties the stored settings to the page: writes off the GUI thread, says inline what was refused."""

from __future__ import annotations

import asyncio

from PySide6.QtCore import QObject

from app.core.errors import SettingError
from app.core.setting_list import BY_KEY, SETTINGS
from app.core.settings import Settings
from app.ui.settings.page import SettingsPage
from app.ui.tasks import TaskOwner


class SettingsController(QObject):
    """One page, one Settings."""

    def __init__(self, page: SettingsPage, settings: Settings, tasks: TaskOwner) -> None:
        super().__init__(page)
        self._page = page
        self._settings = settings
        self._tasks = tasks
        page.changed.connect(self._on_changed)
        page.reset_wanted.connect(self._on_reset)
        self.refresh()

    def refresh(self) -> None:
        """Shows what is stored."""
        self._page.show_values(
            {setting.key: self._settings.get(setting.key) for setting in SETTINGS}
        )

    def _on_changed(self, key: str, value: object) -> None:
        # a name of its own per key: two quick changes of two settings must both be kept
        self._tasks.start(f"setting-{key}", self._store({key: value}))

    def _on_reset(self, section: str) -> None:
        values: dict[str, object] = {
            setting.key: setting.default
            for setting in SETTINGS
            if section in ("", setting.section) and not setting.hidden
        }
        self._tasks.start(f"settings-reset-{section}", self._store(values))

    async def _store(self, values: dict[str, object]) -> None:
        try:
            await asyncio.to_thread(self._settings.set_many, values)
        except SettingError as error:
            key = str(error.facts.get("key") or next(iter(values)))
            self.refresh()
            self._page.show_error(key if key in BY_KEY else next(iter(values)), str(error))
            return
        self.refresh()
