"""Builds the demo page with its parts and adds it to the window."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices

from app.core.engine_view import EngineView
from app.core.paths import Paths
from app.session.demo_run import DemoRunner
from app.session.demos import load_demos
from app.session.engine_seat import EngineSeat
from app.ui.application import resources_folder
from app.ui.demo.controller import DemoController
from app.ui.demo.page import DemoPage
from app.ui.icons import Icons
from app.ui.main_window import MainWindow
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme


class DemoArea:
    """The page, its runner and what must be closed."""

    def __init__(
        self,
        window: MainWindow,
        paths: Paths,
        seat: EngineSeat,
        theme: Theme,
        icons: Icons,
        tasks: TaskOwner,
        is_busy: Callable[[], bool],
    ) -> None:
        self._window = window
        self._seat = seat
        self._runner = DemoRunner(seat, paths)
        self.page = DemoPage(theme, icons)
        self._control = DemoController(
            self.page,
            self._runner,
            load_demos(resources_folder() / "demos"),
            tasks,
            self._name_of,
            lambda: window.chats.is_answering or is_busy(),
            lambda path: QDesktopServices.openUrl(QUrl.fromLocalFile(str(path))),
        )
        window.add_page("demo", window.tr("Demo"), "present", self.page, "Ctrl+4")
        self.page.models_wanted.connect(lambda: window.show_page("models"))
        self.page.large_type_wanted.connect(window.actions_by_name["present"].trigger)
        self._control.leave_large_type.connect(lambda: window.view_controls.set_presenting(False))
        window.actions_by_name["demo_reset"].triggered.connect(self._control.reset)
        window.actions_by_name["demo_what"].triggered.connect(self.page.toggle_facts)

    def set_engine_view(self, view: EngineView) -> None:
        self._control.set_engine_view(view)

    async def close(self) -> None:
        """Ends what runs and removes every scratch folder."""
        await self._runner.close()

    def _name_of(self, model_id: str) -> str:
        names = {choice.model_id: choice.name for choice in self._seat.choices()}
        return names.get(model_id, model_id)
