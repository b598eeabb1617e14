"""What can be done with the files of models: check, copy, remove, bring in, move."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QFileDialog

from app.core.errors import GarretError
from app.library.disk import Progress
from app.library.elsewhere import Found, use_in_place
from app.library.records import InstalledModel
from app.ui.models.desk import Desk
from app.ui.models.mapping import found_row
from app.ui.models.values import ModelRow, Section, size_text

_MOVING = "moving"


class FileVerbs(QObject):
    """Long work shows its progress in a row and can be stopped there."""

    def __init__(self, desk: Desk, parent: QObject) -> None:
        super().__init__(parent)
        self._desk = desk
        self.found: dict[str, Found] = {}
        self.is_emptying = False

    def act(self, verb: str, key: str) -> bool:
        """Carries out a verb of this kind; False for any other."""
        work = {
            "verify": self.verify,
            "remove": self.remove,
            "adopt": self.adopt,
        }.get(verb)
        if work is not None:
            self._desk.tasks.start(f"models-{verb}-{key}", work(key))
        elif verb == "stop":
            if (stop := self._desk.stops.get(key)) is not None:
                stop.set()
        elif verb == "export":
            self._ask_folder(
                self.tr("Copy the model to"),
                lambda path: self._desk.tasks.start(
                    f"models-export-{key}", self.export(key, Path(path))
                ),
            )
        elif verb == "move":
            self._ask_folder(
                self.tr("Keep models in"),
                lambda path: self._desk.tasks.start("models-move", self.move(Path(path))),
            )
        elif verb == "import_folder":
            self._ask_folder(
                self.tr("A folder with models, or a drive with a copied model"),
                lambda path: self.import_files([path]),
            )
        elif verb in ("empty", "keep", "empty_really"):
            self._desk.tasks.start("models-empty", self.empty(verb))
        else:
            return False
        return True

    def import_files(self, paths: list[str]) -> None:
        """Files or folders that were chosen or dropped."""
        self._desk.tasks.start("models-import", self.bring_in([Path(path) for path in paths]))

    async def verify(self, model_id: str) -> None:
        row = self._row("installed", model_id)
        store = self._desk.library.store
        done = await self._desk.with_progress(
            "installed", row, self.tr("Checking"), lambda tell: store.verify(model_id, tell)
        )
        if done is not None:
            self._desk.say(self.tr("{} is whole.").format(row.title))
            await self._desk.refresh()

    async def export(self, model_id: str, folder: Path) -> None:
        row = self._row("installed", model_id)
        library = self._desk.library
        target = await self._desk.with_progress(
            "installed",
            row,
            self.tr("Copying"),
            lambda tell: library.export(model_id, folder, tell),
        )
        if target is not None:
            words = self.tr(
                "{title} is in {folder}. On the other computer, choose “From a folder or drive…”."
            )
            self._desk.say(words.format(title=row.title, folder=target))

    async def remove(self, model_id: str) -> None:
        row = self._row("installed", model_id)
        try:
            size = await asyncio.to_thread(self._desk.library.store.remove, model_id)
        except GarretError as error:
            self._desk.say(str(error))
            return
        if not size:
            await self.look_elsewhere()
        await self._desk.refresh()
        if not size:
            self._desk.say(self.tr("{} is no longer listed; its file stays.").format(row.title))
            return
        words = self.tr("{title} is in the trash. Emptying it frees {size}.")
        self._desk.say(
            words.format(title=row.title, size=size_text(size)),
            self.tr("Undo"),
            lambda: self._desk.tasks.start(f"models-restore-{model_id}", self.restore(model_id)),
        )

    async def restore(self, model_id: str) -> None:
        try:
            await asyncio.to_thread(self._desk.library.store.restore, model_id)
        except GarretError as error:
            self._desk.say(str(error))
        await self._desk.refresh()

    async def empty(self, verb: str) -> None:
        """Asks once more, in place; the second answer counts."""
        self.is_emptying = verb == "empty"
        if verb == "empty_really":
            freed = await asyncio.to_thread(self._desk.library.store.empty_trash)
            self._desk.say(self.tr("{} became free.").format(size_text(freed)))
        await self._desk.refresh()

    async def look_elsewhere(self) -> None:
        """Looks for models of other apps on this disk."""
        found = await asyncio.to_thread(self._desk.library.found_here)
        self.found = {str(one.path): one for one in found}

    def elsewhere(self) -> Section:
        """What was found at the last look."""
        rows = tuple(found_row(one) for one in self.found.values())
        return Section("elsewhere", self.tr("Already on this computer"), rows)

    async def adopt(self, key: str) -> None:
        found = self.found[key]
        row = self._row("elsewhere", key)
        store = self._desk.library.store

        def work(tell: Progress) -> InstalledModel:
            return use_in_place(store, found, tell)

        model = await self._desk.with_progress("elsewhere", row, self.tr("Checking"), work)
        if model is not None:
            self.found.pop(key, None)
            self._desk.say(self.tr("{} can be used now.").format(model.title))
            await self._desk.refresh()

    async def bring_in(self, paths: list[Path]) -> None:
        library = self._desk.library
        for path in paths:
            row = ModelRow(_MOVING, path.name)
            self._show_moving(self.tr("Bringing in"), row)

            def work(tell: Progress, one: Path = path) -> list[InstalledModel]:
                return library.import_path(one, tell)

            models = await self._desk.with_progress(_MOVING, row, self.tr("Copying"), work)
            if models:
                names = ", ".join(model.title for model in models[:3])
                self._desk.say(self.tr("{} can be used now.").format(names))
            elif models is not None:
                self._desk.say(self.tr("There is no model in {}.").format(path.name))
        self._show_moving("", None)
        await self._desk.refresh()

    async def move(self, folder: Path) -> None:
        """Everything to another disk; what is loaded is let go of first."""
        desk = self._desk
        row = ModelRow(_MOVING, self.tr("To {}").format(folder))
        self._show_moving(self.tr("Moving the models"), row)
        in_use = desk.seat.view.model
        if in_use is not None and in_use.model_id in desk.installed:
            await desk.seat.unload()

        def work(tell: Progress) -> bool:
            desk.library.move_to(folder, tell)
            desk.settings.set("models.folder", str(folder))
            return True

        moved = await desk.with_progress(_MOVING, row, self.tr("Copying and checking"), work)
        self._show_moving("", None)
        if moved:
            desk.say(self.tr("The models are in {} now.").format(folder))
        await desk.refresh()
        if in_use is not None and in_use.model_id in desk.installed:
            await desk.seat.load_model(in_use.model_id)

    def _show_moving(self, title: str, row: ModelRow | None) -> None:
        self._desk.show(Section(_MOVING, title, (row,) if row is not None else ()))

    def _row(self, section: str, key: str) -> ModelRow:
        view = self._desk.page.sections.get(section)
        if view is None or key not in view.rows:
            return ModelRow(key, key)
        return view.rows[key].row

    def _ask_folder(self, title: str, then: Callable[[str], object]) -> None:
        dialog = QFileDialog(self._desk.page, title)
        dialog.setFileMode(QFileDialog.FileMode.Directory)
        dialog.setOption(QFileDialog.Option.ShowDirsOnly)
        dialog.fileSelected.connect(then)
        dialog.open()  # never exec(): it would stop the tasks of the loop
