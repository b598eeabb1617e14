"""The dialog for MCP servers at work: open, try one out, save."""

from __future__ import annotations

import shiboken6
from PySide6.QtCore import QObject

from app.agent.mcp_servers import McpServer
from app.core.errors import GarretError
from app.session.agent_session import AgentSession
from app.ui.agent.page import AgentPage
from app.ui.agent.servers_dialog import ServersDialog
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme


class ServersControl(QObject):
    """One dialog at a time."""

    def __init__(
        self, page: AgentPage, session: AgentSession, tasks: TaskOwner, theme: Theme
    ) -> None:
        super().__init__(page)
        self._page = page
        self._session = session
        self._tasks = tasks
        self._theme = theme
        self.dialog: ServersDialog | None = None

    def open(self) -> None:
        """Shows the list."""
        self._tasks.start("agent-servers", self._open())

    async def _open(self) -> None:
        try:
            servers = await self._session.servers()
        except GarretError as error:
            self._page.show_problem(str(error))
            return
        dialog = ServersDialog(self._theme, servers, self._page.window())
        self.dialog = dialog
        dialog.save_wanted.connect(
            lambda chosen: self._tasks.start("agent-servers-save", self._save(dialog, chosen))
        )
        dialog.try_wanted.connect(
            lambda server: self._tasks.start("agent-servers-try", self._try(dialog, server))
        )
        dialog.finished.connect(lambda _code: self._tasks.cancel("agent-servers-try"))
        dialog.open()

    async def _save(self, dialog: ServersDialog, servers: tuple[McpServer, ...]) -> None:
        try:
            await self._session.save_servers(servers)
        except GarretError as error:
            dialog.show_verdict(str(error), is_problem=True)
            return
        dialog.accept()

    async def _try(self, dialog: ServersDialog, server: McpServer) -> None:
        tools, problem = await self._session.try_server(server)
        if shiboken6.isValid(dialog):
            dialog.show_tried(tools, problem)
