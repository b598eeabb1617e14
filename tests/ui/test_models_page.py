from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from app.core.control import DeviceInfo, MemoryUse
from app.core.errors import DownloadFailed
from app.core.settings import Settings
from app.library.choice import LoadKnowledge
from app.library.download.downloader import DownloadProgress
from app.library.elsewhere import Found
from app.library.hardware import Gpu, Hardware
from app.library.model_settings import ModelSettingsFile
from app.library.outcomes import Outcomes
from app.library.service import ModelRow as LibraryRow
from app.session.engine_seat import EngineSeat
from app.ui.application import icons_folder
from app.ui.buttons import FlatButton
from app.ui.icons import Icons
from app.ui.models.controller import ModelsController
from app.ui.models.mapping import (
    LoadProblem,
    download_row,
    installed_row,
    memory_pictures,
    offered_row,
)
from app.ui.models.page import ModelsPage
from app.ui.models.values import ModelRow, Section, Verb, duration_text, size_text
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from tests.ui.conftest import in_qt_loop, until

GIB = 1 << 30
ROW = LibraryRow("m:Q4", "Model", "A model.", "Q4_K_M", 5_000_000_000, "fits", 24.0, repo="o/r")
JOB = DownloadProgress("j1", "Model", "downloading", 1_000_000_000, 5_000_000_000, 1e7, 400.0)


@pytest.mark.parametrize(
    ("size_bytes", "words"), [(98_362_432, "98 MB"), (5_680_000_000, "5.7 GB"), (49.6e9, "50 GB")]
)
def test_sizes_read_well(size_bytes: float, words: str) -> None:
    assert size_text(int(size_bytes)) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(20, "20 s"), (200, "3 min"), (3900, "1 h 5 min"), (7200, "2 h")]
)
def test_durations_read_well(seconds: float, words: str) -> None:
    assert duration_text(seconds) == words


def names(row: ModelRow) -> list[str]:
    return [verb.name for verb in row.verbs]


def test_a_model_in_use_cannot_be_removed_or_chosen_again() -> None:
    row = replace(ROW, installed_id="m")
    used, other = installed_row(row, "m"), installed_row(row, "other")
    assert names(used) == ["unload"]
    assert [verb.name for verb in used.more] == ["tune", "verify", "export"]
    assert names(other) == ["use"]
    assert [verb.name for verb in other.more] == ["tune", "verify", "export", "remove"]


def test_only_what_fits_and_is_not_coming_can_be_had() -> None:
    assert names(offered_row(ROW, "", is_main=True, on_its_way=False)) == ["get"]
    assert names(offered_row(ROW, "", is_main=True, on_its_way=True)) == []
    too_big = replace(ROW, verdict="too big")
    big = offered_row(too_big, "", is_main=True, on_its_way=False)
    assert names(big) == []
    assert [verb.title for verb in big.more] == ["Download anyway"]
    gated = offered_row(replace(ROW, gated=True), "", is_main=True, on_its_way=False)
    assert names(gated) == ["access"]
    installed = replace(ROW, installed_id="m")
    assert names(offered_row(installed, "", is_main=True, on_its_way=False)) == ["use"]


def test_a_download_says_how_far_it_is_and_what_went_wrong() -> None:
    row = download_row(JOB)
    assert row.progress == "1.0 GB of 5.0 GB · 10 MB/s · 7 min left"
    assert names(row) == ["pause", "cancel"]
    failed = download_row(
        replace(JOB, phase="failed", error="The disk is full.", remedy="Free 4 GB.")
    )
    assert failed.error == "The disk is full. Free 4 GB."
    assert names(failed) == ["resume", "discard"]
    asked = download_row(replace(JOB, phase="paused"), asks=True)
    assert [verb.title for verb in asked.verbs] == ["Delete 1.0 GB", "Keep"]
    assert names(download_row(JOB, asks=True)) == ["pause", "cancel"]


