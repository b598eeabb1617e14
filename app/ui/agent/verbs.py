"""The Agent menu: its commands act on the agent page, and only while that is in front."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from PySide6.QtCore import QObject
from PySide6.QtGui import QAction

from app.ui.agent.controller import AgentController
from app.ui.agent.page import AgentPage


class AgentVerbs(QObject):
    """Connects the actions once.

    Args:
        show: brings the page to the front.
    """

    def __init__(
        self,
        page: AgentPage,
        controller: AgentController,
        actions: Mapping[str, QAction],
        show: Callable[[], None],
    ) -> None:
        super().__init__(page)
        self._page = page
        self._show = show
        panel, diff = page.changes, page.changes.diff
        opening: dict[str, Callable[[], object]] = {
            "agent_folder": page.header.open_folders,
            "agent_new": controller.new_task,
            "agent_servers": controller.servers.open,
        }
        # An answer or an undo by key must be about what is on screen.
        acting: dict[str, Callable[[], object]] = {
            "agent_mode": page.header.open_modes,
            "agent_allow": lambda: controller.answer_newest("allow_once", "yes"),
            "agent_deny": lambda: controller.answer_newest("deny", "no"),
            "agent_next": lambda: panel.step(1),
            "agent_previous": lambda: panel.step(-1),
            "agent_keep": lambda: diff.decide(keep=True),
            "agent_undo": lambda: diff.decide(keep=False),
            "agent_keep_all": panel.keep_all.click,
            "agent_undo_all": panel.undo_all.click,
            "agent_redo": panel.redo.click,
            "agent_split": panel.side.toggle,
        }
        for name, work in opening.items():
            actions[name].triggered.connect(lambda _on=False, do=work: self._open(do))
        for name, work in acting.items():
            actions[name].triggered.connect(lambda _on=False, do=work: self._act(do))

    def _open(self, work: Callable[[], object]) -> None:
        self._show()
        work()

    def _act(self, work: Callable[[], object]) -> None:
        if self._page.isVisible():
            work()
