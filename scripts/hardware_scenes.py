"""The states of the hardware page for the picture gallery: the real page with held values."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QWidget

from app.core.control import DeviceInfo, LoadSpec, MemoryUse, ModelInfo
from app.library.catalogue import load_catalogue
from app.library.hardware import Hardware
from app.ui.hardware.mapping import Loaded, hardware_view
from app.ui.hardware.page import HardwarePage
from scripts.model_scenes import GIB, machine

if TYPE_CHECKING:
    from scripts.scenes import Stage

MIB = 1 << 20
_ISA = ("avx", "f16c", "fma", "bmi2", "avx2", "avx512f", "avx512_vnni", "avx512_bf16")
_NEXT = "Qwen3-Coder-Next"


def _mac() -> Hardware:
    return replace(
        machine(), cpu_name="Apple M4 Pro", cores_physical=14, cores_logical=14,
        cores_performance=10, isa=("asimd", "asimddp", "i8mm", "sme"), on_battery=None,
        system="Darwin 25.1.0",
    )  # fmt: skip


def _pc(name: str = "rtx-4090-64") -> Hardware:
    return replace(
        machine(name), cpu_name="AMD Ryzen 9 9950X 16-Core Processor", cores_physical=16,
        cores_logical=32, cores_performance=16, isa=_ISA, system="Linux 6.18.0",
        ram_bandwidth_bytes_s=83e9,
    )  # fmt: skip


def _laptop() -> Hardware:
    return replace(
        machine("cpu-16"), cpu_name="Intel(R) Core(TM) Ultra 7 155H", cores_physical=16,
        cores_logical=22, cores_performance=6, isa=("avx", "f16c", "fma", "avx2", "avx_vnni"),
        on_battery=True, system="Windows 11",
    )  # fmt: skip


def _next(uses: Sequence[MemoryUse], n_cpu_moe: int = 0, n_ctx: int = 262_144) -> Loaded:
    known = load_catalogue().model("qwen3-coder-next")
    assert known is not None
    file = known.file("UD-Q4_K_XL")
    assert file is not None
    info = ModelInfo(_NEXT, n_ctx=n_ctx, n_parallel=1)
    spec = LoadSpec("/models/next.gguf", _NEXT, n_ctx=n_ctx, n_cpu_moe=n_cpu_moe)
    return Loaded(_NEXT, info, tuple(uses), spec, known.facts(file))


async def _show(
    stage: Stage,
    hardware: Hardware,
    devices: Sequence[DeviceInfo] = (),
    loaded: Loaded | None = None,
    *,
    engine_runs: bool = True,
) -> HardwarePage:
    page = HardwarePage(stage.theme, stage.icons)
    stage.window.add_page("hardware", "Hardware", "hardware", page, "Ctrl+6")
    page.show_view(hardware_view(hardware, devices, loaded, engine_runs=engine_runs))
    stage.window.show_page("hardware")
    await asyncio.sleep(0.2)
    return page


async def hardware_mac(stage: Stage) -> None:
    """One memory for everything, with a model in it."""
    uses = (
        MemoryUse("MTL0", 46 * GIB, 6 * GIB, 380 * MIB, 372 * MIB),
        MemoryUse("CPU", 160 * MIB, 0, 0, 260 * MIB, 3 * MIB),
    )
    mac = _mac()
    mac = replace(mac, ram_available_bytes=mac.ram_total_bytes - 59 * GIB)
    await _show(stage, mac, (), _next(uses))


async def hardware_split(stage: Stage) -> None:
    """A graphics card that holds a part of the model."""
    uses = (
        MemoryUse("CUDA0", 17 * GIB, 3 * GIB, 380 * MIB, 730 * MIB),
        MemoryUse("CPU", 29 * GIB, 0, 0, 38 * MIB, 3 * MIB),
    )
    card = _pc()
    card = replace(card, gpus=(replace(card.gpus[0], free_bytes=2 * GIB, source="engine"),))
    card = replace(card, ram_available_bytes=26 * GIB)
    devices = (DeviceInfo("CUDA0", "gpu", card.gpus[0].name, 24 * GIB, 2 * GIB),)
    await _show(stage, card, devices, _next(uses, n_cpu_moe=30, n_ctx=131_072))


async def hardware_two_cards(stage: Stage) -> None:
    """Two graphics cards, nothing loaded."""
    await _show(stage, _pc("2x-rtx-5090-64"))


async def hardware_no_card(stage: Stage) -> None:
    """A laptop on battery without a graphics processor that models can use."""
    await _show(stage, _laptop())


async def hardware_driver_only(stage: Stage) -> None:
    """A driver, but no device behind it; the engine is not running."""
    await _show(stage, replace(_laptop(), driver_without_gpu=True), engine_runs=False)


async def hardware_idle_card(stage: Stage) -> None:
    """A card that this build of the engine cannot use."""
    card = _pc()
    await _show(stage, replace(card, gpus=(), idle_gpus=(card.gpus[0].name,)))


async def hardware_container(stage: Stage) -> None:
    """In a container with a memory limit."""
    small = replace(
        _pc("cpu-16"), ram_total_bytes=8 * GIB, ram_available_bytes=5 * GIB,
        memory_limit_source="container", cores_physical=4, cores_logical=4, cores_performance=4,
        gpus=(), system="Linux 6.18.0",
    )  # fmt: skip
    await _show(stage, small)


HARDWARE_SCENES: dict[str, Callable[[Stage], Awaitable[QWidget | None]]] = {
    scene.__name__: scene
    for scene in (
        hardware_mac, hardware_split, hardware_two_cards, hardware_no_card, hardware_driver_only,
        hardware_idle_card, hardware_container,
    )
}  # fmt: skip
