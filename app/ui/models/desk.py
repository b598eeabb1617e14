"""What the parts of the models page share, and long work on files with its progress shown."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from app.core.errors import GarretError, LibraryError
from app.core.settings import Settings
from app.library.choice import LoadKnowledge
from app.library.disk import Progress
from app.library.service import LibraryService
from app.library.service import ModelRow as LibraryRow
from app.session.engine_seat import EngineSeat
from app.ui.models.page import ModelsPage
from app.ui.models.values import ModelRow, Section, Verb, duration_text, size_text
from app.ui.tasks import TaskOwner

_TICK_S = 0.1
_T = TypeVar("_T")


class Say(Protocol):
    """Tells the user something in passing, perhaps with a button."""

    def __call__(
        self, words: str, action: str = "", then: Callable[[], object] | None = None, /
    ) -> object: ...


class Stopped(LibraryError):
    """The user stopped it."""


@dataclass(slots=True)
class Desk:
    """The page, what is behind it, and the rows on it by key."""

    page: ModelsPage
    library: LibraryService
    seat: EngineSeat
    settings: Settings
    known: LoadKnowledge
    tasks: TaskOwner
    say: Say
    refresh: Callable[[], Awaitable[None]]
    show: Callable[[Section], None]
    offered: dict[str, LibraryRow] = field(default_factory=dict)
    installed: dict[str, LibraryRow] = field(default_factory=dict)
    stops: dict[str, threading.Event] = field(default_factory=dict)

    async def with_progress(
        self, section: str, row: ModelRow, what: str, work: Callable[[Progress], _T]
    ) -> _T | None:
        """Runs blocking `work` with its progress in a row; None when it failed or was stopped,
        which has been said then."""
        stop = self.stops[row.key] = threading.Event()
        loop = asyncio.get_running_loop()
        started, last = time.monotonic(), 0.0

        def show(done: int, total: int) -> None:
            self.page.show_row(
                section, work_row(row, what, done, total, time.monotonic() - started)
            )

        def progress(done: int, total: int) -> None:
            nonlocal last
            if stop.is_set():
                raise Stopped("Stopped.")
            now = time.monotonic()
            if now - last >= _TICK_S or done >= total:
                last = now
                loop.call_soon_threadsafe(show, done, total)

        show(0, 0)
        try:
            return await asyncio.to_thread(work, progress)
        except Stopped:
            return None
        except GarretError as error:
            self.say(str(error))
            return None
        finally:
            stop.set()  # a thread that outlives its task ends soon
            self.stops.pop(row.key, None)
            self.page.show_row(section, row)


def work_row(row: ModelRow, what: str, done: int, total: int, elapsed_s: float) -> ModelRow:
    """A row while something is done with its files."""
    words = [what]
    if total:
        words.append(f"{size_text(done)} of {size_text(total)}")
        rate = done / elapsed_s if elapsed_s > 0.3 else 0.0
        if rate > 0:
            words += [f"{size_text(round(rate))}/s", f"{duration_text((total - done) / rate)} left"]
    return replace(
        row,
        verbs=(Verb("stop", "Stop"),),
        more=(),
        fraction=done / total if total else 0.0,
        progress=" · ".join(words),
        error="",
    )
