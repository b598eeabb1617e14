"""The machine is described as it is: containers, missing devices, the engine's own list."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from app.core.control import DeviceInfo
from app.library import probes
from app.library.hardware import Gpu, Hardware, detect_hardware, metal_limit_bytes, with_devices

GIB = 1 << 30


def test_this_machine_is_detected(tmp_path: Path) -> None:
    found = detect_hardware(tmp_path / "not" / "there" / "yet")
    assert found.ram_total_bytes > found.ram_available_bytes > 0
    assert found.cores_logical >= found.cores_physical >= 1
    assert found.ram_bandwidth_bytes_s > 1e9
    assert found.disk_free_bytes > 0
    assert json.loads(json.dumps(found.to_json()))["sentence"].endswith(".")


def cgroup(root: Path, limits: dict[str, tuple[str, str, str]]) -> Path:
    for name, (limit, current, stat) in limits.items():
        folder = root / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "memory.max").write_text(limit)
        (folder / "memory.current").write_text(current)
        (folder / "memory.stat").write_text(stat)
    own = root / "self"
    own.write_text("0::/a/b\n")
    return own


def test_the_tightest_container_limit_counts_without_its_file_cache(tmp_path: Path) -> None:
    own = cgroup(
        tmp_path,
        {
            "a": (str(8 * GIB), str(3 * GIB), f"anon 5\ninactive_file {GIB}\n"),
            "a/b": ("max", "1", ""),
        },
    )
    assert probes.cgroup_memory(tmp_path, own) == probes.CgroupMemory(8 * GIB, 2 * GIB)


@pytest.mark.parametrize("text", ["", "0::/elsewhere\n", "1:cpu:/x\n"])
def test_no_container_is_no_limit(tmp_path: Path, text: str) -> None:
    own = tmp_path / "self"
    own.write_text(text)
    assert probes.cgroup_memory(tmp_path / "empty", own) is None


def test_a_container_limit_is_the_memory_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = probes.CgroupMemory(2 * GIB, GIB)
    monkeypatch.setattr(probes, "cgroup_memory", lambda: limit)
    found = detect_hardware(tmp_path, measure=False)
    assert found.ram_total_bytes == 2 * GIB
    assert found.ram_available_bytes <= GIB
    assert found.memory_limit_source == "container"


class FakeNvml:
    """NVML with as many devices as it is told; the second one has fallen off the bus."""

    class NVMLError(Exception):
        pass

    NVML_CLOCK_MEM = 2

    def __init__(self, devices: int, driver: bool = True) -> None:
        self.devices = devices
        self.driver = driver
        self.open = False

    def nvmlInit(self) -> None:
        if not self.driver:
            raise self.NVMLError
        self.open = True

    def nvmlShutdown(self) -> None:
        self.open = False

    def nvmlDeviceGetCount(self) -> int:
        return self.devices

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index == 1:
            raise self.NVMLError
        return index

    def nvmlDeviceGetMemoryInfo(self, _handle: int) -> Any:
        return SimpleNamespace(total=24 * GIB, free=23 * GIB)

    def nvmlDeviceGetName(self, _handle: int) -> bytes:
        return b"NVIDIA GeForce RTX 4090"

    def nvmlDeviceGetMaxClockInfo(self, _handle: int, _kind: int) -> int:
        return 10_501

    def nvmlDeviceGetMemoryBusWidth(self, _handle: int) -> int:
        return 384


@pytest.mark.parametrize(
    ("fake", "count"),
    [(FakeNvml(0), 0), (FakeNvml(1), 1), (FakeNvml(2), 1), (FakeNvml(1, driver=False), 0)],
    ids=["driver without a device", "one", "one of two", "no driver"],
)
def test_nvidia_devices_are_listed(
    monkeypatch: pytest.MonkeyPatch, fake: FakeNvml, count: int
) -> None:
    monkeypatch.setattr(probes.importlib, "import_module", lambda _name: fake)
    gpus = probes.nvidia_gpus()
    assert len(gpus) == count
    assert not fake.open
    for gpu in gpus:
        assert gpu.name == "NVIDIA GeForce RTX 4090"
        assert round(gpu.bandwidth_bytes_s / 1e9) == 1008


def machine(*gpus: Gpu) -> Hardware:
    return Hardware("m", 64 * GIB, 60 * GIB, gpus=gpus)


def test_the_engines_own_list_knows_best() -> None:
    before = machine(Gpu("RTX", "discrete", 24 * GIB, 24 * GIB, 1e12, "nvml"))
    now = with_devices(
        before,
        [
            DeviceInfo("CPU", "cpu", "CPU", 64 * GIB, 60 * GIB),
            DeviceInfo("CUDA0", "gpu", "RTX", 23 * GIB, 20 * GIB),
        ],
    )
    (gpu,) = now.gpus
    assert (gpu.limit_bytes, gpu.free_bytes, gpu.source) == (23 * GIB, 20 * GIB, "engine")
    assert gpu.bandwidth_bytes_s == 1e12


def test_an_engine_without_gpu_support_has_no_gpu() -> None:
    before = machine(Gpu("RTX", "discrete", 24 * GIB, 24 * GIB))
    assert with_devices(before, [DeviceInfo("CPU", "cpu")]).gpus == ()
    assert with_devices(before, []) == before


def test_integrated_graphics_share_the_memory() -> None:
    shared = with_devices(machine(), [DeviceInfo("Vulkan0", "igpu", "Arc", 16 * GIB, 16 * GIB)])
    assert shared.unified
    assert not machine().unified
    assert not replace(shared, gpus=(Gpu("x", "discrete", 1, 1), *shared.gpus)).unified


def test_the_metal_rule_is_the_older_and_smaller_one() -> None:
    assert metal_limit_bytes(16 * GIB) < 12_124 << 20
    assert metal_limit_bytes(64 * GIB) < 53_084 << 20
