"""Pages that are built after the window is on screen, so that it appears at once."""

from __future__ import annotations

import asyncio

from app.core.engine_view import EngineView
from app.core.paths import Paths
from app.core.settings import Settings
from app.library.service import LibraryService
from app.session.agent_session import AgentSession
from app.session.engine_seat import EngineSeat
from app.session.model_library import build_library
from app.ui.agent.controller import AgentController
from app.ui.agent.page import AgentPage
from app.ui.icons import Icons
from app.ui.main_window import MainWindow
from app.ui.models.controller import ModelsController
from app.ui.models.page import ModelsPage
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme


class LatePages:
    """The agent page and the models page, with what must be closed when the window is."""

    def __init__(self, agent: AgentSession, library: LibraryService, models: ModelsController):
        self._agent = agent
        self._library = library
        self._models = models

    def set_engine_view(self, view: EngineView) -> None:
        self._models.set_engine_view(view)

    async def close(self) -> None:
        """Ends the agent's run; downloads pause and go on at the next start."""
        await self._agent.close()
        await asyncio.to_thread(self._library.downloader.close)


def add_late_pages(
    window: MainWindow,
    paths: Paths,
    settings: Settings,
    seat: EngineSeat,
    theme: Theme,
    icons: Icons,
    tasks: TaskOwner,
) -> LatePages:
    """Adds both pages to the window."""
    agent = AgentSession(seat, paths, settings, lambda: seat.view)
    agent_page = AgentPage(theme, icons)
    AgentController(agent_page, agent, tasks)
    window.add_page("agent", window.tr("Agent"), "agent", agent_page, "Ctrl+2")
    library = build_library(paths, settings)
    models_page = ModelsPage(theme, icons)
    models = ModelsController(models_page, library, seat, tasks, window.toast.say)
    window.add_page("models", window.tr("Models"), "model", models_page, "Ctrl+3")
    models.start()
    return LatePages(agent, library, models)
