"""What this machine really has: memory pools, processor, graphics, disk, power.

Works without a GPU, with a driver but no device, and inside a container with a memory limit. The
engine's own device list, once it runs, replaces what NVML or a table says (`with_devices`).
"""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import psutil

from app.core.control import DeviceInfo
from app.library import probes
from app.library.bandwidth import ram_bandwidth_bytes_s
from app.library.disk import free_bytes

_SYSTEM = platform.system()

GpuKind = Literal["discrete", "integrated"]


@dataclass(frozen=True, slots=True)
class Gpu:
    """One accelerator. `limit_bytes` is what it may hold in all, `free_bytes` what it could now.

    An integrated one works in the machine's main memory, up to its limit.
    """

    name: str
    kind: GpuKind
    limit_bytes: int
    free_bytes: int
    bandwidth_bytes_s: float = 0.0
    source: str = ""


@dataclass(frozen=True, slots=True)
class Hardware:
    """A machine, this one or one imagined. 0 or '' where nobody knows."""

    title: str
    ram_total_bytes: int
    ram_available_bytes: int
    ram_bandwidth_bytes_s: float = 0.0
    cpu_name: str = ""
    cores_physical: int = 0
    cores_logical: int = 0
    cores_performance: int = 0
    isa: tuple[str, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    disk_free_bytes: int = 0
    on_battery: bool | None = None
    system: str = ""
    memory_limit_source: str = ""
    idle_gpus: tuple[str, ...] = ()
    """Graphics processors that are here but that the engine cannot use."""
    driver_without_gpu: bool = False

    @property
    def unified(self) -> bool:
        """The GPU uses the machine's own memory (Apple silicon, integrated graphics)."""
        return bool(self.gpus) and all(gpu.kind == "integrated" for gpu in self.gpus)

    @property
    def sentence(self) -> str:
        """The machine in one line for people."""
        parts = [f"{_gib(self.ram_total_bytes)} GB memory"]
        if self.cpu_name:
            parts.insert(0, self.cpu_name)
        if self.cores_physical:
            parts.append(f"{self.cores_physical} cores")
        cards = [(gpu.name, _gib(gpu.limit_bytes)) for gpu in self.gpus if gpu.kind == "discrete"]
        for name, size in dict.fromkeys(cards):
            count = cards.count((name, size))
            many = f"{count} × {name} with {size} GB each"
            parts.append(many if count > 1 else f"{name} with {size} GB of its own")
        for gpu in self.gpus:
            if gpu.kind == "integrated":
                words = f"{_gib(gpu.limit_bytes)} GB of it for graphics"
                parts.insert(2 if self.cpu_name else 1, words)
        if not self.gpus:
            parts.append("no graphics processor that models can use")
        return ", ".join(parts) + "."

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "unified": self.unified, "sentence": self.sentence}


def detect_hardware(
    models_folder: Path, *, measure: bool = True, kept: Path | None = None
) -> Hardware:
    """This machine, now; never raises for missing hardware.

    With `measure` the memory's bandwidth is measured once per process (a few tenths of a second);
    `kept` is the file with the best figures so far, so that a busy moment changes nothing.
    """
    memory = psutil.virtual_memory()
    limit = probes.cgroup_memory()
    total, available, source = memory.total, memory.available, ""
    if limit is not None and limit.limit_bytes < total:
        total = limit.limit_bytes
        available = min(available, max(0, limit.limit_bytes - limit.used_bytes))
        source = "container"
    name = probes.cpu_name()
    physical = psutil.cpu_count(logical=False) or 0
    logical = probes.usable_cpus()
    gpus = _gpus(total, available, name)
    return Hardware(
        title="this machine",
        ram_total_bytes=total,
        ram_available_bytes=available,
        ram_bandwidth_bytes_s=ram_bandwidth_bytes_s(name, kept) if measure else 0.0,
        cpu_name=name,
        cores_physical=min(physical, logical) or logical,
        cores_logical=logical,
        cores_performance=probes.performance_cores() or min(physical, logical) or logical,
        isa=probes.isa_flags(),
        gpus=gpus,
        disk_free_bytes=free_bytes(models_folder),
        on_battery=probes.on_battery(),
        system=f"{platform.system()} {platform.release()}",
        memory_limit_source=source,
        driver_without_gpu=not gpus and probes.nvidia_driver_runs(),
    )


def with_devices(hardware: Hardware, devices: Sequence[DeviceInfo]) -> Hardware:
    """`hardware` with its GPUs as ggml sees them in the engine (Metal's real working set)."""
    seen = [device for device in devices if device.kind in ("gpu", "igpu") and device.total_bytes]
    if not seen:
        idle = tuple(gpu.name for gpu in hardware.gpus)
        return hardware if not devices else replace(hardware, gpus=(), idle_gpus=idle)
    known = {gpu.name: gpu for gpu in hardware.gpus}
    gpus = []
    for number, device in enumerate(seen):
        name = device.description or device.name
        old = known.get(name) or (
            hardware.gpus[number] if len(hardware.gpus) == len(seen) else None
        )
        integrated = device.kind == "igpu" or _SYSTEM == "Darwin"
        gpus.append(
            Gpu(
                name=name,
                kind="integrated" if integrated else "discrete",
                limit_bytes=device.total_bytes,
                free_bytes=device.free_bytes,
                bandwidth_bytes_s=old.bandwidth_bytes_s if old else 0.0,
                source="engine",
            )
        )
    return replace(hardware, gpus=tuple(gpus))


def metal_limit_bytes(ram_bytes: int) -> int:
    """Metal's usual working-set limit, for when it cannot be read: two thirds of memory up to
    36 GB, three quarters above (the older macOS rule; newer ones grant more)."""
    return int(ram_bytes * (0.66 if ram_bytes <= 36 << 30 else 0.75))


def _gpus(ram_total: int, ram_available: int, cpu: str) -> tuple[Gpu, ...]:
    if _SYSTEM == "Darwin" and platform.machine() == "arm64":
        limit = metal_limit_bytes(ram_total)
        bandwidth = probes.apple_bandwidth_bytes_s(cpu)
        return (Gpu(cpu, "integrated", limit, min(limit, ram_available), bandwidth, "rule"),)
    return tuple(
        Gpu(one.name, "discrete", one.total_bytes, one.free_bytes, one.bandwidth_bytes_s, "nvml")
        for one in probes.nvidia_gpus()
    )


def _gib(size_bytes: int) -> str:
    value = size_bytes / (1 << 30)
    return f"{value:.0f}" if value >= 10 or value == int(value) else f"{value:.1f}"
