"""Single questions to the operating system and to NVML; each has an answer for "cannot tell"."""

from __future__ import annotations

import importlib
import os
import platform
import re
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

_SYSTEM = platform.system()
# Two channels of old memory do better; anything less was measured in a busy moment.
_LEAST_RAM_BYTES_S = 15e9
# Per thread: two of them are more than the largest cache of a desktop processor (128 MiB).
_BLOCK_BYTES = 64 << 20
_WANTED_ISA = (
    "sse4_2", "avx", "f16c", "fma", "bmi2", "avx2", "avx_vnni", "avx512f", "avx512_vnni",
    "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "sve", "sme",
)  # fmt: skip
_APPLE_ISA = {"FEAT_DotProd": "asimddp", "FEAT_I8MM": "i8mm", "FEAT_SME": "sme", "AdvSIMD": "asimd"}
# Memory bandwidth by chip, GB/s, from Apple's technical specifications (binned parts: the lower).
_APPLE_GB_S = {
    "M1": 68, "M1 Pro": 200, "M1 Max": 400, "M1 Ultra": 800,
    "M2": 100, "M2 Pro": 200, "M2 Max": 400, "M2 Ultra": 800,
    "M3": 100, "M3 Pro": 150, "M3 Max": 300, "M3 Ultra": 819,
    "M4": 120, "M4 Pro": 273, "M4 Max": 410,
    "M5": 153, "M5 Pro": 307, "M5 Max": 460,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class CgroupMemory:
    """A container's memory limit and what counts against it now."""

    limit_bytes: int
    used_bytes: int


@dataclass(frozen=True, slots=True)
class NvidiaGpu:
    name: str
    total_bytes: int
    free_bytes: int
    bandwidth_bytes_s: float


def cgroup_memory(
    root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")
) -> CgroupMemory | None:
    """The tightest cgroup v2 memory limit above this process; None where there is none."""
    text = _text(own)
    match = re.search(r"(?m)^0::(/.*)$", text)
    folder = root / match[1].lstrip("/") if match else root
    found: CgroupMemory | None = None
    while folder.is_relative_to(root):
        limit = _text(folder / "memory.max").strip()
        if limit.isdigit():
            used = int(_text(folder / "memory.current").strip() or 0)
            # Cached file pages are given back under pressure: they are not in the way.
            cached = re.search(r"(?m)^inactive_file (\d+)$", _text(folder / "memory.stat"))
            used = max(0, used - int(cached[1] if cached else 0))
            if found is None or int(limit) < found.limit_bytes:
                found = CgroupMemory(int(limit), used)
        folder = folder.parent
    return found


def usable_cpus(root: Path = Path("/sys/fs/cgroup")) -> int:
    """Logical processors this process may use: affinity and container quota counted."""
    count = os.cpu_count() or 1
    if _SYSTEM == "Linux":
        count = len(os.sched_getaffinity(0))
        quota = _text(root / "cpu.max").split()
        if len(quota) == 2 and quota[0].isdigit() and int(quota[1]):
            count = max(1, min(count, -(-int(quota[0]) // int(quota[1]))))
    return count


def cpu_name() -> str:
    if _SYSTEM == "Linux":
        match = re.search(r"(?m)^(?:model name|Model)\s*:\s*(.+)$", _text(Path("/proc/cpuinfo")))
        return match[1].strip() if match else platform.machine()
    if _SYSTEM == "Darwin":
        return _sysctl("machdep.cpu.brand_string") or "Apple silicon"
    return platform.processor() or platform.machine()


def performance_cores() -> int:
    """Fast cores of a processor that has two kinds; 0 where all are alike or nobody says."""
    if _SYSTEM == "Darwin":
        return int(_sysctl("hw.perflevel0.physicalcpu") or 0)
    fast, slow = (_cpu_list(Path(f"/sys/devices/{kind}/cpus")) for kind in ("cpu_core", "cpu_atom"))
    if not fast or not slow:
        return 0
    cores = {
        _text(Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/core_id")).strip() for cpu in fast
    }
    return len(cores)


def isa_flags() -> tuple[str, ...]:
    """The instruction sets that matter to ggml and that this processor has."""
    if _SYSTEM == "Darwin":
        found = {
            flag for key, flag in _APPLE_ISA.items() if _sysctl(f"hw.optional.arm.{key}") == "1"
        }
    else:
        match = re.search(r"(?m)^(?:flags|Features)\s*:\s*(.+)$", _text(Path("/proc/cpuinfo")))
        found = set(match[1].split()) if match else set()
    return tuple(flag for flag in _WANTED_ISA if flag in found)


def on_battery() -> bool | None:
    """True while a laptop runs from its battery; None without one."""
    try:
        battery = psutil.sensors_battery()
    except (OSError, AttributeError, RuntimeError):
        return None
    return None if battery is None else not battery.power_plugged


def nvidia_gpus() -> list[NvidiaGpu]:
    """NVIDIA devices through NVML; empty without a driver, a device, or the binding."""
    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return []
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError, OSError):
        return []
    gpus = []
    try:
        for index in range(nvml.nvmlDeviceGetCount()):
            try:
                handle = nvml.nvmlDeviceGetHandleByIndex(index)
                memory = nvml.nvmlDeviceGetMemoryInfo(handle)
                name = nvml.nvmlDeviceGetName(handle)
            except nvml.NVMLError:
                continue  # fallen off the bus, or not ours
            text = name.decode() if isinstance(name, bytes) else str(name)
            bandwidth = _nvidia_bandwidth(nvml, handle)
            gpus.append(NvidiaGpu(text, int(memory.total), int(memory.free), bandwidth))
    except nvml.NVMLError:
        pass
    finally:
        nvml.nvmlShutdown()
    return gpus


def nvidia_driver_runs() -> bool:
    """Whether an NVIDIA driver answers, with or without a device."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except ImportError:
        return False
    except (nvml.NVMLError, OSError):
        return False
    nvml.nvmlShutdown()
    return True


def apple_bandwidth_bytes_s(chip: str) -> float:
    match = re.search(r"\bM\d+(?: (?:Pro|Max|Ultra))?", chip)
    return _APPLE_GB_S.get(match[0], 100) * 1e9 if match else 0.0


@cache
def ram_bandwidth_bytes_s(chip: str) -> float:
    """Main memory bandwidth: Apple's figure, else measured by reading more than caches hold."""
    if _SYSTEM == "Darwin" and (known := apple_bandwidth_bytes_s(chip)):
        return known
    np: Any = importlib.import_module("numpy")  # 0.1 s that only this measurement needs
    threads = min(4, usable_cpus())
    blocks = [np.ones(_BLOCK_BYTES // 8, dtype=np.float64) for _ in range(threads)]
    best = 0.0
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(4):
            start = time.perf_counter()
            list(pool.map(np.max, blocks))
            elapsed = time.perf_counter() - start
            best = max(best, sum(block.nbytes for block in blocks) / elapsed)
    return max(best, _LEAST_RAM_BYTES_S)


def _nvidia_bandwidth(nvml: object, handle: object) -> float:
    """Memory clock × 2 transfers × bus width; 0 where the driver does not say."""
    try:
        clock = nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_MEM)  # type: ignore[attr-defined]
        width = nvml.nvmlDeviceGetMemoryBusWidth(handle)  # type: ignore[attr-defined]
    except nvml.NVMLError:  # type: ignore[attr-defined]
        return 0.0
    return float(clock) * 1e6 * 2 * float(width) / 8


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _cpu_list(path: Path) -> list[int]:
    cpus: list[int] = []
    for part in _text(path).strip().split(","):
        first, _, last = part.partition("-")
        if first.isdigit():
            cpus.extend(range(int(first), int(last or first) + 1))
    return cpus


def _sysctl(name: str) -> str:
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
