"""Asks for a newer version when the user presses the button in About, and says what came of it."""

from __future__ import annotations

import asyncio
import importlib
from pathlib import Path

from PySide6.QtCore import QObject, QUrl
from PySide6.QtGui import QDesktopServices

from app.core.network_log import NetworkLog
from app.core.paths import Paths
from app.core.settings import Settings
from app.ui.tasks import TaskOwner
from app.ui.toast import Toast


class UpdatesControl(QObject):
    """Connects to nothing by itself. Errors go to the task owner, which tells them."""

    def __init__(
        self, paths: Paths, settings: Settings, resources: Path, tasks: TaskOwner, toast: Toast
    ) -> None:
        super().__init__(toast)
        self._paths = paths
        self._settings = settings
        self._resources = resources
        self._tasks = tasks
        self._toast = toast

    def ask(self) -> None:
        """One question, unless one is under way."""
        if not self._tasks.running("updates"):
            self._tasks.start("updates", self._ask())

    async def _ask(self) -> None:
        module = await asyncio.to_thread(importlib.import_module, "app.library.updates")
        kept = self._paths.network_log if self._settings.flag("privacy.keep_list") else None
        source = module.source_of_build(self._resources)
        check = module.UpdateCheck(source, self._paths.updates_file, NetworkLog(kept))
        update = await asyncio.to_thread(check.run)
        if not update.is_newer:
            self._toast.say(self.tr("This is the newest version."))
            return
        words = self.tr("Garret {version} is out.").format(version=update.version)
        if update.is_urgent:
            words += " " + self.tr("It closes a hole in yours; please install it soon.")
        self._toast.say(
            words,
            action=self.tr("Open its page"),
            then=lambda: QDesktopServices.openUrl(QUrl(update.page)),
        )
