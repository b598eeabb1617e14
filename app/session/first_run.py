"""The way from the starter model to a good one: what to offer, and the change when it has come."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

from app.core.errors import GarretError
from app.core.settings import Settings
from app.library.catalogue import load_catalogue
from app.library.disk import existing_parent, free_bytes, spare_bytes
from app.library.download.downloader import DownloadProgress
from app.library.elsewhere import Found, use_in_place
from app.library.fit.plan import GIB
from app.library.recommend import all_choices
from app.library.service import LibraryService, ModelRow
from app.session.engine_seat import EngineSeat

_LINE_BYTES_S = 100e6 / 8
_CALM_LOOK_S = 0.25
_MOST_FOUND = 3


@dataclass(frozen=True, slots=True)
class Offer:
    """What somebody with only the starter model could have. Either `row` or `too_small` is set.

    `minutes` is the download at 100 Mbit/s; `too_small` says kindly why there is no row, and
    `no_room` why a better one than `row` (or any) was left out.
    """

    row: ModelRow | None = None
    minutes: int = 0
    too_small: str = ""
    no_room: str = ""
    found: tuple[Found, ...] = ()

    @property
    def context_tokens(self) -> int:
        plan = self.row.plan if self.row is not None else None
        return plan.shape.n_ctx if plan is not None else 0


@dataclass(frozen=True, slots=True)
class TakenOver:
    """How the change to the new model went. `is_left_alone`: the user chose another one since."""

    model_id: str
    title: str
    is_left_alone: bool = False
    problem: str = ""


Step = DownloadProgress | TakenOver
FindElsewhere = Callable[[], list[Found]]


class FirstRun:
    """What is offered, fetched and put to work. Blocking parts run in threads.

    Args:
        find_elsewhere: looks for models of other programs; the default looks in their folders.
    """

    def __init__(
        self,
        library: LibraryService,
        seat: EngineSeat,
        settings: Settings,
        find_elsewhere: FindElsewhere | None = None,
    ) -> None:
        self._library = library
        self._seat = seat
        self._settings = settings
        self._find_elsewhere = find_elsewhere or (
            lambda: library.found_elsewhere(Path.home(), dict(os.environ))
        )

    @property
    def awaited(self) -> str:
        """The download that shall take over when it is here; '' for none."""
        return self._settings.text("models.awaited")

    async def offer(self) -> Offer | None:
        """What to offer; None when a real model is installed already."""
        return await asyncio.to_thread(self._offer)

    async def get(self, row: ModelRow) -> str:
        """Starts the download of a row that shall take over; returns its job's id.

        Raises: DownloadFailed, LibraryError.
        """
        job_id = await asyncio.to_thread(self._library.queue, row)
        await asyncio.to_thread(self._settings.set, "models.awaited", job_id)
        await asyncio.to_thread(self._library.downloader.start, job_id)
        return job_id

    async def use_found(self, found: Found) -> TakenOver:
        """Uses another program's model where it lies.

        Raises: VerificationFailed, BadModelFile, UnsupportedModel, LibraryError.
        """
        model = await asyncio.to_thread(use_in_place, self._library.store, found)
        return await self._load(model.model_id, model.title)

    async def follow(self, is_calm: Callable[[], bool]) -> AsyncGenerator[Step, None]:
        """How the awaited download goes; the last is TakenOver, unless it ended without a model.

        Args:
            is_calm: True while nobody waits for an answer; the change happens only then.
        """
        job_id = self.awaited
        if not job_id:
            return
        last: DownloadProgress | None = None
        async with aclosing(self._library.downloader.watch(job_id)) as reports:
            async for progress in reports:
                last = progress
                yield progress
        if last is None or last.phase != "installed":
            if last is None or last.phase == "cancelled":
                await self.forget()
            return
        while not is_calm():  # noqa: ASYNC110  the answer's end has no event of its own here
            await asyncio.sleep(_CALM_LOOK_S)
        model_id = last.installed_id or await asyncio.to_thread(self._installed_id, job_id)
        await self.forget()
        if await self._was_replaced():
            yield TakenOver(model_id, last.title, is_left_alone=True)
            return
        yield await self._load(model_id, last.title)

    async def use(self, model_id: str, title: str) -> TakenOver:
        """Puts an installed model to work."""
        return await self._load(model_id, title)

    async def forget(self) -> None:
        """Nothing is awaited any more."""
        await asyncio.to_thread(self._settings.set, "models.awaited", "")

    # -- inside -----------------------------------------------------------------------------

    async def _load(self, model_id: str, title: str) -> TakenOver:
        before = self._seat.view.model.model_id if self._seat.view.model else ""
        await self._seat.refresh()
        await self._seat.load_model(model_id)
        view = self._seat.view
        if view.model is not None and view.model.model_id == model_id:
            return TakenOver(model_id, title)
        problem = str(view.error) if view.error else f"{title} could not be loaded."
        if before and before != model_id:
            await self._seat.load_model(before)  # what answered so far goes on answering
        return TakenOver(model_id, title, problem=problem)

    async def _was_replaced(self) -> bool:
        """Whether the user has put another real model to work since."""
        loaded = self._seat.view.model
        if loaded is None:
            return False
        choices = {one.model_id: one for one in self._seat.choices()}
        choice = choices.get(loaded.model_id)
        return choice is not None and not choice.is_tiny

    def _installed_id(self, job_id: str) -> str:
        return self._library.downloader.progress(job_id).installed_id

    def _offer(self) -> Offer | None:
        if any(m.is_present and not m.is_starter for m in self._library.store.installed()):
            return None
        found = tuple(self._usable(self._find_elsewhere())[:_MOST_FOUND])
        rows = self._library.recommended_rows()
        if not rows:
            return Offer(too_small=self._too_small(), found=found)
        room = free_bytes(existing_parent(self._library.store.root))
        fitting = [row for row in rows if row.size_bytes + spare_bytes(row.size_bytes) <= room]
        no_room = ""
        if rows[0] not in fitting:
            no_room = (
                f"{rows[0].title} would be better, but needs {rows[0].size_bytes / 1e9:.0f} GB of "
                f"disk space; {room / 1e9:.0f} GB are free."
            )
        if not fitting:
            return Offer(too_small=no_room.replace("would be better, but needs", "needs"))
        row = fitting[0]
        minutes = max(1, math.ceil(row.size_bytes / _LINE_BYTES_S / 60))
        return Offer(row, minutes, no_room=no_room, found=found)

    def _usable(self, found: list[Found]) -> list[Found]:
        """The largest that this machine's memory holds, largest first."""
        memory = self._library.hardware.ram_total_bytes
        memory += sum(gpu.limit_bytes for gpu in self._library.hardware.gpus)
        fitting = [one for one in found if 0 < one.size_bytes < 0.8 * memory]
        return sorted(fitting, key=lambda one: one.size_bytes, reverse=True)

    def _too_small(self) -> str:
        hardware = self._library.hardware
        choices = list(all_choices(load_catalogue(), hardware))
        least = min(choices, key=lambda one: one.plan.needed_bytes)
        return (
            f"This computer has {hardware.ram_total_bytes / GIB:.0f} GB of memory. The smallest "
            f"model that helps with code, {least.model.title}, needs about "
            f"{math.ceil(least.plan.needed_bytes / GIB)} GB for itself."
        )


def problem_words(error: GarretError) -> str:
    """What stood in the way of a download, with the assurance that all else works."""
    return f"{error} Everything else works without it."
