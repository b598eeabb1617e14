"""Builds the help: the guide as a page, and the dialogs behind the Help menu."""

from __future__ import annotations

import asyncio
import getpass
import platform
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from PySide6.QtCore import QObject, QUrl
from PySide6.QtGui import QDesktopServices

from app.core.bug_report import bug_report
from app.core.build import version_line
from app.core.errors import GarretError
from app.core.paths import Paths
from app.core.setting_list import SETTINGS
from app.core.settings import Settings
from app.ui.application import resources_folder
from app.ui.help.doctor_dialog import DoctorDialog, Finding
from app.ui.help.guide import load_guide
from app.ui.help.guide_page import GuideView
from app.ui.help.licences import load_parts
from app.ui.help.licences_dialog import LicencesDialog
from app.ui.help.log_dialog import LogDialog
from app.ui.main_window import MainWindow
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme

Doctor = Callable[[], Awaitable[Sequence[Finding]]]
LOGS = ("garret.log", "engine.log")
_TAIL_BYTES = 200_000
_PLAIN = ("switch", "choice", "number", "decimal")  # the other kinds hold words of the user


class HelpArea(QObject):
    """One per window. `doctor` looks at this computer, as `garret doctor` does."""

    def __init__(
        self,
        window: MainWindow,
        paths: Paths,
        settings: Settings,
        theme: Theme,
        tasks: TaskOwner,
        doctor: Doctor | None,
    ) -> None:
        super().__init__(window)
        self._window = window
        self._paths = paths
        self._settings = settings
        self._theme = theme
        self._tasks = tasks
        self._doctor = doctor
        self.guide = GuideView(load_guide(resources_folder() / "guide"), theme)
        window.add_page("help", window.tr("Help"), "help", self.guide, "Ctrl+5")
        self.guide.left.connect(lambda: window.view_controls.set_presenting(False))
        self.guide.outside.connect(lambda url: QDesktopServices.openUrl(QUrl(url)))
        actions = window.actions_by_name
        actions["guide"].triggered.connect(lambda: window.show_page("help"))
        actions["search_help"].triggered.connect(self._on_search)
        actions["log"].triggered.connect(self._on_log)
        actions["doctor"].triggered.connect(self._on_doctor)
        actions["doctor"].setEnabled(doctor is not None)
        actions["licences"].triggered.connect(self._on_licences)

    def _on_search(self) -> None:
        self._window.show_page("help")
        self.guide.search.setFocus()
        self.guide.search.selectAll()

    def _on_log(self) -> None:
        dialog = LogDialog(self._theme, self._window)
        dialog.finished.connect(dialog.deleteLater)
        dialog.folder_wanted.connect(
            lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._paths.logs)))
        )
        dialog.open()
        self._tasks.start("help-log", self._read_logs(dialog))

    def _on_doctor(self) -> None:
        dialog = DoctorDialog(self._theme, self._window)
        dialog.finished.connect(lambda _code: self._tasks.cancel("help-doctor"))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        self._tasks.start("help-doctor", self._look(dialog))

    def _on_licences(self) -> None:
        dialog = LicencesDialog(self._theme, self._window)
        dialog.finished.connect(lambda _code: self._tasks.cancel("help-licences"))
        dialog.finished.connect(dialog.deleteLater)
        dialog.open()
        self._tasks.start("help-licences", self._list_parts(dialog))

    async def _read_logs(self, dialog: LogDialog) -> None:
        logs = await asyncio.to_thread(read_logs, self._paths.logs)
        report = await asyncio.to_thread(self._report, logs)
        dialog.show_logs(report, logs)

    async def _look(self, dialog: DoctorDialog) -> None:
        assert self._doctor is not None
        try:
            dialog.show_findings(await self._doctor())
        except GarretError as error:
            dialog.show_problem(str(error))

    async def _list_parts(self, dialog: LicencesDialog) -> None:
        folder = resources_folder()
        dialog.show_parts(await asyncio.to_thread(load_parts, folder, folder.parent / "LICENSE"))

    def _report(self, logs: dict[str, str]) -> str:
        changed = self._settings.changed()
        kinds = {setting.key: setting.kind for setting in SETTINGS}
        shown = [f"{key}={value}" for key, value in changed.items() if kinds[key] in _PLAIN]
        facts = {
            "Garret": version_line(),
            "System": f"{platform.system()} {platform.release()} {platform.machine()}",
            "Python": platform.python_version(),
            "Changed settings": ", ".join(shown) or "none",
        }
        lines = {name: text.splitlines() for name, text in logs.items()}
        return bug_report(facts, lines, private_words())


def private_words() -> tuple[str, ...]:
    """What people and their computers are called here."""
    home = Path.home()
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = ""
    return tuple(word for word in (user, home.name, socket.gethostname()) if word)


def read_logs(folder: Path) -> dict[str, str]:
    """The end of each log, as text."""
    found = {}
    for name in LOGS:
        try:
            with (folder / name).open("rb") as file:
                file.seek(0, 2)
                file.seek(max(0, file.tell() - _TAIL_BYTES))
                found[name] = file.read().decode("utf-8", "replace")
        except OSError:
            found[name] = ""
    return found