def test_memory_adds_up_to_what_the_machine_has() -> None:
    gpu = Gpu("RTX", "discrete", 24 * GIB, 20 * GIB)
    machine = Hardware("m", 64 * GIB, 50 * GIB, gpus=(gpu,))
    uses = (MemoryUse("CUDA0", 3 * GIB, GIB // 2), MemoryUse("CPU", GIB))
    ram, card = memory_pictures(machine, uses, (DeviceInfo("CUDA0"),))
    assert ram.total_bytes == 64 * GIB
    assert card.total_bytes == 24 * GIB
    assert {part.role: part.size_bytes for part in card.parts} == {
        "weights": 3 * GIB,
        "context": GIB // 2,
        "other": GIB // 2,
        "free": 20 * GIB,
    }


def test_a_load_without_memory_offers_the_next_smaller_plan() -> None:
    problem = LoadProblem("There was not enough memory.", "with room for 8,192 tokens")
    row = installed_row(replace(ROW, installed_id="m"), "", problem)
    assert names(row) == ["smaller", "use"]
    assert "can be loaded with room for 8,192 tokens" in row.error
    last = installed_row(replace(ROW, installed_id="m"), "", LoadProblem("Not enough memory."))
    assert names(last) == ["use"]


class FakeLibrary:
    """A LibraryService that has one model to offer."""

    def __init__(self) -> None:
        self.installed: list[LibraryRow] = []
        self.jobs: list[LibraryRow] = []
        self.hardware = Hardware("m", 64 * GIB, 50 * GIB)
        self.downloader = self
        self.trash = 0
        self.store = SimpleNamespace(
            remove=self._remove, restore=self._restore, trash_bytes=lambda: self.trash
        )
        self.search_error: Exception | None = None
        self.shown_machine = ""

    def refresh_hardware(self, _devices: object) -> Hardware:
        return self.hardware

    def machines(self) -> list[tuple[str, str]]:
        return [("cpu-16", "16 GB")]

    def recommended_rows(self, machine_id: str) -> list[LibraryRow]:
        self.shown_machine = machine_id
        return [ROW]

    def found_here(self) -> list[Found]:
        return []

    def installed_rows(self) -> list[LibraryRow]:
        return self.installed

    def download_rows(self) -> list[LibraryRow]:
        return self.jobs

    def progress(self, _job_id: str) -> DownloadProgress:
        return JOB

    def queue(self, row: LibraryRow) -> str:
        self.jobs = [replace(row, key="j1", job_id="j1")]
        return "j1"

    def start(self, _job_id: str) -> None:
        pass

    async def watch(self, _job_id: str) -> AsyncGenerator[DownloadProgress, None]:
        yield JOB
        self.jobs = []
        self.installed = [replace(ROW, key="m", installed_id="m")]
        yield replace(JOB, phase="installed", installed_id="m")

    def search(self, text: str) -> list[LibraryRow]:
        if self.search_error is not None:
            raise self.search_error
        return [replace(ROW, key=f"found-{text}", title=text)]

    def _remove(self, _model_id: str) -> int:
        self.installed = []
        self.trash = 5_000_000
        return self.trash

    def _restore(self, _model_id: str) -> None:
        self.installed = [replace(ROW, key="m", installed_id="m")]
        self.trash = 0


class Bench:
    def __init__(self, qtbot: QtBot, app: QApplication, folder: Path) -> None:
        theme = Theme(app)
        self.page = ModelsPage(theme, Icons(icons_folder(), theme))
        qtbot.addWidget(self.page)
        self.library = FakeLibrary()
        self.said: list[str] = []
        self.errors: list[Exception] = []
        self.tasks = TaskOwner(lambda _name, error: self.errors.append(error))
        self.seat = EngineSeat()
        library: Any = self.library
        self.undo: Callable[[], object] | None = None
        known = LoadKnowledge(
            ModelSettingsFile(folder / "models.json"), Outcomes(folder / "outcomes.json")
        )
        parts = (self.page, library, self.seat, self.tasks, self._say, Settings(), known, theme)
        self.models = ModelsController(*parts)
        self.refreshes = 0
        seat: Any = self.seat
        seat.refresh = self._refresh

    def _say(self, words: str, action: str = "", then: Callable[[], object] | None = None) -> None:
        self.said.append(words)
        self.undo = then if action == "Undo" else self.undo

    async def _refresh(self) -> None:
        self.refreshes += 1

    def rows(self, section: str) -> list[str]:
        view = self.page.sections.get(section)
        return list(view.rows) if view is not None and not view.isHidden() else []


@in_qt_loop
async def test_download_brings_a_model_and_remove_takes_it_away(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    bench = Bench(qtbot, qapp, tmp_path)
    await bench.models._refresh()
    assert bench.rows("recommended") == ["m:Q4"]
    bench.page.verb_chosen.emit("get", "m:Q4")
    await until(lambda: bench.rows("installed") == ["m"])
    assert bench.said == ["Model is ready."]
    assert bench.rows("downloads") == []
    bench.page.verb_chosen.emit("remove", "m")
    await until(lambda: bench.rows("installed") == [])
    assert bench.refreshes >= 2
    assert bench.page.sections["installed"]._footer.text() == "5 MB in the trash."
    assert bench.undo is not None
    bench.undo()
    await until(lambda: bench.rows("installed") == ["m"])
    await bench.tasks.close()
    assert bench.errors == []


@in_qt_loop
async def test_search_shows_results_or_why_there_are_none(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    bench = Bench(qtbot, qapp, tmp_path)
    await bench.models._refresh()
    bench.page.search_changed.emit("qwen")
    await until(lambda: bench.rows("found") == ["found-qwen"])
    bench.library.search_error = DownloadFailed("The hub does not answer.", "Check the network.")
    bench.page.search_changed.emit("other")
    await until(lambda: "does not answer" in bench.page.sections["found"]._note.text())
    bench.page.search_changed.emit("")
    await until(lambda: bench.page.sections["found"].isHidden())
    await bench.tasks.close()
    assert bench.errors == []


def test_rows_keep_their_widgets_and_foreign_names_stay_plain(
    qtbot: QtBot, qapp: QApplication
) -> None:
    theme = Theme(qapp)
    page = ModelsPage(theme, Icons(icons_folder(), theme))
    qtbot.addWidget(page)
    row = ModelRow("k", "<img src=file:///etc/passwd>", verbs=(Verb("get", "Download", True),))
    page.show_sections([Section("found", "Found", (row,))])
    view = page.sections["found"].rows["k"]
    page.show_sections([Section("found", "Found", (replace(row, fraction=0.5),))])
    assert page.sections["found"].rows["k"] is view
    assert view._title.textFormat() is Qt.TextFormat.PlainText
    heard: list[tuple[str, str]] = []
    page.verb_chosen.connect(lambda verb, key: heard.append((verb, key)))
    qtbot.mouseClick(view.findChild(FlatButton), Qt.MouseButton.LeftButton)
    assert heard == [("get", "k")]


@in_qt_loop
async def test_another_machine_can_be_looked_at(
    qtbot: QtBot, qapp: QApplication, tmp_path: Path
) -> None:
    bench = Bench(qtbot, qapp, tmp_path)
    await bench.models._refresh()
    bench.page.choice_made.emit("recommended", "cpu-16")
    await until(lambda: bench.library.shown_machine == "cpu-16")
    await until(lambda: "another computer" in bench.page.sections["recommended"]._note.text())
    await bench.tasks.close()
    assert bench.errors == []
