"""Looks at the machine when the hardware page is looked at, and again on request."""

from __future__ import annotations

import asyncio

from PySide6.QtCore import QObject
from PySide6.QtGui import QGuiApplication

from app.core.control import EngineStatus, LoadSpec, ModelInfo
from app.core.engine_view import EngineView
from app.core.errors import GarretError
from app.library.service import LibraryService
from app.session.engine_seat import EngineSeat
from app.ui.hardware.mapping import Loaded, hardware_view
from app.ui.hardware.page import HardwarePage
from app.ui.models.desk import Say
from app.ui.tasks import TaskOwner


class HardwareController(QObject):
    """One page, one machine."""

    def __init__(
        self,
        page: HardwarePage,
        library: LibraryService,
        seat: EngineSeat,
        tasks: TaskOwner,
        say: Say,
    ) -> None:
        super().__init__(page)
        self._page = page
        self._library = library
        self._seat = seat
        self._tasks = tasks
        self._say = say
        self._report = ""
        self._seen = ""
        page.refresh_wanted.connect(self._look)
        page.copy_wanted.connect(self._copy)

    def set_engine_view(self, view: EngineView) -> None:
        """Another model is loaded, or none: the bars change while somebody looks."""
        seen = f"{view.phase} {view.model.model_id if view.model else ''}"
        if seen != self._seen and view.phase not in ("loading", "starting"):
            self._seen = seen
            if self._page.isVisible():
                self._look()

    def _look(self) -> None:
        self._tasks.start("hardware", self._refresh())

    async def _refresh(self) -> None:
        status = await self._seat.status()
        devices = status.devices if status is not None else ()
        hardware = await asyncio.to_thread(self._library.refresh_hardware, devices)
        model, spec = self._seat.view.model, self._seat.spec
        loaded = None
        if model is not None and status is not None:
            loaded = await asyncio.to_thread(self._loaded, model, status, spec)
        view = await asyncio.to_thread(
            hardware_view, hardware, devices, loaded, engine_runs=status is not None
        )
        self._report = view.report
        self._page.show_view(view)

    def _loaded(self, model: ModelInfo, status: EngineStatus, spec: LoadSpec | None) -> Loaded:
        title, facts = model.model_id, None
        spec = spec if spec is not None and spec.model_id == model.model_id else None
        try:
            found = self._library.store.find(spec.model_path if spec else model.model_id)
            title, facts = found.title, found.facts
        except GarretError:
            pass  # a file from elsewhere that has gone meanwhile: the engine's own figures stay
        return Loaded(title, model, status.memory.get(model.model_id, ()), spec, facts)

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self._report)
        self._say(self.tr("Copied. Read it before you send it."))
