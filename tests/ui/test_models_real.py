"""The models page with the real library behind it, down to a hub on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PySide6.QtWidgets import QApplication, QDoubleSpinBox
from pytestqt.qtbot import QtBot

from app.core.settings import Settings
from app.library.catalogue import load_catalogue
from app.library.choice import LoadKnowledge
from app.library.model_settings import ModelSettingsFile
from app.library.outcomes import Outcomes
from app.library.service import LibraryService
from app.session.engine_seat import EngineSeat
from app.ui.application import icons_folder
from app.ui.icons import Icons
from app.ui.models.access_dialog import AccessDialog
from app.ui.models.controller import ModelsController
from app.ui.models.page import ModelsPage
from app.ui.models.tune_model import ModelSettingsDialog
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from tests.hostile_hub import Fault, HostileHub
from tests.library.download_kit import FILE, REPO, make_kit, model_bytes
from tests.ui.conftest import in_qt_loop, until

pytestmark = pytest.mark.qt_log_ignore("This plugin (does not )?support", extend=True)

ROW = f"{REPO}/{FILE}"
MODEL = "model-q4_k_m"


class RestingSeat(EngineSeat):
    """A seat nobody has taken, which nobody waits for."""

    async def refresh(self) -> tuple[()]:
        return ()


@dataclass
class Scene:
    page: ModelsPage
    hub: HostileHub
    tasks: TaskOwner
    known: LoadKnowledge
    settings: Settings
    errors: list[Exception]
    said: list[str] = field(default_factory=list)
    offers: list[Callable[[], object]] = field(default_factory=list)
    control: ModelsController | None = None

    async def begin(self) -> None:
        assert self.control is not None
        self.control.start()
        await until(lambda: bool(self.rows("recommended")))

    def say(self, words: str, _action: str = "", then: Callable[[], object] | None = None) -> None:
        self.said.append(words)
        if then is not None:
            self.offers.append(then)

    def rows(self, section: str) -> list[str]:
        view = self.page.sections.get(section)
        return list(view.rows) if view is not None and not view.isHidden() else []


@pytest.fixture
def scene(qtbot: QtBot, qapp: QApplication, tmp_path: Path) -> Iterator[Scene]:
    with HostileHub() as hub:
        body = model_bytes(200_000)
        hub.add(REPO, {FILE: body})
        kit = make_kit(hub, tmp_path / "models", body)
        machine = load_catalogue().machine("rtx-4090-64")
        library = LibraryService(kit.store, kit.downloader._hub, kit.downloader, machine)
        library.refresh_hardware = lambda devices=(): machine  # type: ignore[method-assign]
        library.found_here = list  # type: ignore[method-assign]
        theme = Theme(qapp)
        page = ModelsPage(theme, Icons(icons_folder(), theme))
        qtbot.addWidget(page)
        known = LoadKnowledge(
            ModelSettingsFile(tmp_path / "models.json"), Outcomes(tmp_path / "outcomes.json")
        )
        errors: list[Exception] = []
        tasks = TaskOwner(lambda _name, error: errors.append(error))
        made = Scene(page, hub, tasks, known, Settings(), errors)
        made.control = ModelsController(
            page, library, RestingSeat(), tasks, made.say, made.settings, known, theme
        )
        yield made
        kit.downloader.close()


@in_qt_loop
async def test_from_a_search_to_settings_of_its_own(scene: Scene) -> None:
    page = scene.page
    await scene.begin()
    page.search_changed.emit("model")
    await until(lambda: scene.rows("found") == [ROW])
    page.verb_chosen.emit("details", ROW)
    await until(lambda: page.sections["found"].rows[ROW].row.picture is not None)
    page.verb_chosen.emit("get", ROW)
    await until(lambda: scene.rows("installed") == [MODEL])
    page.verb_chosen.emit("tune", MODEL)
    await until(lambda: page.findChild(ModelSettingsDialog) is not None)
    dialog = page.findChild(ModelSettingsDialog)
    assert dialog is not None
    check, box = dialog._boxes["temperature"]
    assert isinstance(box, QDoubleSpinBox)
    check.setChecked(True)
    box.setValue(0.35)
    dialog.prompt.setPlainText("Use tabs.")
    dialog._on_save()
    await until(lambda: scene.known.settings.get(MODEL).system_prompt == "Use tabs.")
    assert scene.known.settings.get(MODEL).sampling == {"temperature": 0.35}
    page.verb_chosen.emit("remove", MODEL)
    await until(lambda: scene.rows("installed") == [])
    await until(lambda: bool(scene.offers))
    scene.offers[-1]()
    await until(lambda: scene.rows("installed") == [MODEL])
    await scene.tasks.close()
    assert scene.errors == []


@in_qt_loop
async def test_a_gated_model_is_explained_and_got_with_a_token(scene: Scene) -> None:
    page = scene.page
    scene.hub.repos[REPO].gated = True
    await scene.begin()
    page.search_changed.emit("model")
    await until(lambda: scene.rows("found") == [ROW])
    assert [verb.name for verb in page.sections["found"].rows[ROW].row.verbs] == ["access"]
    page.verb_chosen.emit("access", ROW)
    dialog = page.findChild(AccessDialog)
    assert dialog is not None
    assert dialog.address.text() == f"{scene.hub.endpoint}/{REPO}"
    dialog.copy.click()
    assert QApplication.clipboard().text() == dialog.address.text()
    assert not dialog.go.isEnabled()
    dialog.token.setText(" hf_mine ")
    dialog._on_save()
    await until(lambda: scene.rows("installed") == [MODEL])
    assert scene.settings.text("models.hub_token") == "hf_mine"
    got = [one for one in scene.hub.seen if one.method == "GET" and one.path.endswith(FILE)]
    assert {one.authorization for one in got} == {"Bearer hf_mine"}
    await scene.tasks.close()
    assert scene.errors == []


@in_qt_loop
async def test_much_that_has_arrived_is_not_deleted_with_one_click(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.ui.models.controller._ASK_ABOVE_BYTES", 50_000)
    page = scene.page
    scene.hub.faults.append(Fault("drop", at=100_000))
    scene.hub.always = Fault("status", value=500)
    await scene.begin()
    page.search_changed.emit("model")
    await until(lambda: scene.rows("found") == [ROW])
    page.verb_chosen.emit("get", ROW)

    def verbs() -> list[str]:
        rows = page.sections["downloads"].rows if "downloads" in page.sections else {}
        return [verb.name for one in rows.values() for verb in one.row.verbs]

    await until(lambda: verbs() == ["resume", "discard"])
    job = scene.rows("downloads")[0]
    page.verb_chosen.emit("discard", job)
    await until(lambda: verbs() == ["discard_really", "keep_part"])
    page.verb_chosen.emit("keep_part", job)
    await until(lambda: verbs() == ["resume", "discard"])
    page.verb_chosen.emit("discard", job)
    await until(lambda: verbs() == ["discard_really", "keep_part"])
    page.verb_chosen.emit("discard_really", job)
    await until(lambda: scene.rows("downloads") == [])
    assert any(words.endswith("are free again.") for words in scene.said)
    await scene.tasks.close()
    assert scene.errors == []
