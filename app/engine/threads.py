"""How many threads to compute with, learnt while decoding.

llama.cpp's threads meet at a barrier after every operation, so one thread that the system has
descheduled stops all of them: on a busy 2-core machine two threads decode ten times slower than
one (measured: 5 against 60 tokens/s). What pays depends on what else is running, so it is tried.
"""

from __future__ import annotations

_TRY_STEPS = 3
_FIRST_WAIT_STEPS = 48
_MAX_WAIT_STEPS = 1024
_SMOOTHING = 0.25


class ThreadGovernor:
    """Feeds on the time of like steps; `n_threads` is what to use next.

    Fewer threads are tried when steps take `slower` times the best so far, and once at the start
    when `eager`: a machine may have been busy from the beginning.
    """

    def __init__(
        self, most: int, fewest: int = 1, *, slower: float = 2.0, eager: bool = True
    ) -> None:
        self._slower = slower
        self._eager = eager
        self._most = most
        self._fewest = max(1, min(fewest, most))
        self.n_threads = most
        self._seconds: dict[int, float] = {}
        self._best: dict[int, float] = {}
        self._steps = 0
        self._wait = _FIRST_WAIT_STEPS
        self._trying = 0
        self._home = most

    def note(self, seconds: float) -> int:
        """One decode with the present number took `seconds`; the number for the next one."""
        if self._most == self._fewest:
            return self.n_threads
        n = self.n_threads
        if self._trying == _TRY_STEPS:  # the first step after a change pays for the change
            self._trying -= 1
            return n
        old = self._seconds.get(n)
        if self._trying and self._trying == _TRY_STEPS - 1:
            old = None
        self._seconds[n] = seconds if old is None else old + (seconds - old) * _SMOOTHING
        self._best[n] = min(self._seconds[n], self._best.get(n, seconds))
        if self._trying:
            self._trying -= 1
            if self._trying == 0:
                self._decide()
            return self.n_threads
        self._steps += 1
        if n == self._most:
            strained = self._seconds[n] > self._slower * self._best[n] or (
                self._eager and len(self._seconds) == 1
            )
            if strained and self._steps >= _TRY_STEPS:
                self._try(self._lower())
        elif self._steps >= self._wait:
            self._try(self._most)
        return self.n_threads

    def _lower(self) -> int:
        return max(self._fewest, self._most - 1 if self._most <= 4 else self._most * 3 // 4)

    def _try(self, n: int) -> None:
        self._home, self.n_threads, self._trying = self.n_threads, n, _TRY_STEPS

    def _decide(self) -> None:
        tried, home = self.n_threads, self._home
        better = self._seconds[tried] < self._seconds[home]
        chosen = tried if better else home
        if chosen != self._most:
            # Each failed attempt to come back waits longer: an attempt may stall for a while.
            self._wait = min(_MAX_WAIT_STEPS, self._wait * 2) if home != self._most else self._wait
        else:
            self._wait = _FIRST_WAIT_STEPS
            self._best[self._most] = self._seconds[self._most]
        self.n_threads, self._steps = chosen, 0
