"""Says what an action will cost before it makes the model read much again."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from PySide6.QtCore import QObject

from app.session.context import RereadCost
from app.ui.chat_items import reread_words
from app.ui.room_strip import CostStrip
from app.ui.tasks import TaskOwner

_DEAR_S = 5.0
_DEAR_TOKENS = 4_000  # where nobody knows yet how fast this machine reads


def is_dear(cost: RereadCost) -> bool:
    """Whether to ask before."""
    if cost.seconds is None:
        return cost.tokens >= _DEAR_TOKENS
    return cost.seconds >= _DEAR_S


class ReuseGuard(QObject):
    """One question at a time; the newest counts."""

    def __init__(self, strip: CostStrip, tasks: TaskOwner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._strip = strip
        self._tasks = tasks
        self._then: Callable[[], object] | None = None
        self._instead: Callable[[], object] | None = None
        strip.chosen.connect(self._on_chosen)

    def run(
        self,
        cost: Coroutine[Any, Any, RereadCost],
        then: Callable[[], object],
        instead: Callable[[], object] | None = None,
    ) -> None:
        """Does `then` at once when it is cheap; else asks, and does `then` or `instead`."""
        self._strip.hide()
        self._tasks.start("reread-cost", self._run(cost, then, instead))

    async def _run(
        self,
        cost: Coroutine[Any, Any, RereadCost],
        then: Callable[[], object],
        instead: Callable[[], object] | None,
    ) -> None:
        found = await cost
        if is_dear(found):
            self._then, self._instead = then, instead
            self._strip.ask(reread_words(found))
        else:
            then()

    def forget(self) -> None:
        """Another chat is open: nobody waits for the answer any more."""
        self._strip.hide()
        self._then = self._instead = None

    def _on_chosen(self, choice: str) -> None:
        then, instead = self._then, self._instead
        self._then = self._instead = None
        chosen = then if choice == "go" else instead
        if chosen is not None:
            chosen()
