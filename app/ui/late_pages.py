"""Pages that are built after the window is on screen, so that it appears at once."""

from __future__ import annotations

import asyncio

from app.core.engine_view import EngineView
from app.core.network_log import NetworkLog
from app.core.paths import Paths
from app.core.settings import Settings
from app.library.service import LibraryService
from app.session.agent_session import AgentSession
from app.session.engine_seat import EngineSeat
from app.session.engines import load_knowledge
from app.session.model_library import build_library
from app.ui.agent.controller import AgentController
from app.ui.agent.page import AgentPage
from app.ui.agent.verbs import AgentVerbs
from app.ui.hardware.controller import HardwareController
from app.ui.hardware.page import HardwarePage
from app.ui.help.area import Doctor
from app.ui.icons import Icons
from app.ui.main_window import MainWindow
from app.ui.models.controller import ModelsController
from app.ui.models.page import ModelsPage
from app.ui.more_areas import MoreAreas
from app.ui.settings.build import SettingsArea
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme


class LatePages:
    """The agent page and the models page, with what must be closed when the window is."""

    def __init__(
        self,
        agent: AgentSession,
        library: LibraryService,
        models: ModelsController,
        hardware: HardwareController,
        more: MoreAreas,
    ) -> None:
        self._agent = agent
        self._library = library
        self._models = models
        self._hardware = hardware
        self._more = more

    def set_engine_view(self, view: EngineView) -> None:
        self._models.set_engine_view(view)
        self._hardware.set_engine_view(view)
        self._more.set_engine_view(view)

    def instructions(self) -> str:
        return self._models.instructions()

    async def close(self) -> None:
        """Ends the agent's run; downloads pause and go on at the next start."""
        await self._agent.close()
        await self._more.close()
        await asyncio.to_thread(self._library.downloader.close)


def add_late_pages(
    window: MainWindow,
    paths: Paths,
    settings: Settings,
    seat: EngineSeat,
    theme: Theme,
    icons: Icons,
    tasks: TaskOwner,
    settings_area: SettingsArea | None = None,
    doctor: Doctor | None = None,
) -> LatePages:
    """Adds the pages to the window."""
    more = MoreAreas(window, paths, settings, seat, theme, icons, tasks)
    agent = AgentSession(seat, paths, settings, lambda: seat.view)
    agent_page = AgentPage(theme, icons)
    controller = AgentController(agent_page, agent, tasks, theme)
    controller.run_ended.connect(more.tell)
    window.add_page("agent", window.tr("Agent"), "agent", agent_page, "Ctrl+2")
    actions = window.actions_by_name
    AgentVerbs(agent_page, controller, actions, lambda: window.show_page("agent"))
    log = NetworkLog(paths.network_log if settings.flag("privacy.keep_list") else None)
    library = build_library(paths, settings, log)
    models_page = ModelsPage(theme, icons)
    known = load_knowledge(paths)
    models = ModelsController(models_page, library, seat, tasks, more.say, settings, known, theme)
    window.add_page("models", window.tr("Models"), "model", models_page, "Ctrl+3")
    hardware_page = HardwarePage(theme, icons)
    window.add_page("hardware", window.tr("Hardware"), "hardware", hardware_page, "Ctrl+6")
    hardware = HardwareController(hardware_page, library, seat, tasks, more.say)
    models.start()
    more.add(library, models, agent, log, settings_area, doctor)
    return LatePages(agent, library, models, hardware, more)
