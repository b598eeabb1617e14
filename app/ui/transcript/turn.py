"""How much one turn of the event loop may build before the window gets to breathe."""

from __future__ import annotations

import time

BUDGET_S = 0.024


class Turn:
    """Counts the time one turn has spent; what is left over is built in the next.

    The thread's own time, so that a busy machine does not leave the screen half drawn.
    """

    def __init__(self, budget_s: float | None = None) -> None:
        self._budget_s = BUDGET_S if budget_s is None else budget_s
        self._until = 0.0
        self._has_begun = False
        self.was_cut = False

    def begin(self) -> None:
        """A new turn."""
        self._until = time.thread_time() + self._budget_s
        self._has_begun = False
        self.was_cut = False

    def may_go_on(self) -> bool:
        """Whether there is time for one more piece of work; always for the first."""
        if not self._has_begun:
            self._has_begun = True
            return True
        if time.thread_time() < self._until:
            return True
        self.was_cut = True
        return False
