"""“@” in the composer: files of the agent's folder, attached when chosen."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from app.core.errors import GarretError
from app.ui.completion import Offer
from app.ui.composer import Composer
from app.ui.tasks import TaskOwner

if TYPE_CHECKING:  # imported for real with the first “@”: the agent's code is no part of the start
    from app.session.workspace_files import WorkspaceFiles


@dataclass(frozen=True, slots=True)
class FileOffer:
    """A file that can be attached."""

    folder: str
    path: str


def best_paths(paths: Sequence[str], typed: str, most: int = 8) -> list[str]:
    """Paths that contain what was typed, those whose name begins with it first."""
    wanted = typed.casefold()

    def rank(path: str) -> tuple[int, int, str]:
        name = path.rpartition("/")[2].casefold()
        place = 0 if name.startswith(wanted) else 1 if wanted in name else 2
        return place, path.count("/"), path

    return sorted((path for path in paths if wanted in path.casefold()), key=rank)[:most]


class FileOffers(QObject):
    """Knows the folder's files once the first “@” is typed."""

    def __init__(
        self,
        composer: Composer,
        folder: Callable[[], str],
        tasks: TaskOwner,
        changed: Callable[[], None],
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._composer = composer
        self._folder = folder
        self._tasks = tasks
        self._changed = changed
        self._files: WorkspaceFiles | None = None
        self._paths: tuple[str, ...] = ()
        self._listed = ""

    def offers(self, word: str) -> Sequence[Offer]:
        """What “@…” may stand for; reads the folder meanwhile."""
        folder = self._folder()
        if not folder:
            return ()
        self._tasks.start("workspace-files", self._list(folder))
        if folder != self._listed:
            return ()
        return [
            Offer(f"@{path}", "", FileOffer(folder, path))
            for path in best_paths(self._paths, word.removeprefix("@"))
        ]

    def attach(self, offer: FileOffer) -> None:
        """Puts the file beside the message."""
        self._tasks.start(f"attach-{offer.path}", self._attach(offer))

    async def _loaded(self) -> WorkspaceFiles:
        if self._files is None:
            module = await asyncio.to_thread(importlib.import_module, "app.session.workspace_files")
            self._files = module.WorkspaceFiles()
        return self._files

    async def _list(self, folder: str) -> None:
        paths = await (await self._loaded()).paths(folder)
        if (folder, paths) != (self._listed, self._paths):
            self._listed, self._paths = folder, paths
            self._changed()

    async def _attach(self, offer: FileOffer) -> None:
        try:
            part = await (await self._loaded()).read(offer.folder, offer.path)
        except GarretError as error:
            self._composer.problem.emit(str(error))
            return
        if part not in self._composer.files.parts:
            self._composer.files.add(part)
