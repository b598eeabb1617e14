"""Pages that are built after the window is on screen, so that it appears at once."""

from __future__ import annotations

from app.core.paths import Paths
from app.core.settings import Settings
from app.session.agent_session import AgentSession
from app.session.engine_seat import EngineSeat
from app.ui.agent.controller import AgentController
from app.ui.agent.page import AgentPage
from app.ui.icons import Icons
from app.ui.main_window import MainWindow
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme


def add_late_pages(
    window: MainWindow,
    paths: Paths,
    settings: Settings,
    seat: EngineSeat,
    theme: Theme,
    icons: Icons,
    tasks: TaskOwner,
) -> AgentSession:
    """Adds the agent page; the session must be closed when the window is."""
    session = AgentSession(seat, paths, settings, lambda: seat.view)
    page = AgentPage(theme, icons)
    AgentController(page, session, tasks)
    window.add_page("agent", window.tr("Agent"), "agent", page, "Ctrl+2")
    return session
