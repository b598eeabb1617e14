"""Ties the list of connections to the privacy panel."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from PySide6.QtCore import QObject

from app.core.network_log import NetworkLog
from app.core.prompt_states import PromptStates
from app.session.own_connections import ConnectionWatch
from app.ui.settings.privacy_panel import PrivacyPanel
from app.ui.tasks import TaskOwner


class PrivacyControl(QObject):
    """One panel, one list.

    Args:
        engine_pid: the engine's process at this moment, or None.
        states: what the engine keeps of conversations.
    """

    def __init__(
        self,
        panel: PrivacyPanel,
        log: NetworkLog,
        tasks: TaskOwner,
        engine_pid: Callable[[], int | None],
        states: PromptStates,
    ) -> None:
        super().__init__(panel)
        self._panel = panel
        self._log = log
        self._tasks = tasks
        self._engine_pid = engine_pid
        self._states = states
        panel.refresh_wanted.connect(self.refresh)
        panel.clear_wanted.connect(self._on_clear)
        panel.forget_wanted.connect(lambda: tasks.start("privacy-forget", self._forget()))

    def refresh(self) -> None:
        """Shows the list and looks at what is open now."""
        self._panel.show_connections(self._log.entries())
        self._tasks.start("privacy-look", self._look())
        self._tasks.start("privacy-size", self._measure())

    def _on_clear(self) -> None:
        self._tasks.start("privacy-clear", self._clear())

    async def _clear(self) -> None:
        await asyncio.to_thread(self._log.clear)
        self.refresh()

    async def _measure(self) -> None:
        self._panel.show_kept(await asyncio.to_thread(self._states.size_bytes))

    async def _forget(self) -> None:
        try:
            await asyncio.to_thread(self._states.clear)
        finally:
            await self._measure()

    async def _look(self) -> None:
        watch = ConnectionWatch(lambda: [self._engine_pid()])
        await watch.look()
        proof = watch.proof
        if proof.elsewhere:
            words = self.tr("At this moment: connected to {}.").format(", ".join(proof.elsewhere))
        elif proof.is_clean:
            words = self.tr("At this moment: no connection to another computer.")
        else:
            words = self.tr("This system does not let Garret look at its own connections.")
        self._panel.show_now(words)
