"""The hardware page says what there is and how it is used, and copies nothing private."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QApplication, QLabel
from pytestqt.qtbot import QtBot

from app.core.control import DeviceInfo, EngineStatus, LoadSpec, MemoryUse, ModelInfo
from app.core.engine_view import EngineView
from app.library.catalogue import load_catalogue
from app.library.fit.memory import demands
from app.library.fit.shape import Shape
from app.library.hardware import Gpu, Hardware, with_devices
from app.library.store import Store
from app.ui.application import icons_folder
from app.ui.hardware.controller import HardwareController
from app.ui.hardware.mapping import Loaded, hardware_view
from app.ui.hardware.page import HardwarePage
from app.ui.hardware.values import HardwareView
from app.ui.icons import Icons
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from tests.ui.conftest import in_qt_loop, until

pytestmark = pytest.mark.qt_log_ignore("This plugin (does not )?support", extend=True)

GIB = 1 << 30
CARD = Gpu("RTX 4090", "discrete", 24 * GIB, 22 * GIB, 1008e9, "nvml")
PC = Hardware(
    "this machine", 64 * GIB, 50 * GIB, 83e9, cpu_name="Some Processor", cores_physical=16,
    cores_logical=32, cores_performance=8, isa=("avx2", "avx512_vnni"), gpus=(CARD,),
    disk_free_bytes=312_000_000_000, system="Linux 6",
)  # fmt: skip
BARE = replace(PC, gpus=())


def loaded(n_cpu_moe: int = 0) -> Loaded:
    known = load_catalogue().model("qwen3-coder-next")
    assert known is not None
    facts = known.facts(known.files[0])
    spec = LoadSpec("/m.gguf", "m", n_ctx=32_768, n_cpu_moe=n_cpu_moe)
    uses = (
        MemoryUse("CUDA0", 18 * GIB, GIB, GIB // 4, GIB // 8),
        MemoryUse("CPU", GIB, 0, 0, GIB // 16),
    )
    return Loaded("Next", ModelInfo("m", n_ctx=32_768), uses, spec, facts)


def facts_of(view: HardwareView) -> dict[str, str]:
    return {fact.name: fact.value for fact in view.facts}


def test_each_pool_is_filled_exactly() -> None:
    view = hardware_view(PC, (), loaded())
    assert [picture.total_bytes for picture in view.pictures] == [64 * GIB, 24 * GIB]
    roles = [part.role for part in view.pictures[0].parts]
    assert roles == ["weights", "work", "other", "free", "reserve"]
    held = next(part for part in view.pictures[0].parts if part.role == "reserve")
    other = next(part for part in view.pictures[0].parts if part.role == "other")
    assert held.size_bytes + other.size_bytes == 16 * GIB


def test_the_machine_is_described() -> None:
    facts = facts_of(hardware_view(PC))
    assert facts["Cores"] == "16: 8 fast, 8 efficient (32 threads)"
    assert facts["Graphics"] == "RTX 4090: 24 GB of its own, 22 GB available now"
    assert facts["Power"] == "No battery"
    tips = {fact.name: fact.tip for fact in hardware_view(PC).facts}
    assert tips["Processor"] == "Instruction sets that models use: AVX2, AVX512 VNNI."
    assert tips["Graphics"] == "1,008 GB/s; as its driver says."


def test_two_cards_have_a_bar_and_a_line_each() -> None:
    two = replace(PC, gpus=(CARD, CARD))
    view = hardware_view(two)
    assert [picture.title for picture in view.pictures] == ["Memory", "RTX 4090", "RTX 4090"]
    assert {"Graphics 1", "Graphics 2"} <= set(facts_of(view))
    assert "2 × RTX 4090 with 24 GB each" in view.sentence


@pytest.mark.parametrize(
    ("hardware", "words"),
    [
        (replace(BARE, driver_without_gpu=True), "no device answers"),
        (replace(BARE, memory_limit_source="container"), "in a container"),
        (replace(BARE, on_battery=True), "on battery"),
        (with_devices(PC, [DeviceInfo("CPU", "cpu")]), "RTX 4090 is here, but the engine cannot"),
    ],
)
def test_what_is_unusual_is_said(hardware: Hardware, words: str) -> None:
    assert any(words in notice for notice in hardware_view(hardware).notices)
    assert not hardware_view(BARE).notices
    assert "None that models can use" in facts_of(hardware_view(hardware))["Graphics"]


def test_the_plan_stands_beside_what_llama_cpp_reports() -> None:
    one = loaded(n_cpu_moe=5)
    view = hardware_view(PC, (), one)
    assert view.model is not None
    assert one.facts is not None
    assert "experts of 5 layers in main memory" in view.model.words
    gpu, cpu = demands(one.facts, Shape(32_768, n_cpu_moe=5), n_gpus=1)
    rows = {row.name: row for row in view.model.rows}
    assert rows["Model"].planned_bytes == one.facts.weights_bytes
    assert rows["Model"].reported_bytes == 19 * GIB
    assert rows["Working room"].planned_bytes == gpu.compute_bytes + cpu.compute_bytes
    assert rows["Together"].planned_bytes == gpu.plus(cpu).total_bytes
    assert "Model: planned" in view.report


def test_an_engine_that_reports_nothing_shows_no_table() -> None:
    view = hardware_view(PC, (), replace(loaded(), uses=()), engine_runs=False)
    assert view.model is not None
    assert view.model.rows == ()
    assert any("not running" in notice for notice in view.notices)


@pytest.fixture
def page(qtbot: QtBot, qapp: QApplication) -> HardwarePage:
    theme = Theme(qapp)
    made = HardwarePage(theme, Icons(icons_folder(), theme))
    qtbot.addWidget(made)
    return made


def texts(page: HardwarePage) -> list[str]:
    return [label.text() for label in page.findChildren(QLabel) if not label.isHidden()]


def test_the_page_draws_models_that_come_and_go(page: HardwarePage) -> None:
    page.show_view(hardware_view(PC, (), loaded()))
    assert {"Planned", "Reported", "Together"} <= set(texts(page))
    page.show_view(hardware_view(BARE))
    assert "Planned" not in texts(page)
    assert any("No model is loaded" in text for text in texts(page))


class Seat:
    """An engine with one model of a file that is not in the store."""

    view = EngineView(phase="ready", model=ModelInfo("m", n_ctx=4096))
    spec = LoadSpec("/home/somebody/secret/m.gguf", "m", n_ctx=4096)

    async def status(self) -> EngineStatus:
        return EngineStatus(memory={"m": (MemoryUse("CPU", GIB),)})


@in_qt_loop
async def test_the_page_is_fresh_when_seen_and_copied_without_paths(
    page: HardwarePage, tmp_path: Path
) -> None:
    library = SimpleNamespace(store=Store(tmp_path), refresh_hardware=lambda _devices: PC)
    said: list[str] = []
    errors: list[Exception] = []
    tasks = TaskOwner(lambda _name, error: errors.append(error))
    control = HardwareController(page, library, Seat(), tasks, said.append)  # type: ignore[arg-type]
    page.show()
    await until(lambda: page.copy.isEnabled())
    page.copy.click()
    control.set_engine_view(Seat.view)
    await tasks.close()
    copied = QGuiApplication.clipboard().text()
    assert "Processor: Some Processor" in copied
    assert "Loaded: m" in copied
    assert "secret" not in copied
    assert str(tmp_path) not in copied
    assert said == ["Copied. Read it before you send it."]
    assert not errors
