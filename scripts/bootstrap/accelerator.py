"""What this machine can compute on, asked without loading any driver."""

from __future__ import annotations

import ctypes.util
import glob
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# The backends llama-cpp-python's project publishes wheels for, newest CUDA first.
CUDA_BUILDS = ("13.2", "13.0", "12.5", "12.4", "12.3", "12.2", "12.1", "11.8")


@dataclass(frozen=True, slots=True)
class Accelerator:
    """The kind of wheel to look for, and how to build one.

    `published` are the names of the project's wheel folders, best first.
    """

    backend: str
    published: tuple[str, ...]
    cmake: tuple[str, ...]
    title: str


COMMON_CMAKE = (
    "-DGGML_RPC=OFF",
    "-DLLAMA_CURL=OFF",
    "-DLLAVA_BUILD=OFF",  # the library for pictures, which Garret does not open
    "-DLLAMA_OPENSSL=OFF",
    "-DLLAMA_BUILD_TESTS=OFF",
    "-DLLAMA_BUILD_EXAMPLES=OFF",
)


def detect() -> Accelerator:
    """Metal on Apple silicon, CUDA where a driver and a device are there, else the processor."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return Accelerator(
            "metal",
            ("metal",),
            (*COMMON_CMAKE, "-DGGML_METAL=ON", "-DGGML_METAL_EMBED_LIBRARY=ON"),
            "Apple GPU (Metal)",
        )
    driver = cuda_driver_version()
    if driver is not None:
        published = tuple(
            "cu" + build.replace(".", "") for build in CUDA_BUILDS if _as_tuple(build) <= driver
        )
        if shutil.which("nvcc"):
            cmake = (*COMMON_CMAKE, "-DGGML_CUDA=ON", "-DCMAKE_CUDA_ARCHITECTURES=native")
            return Accelerator("cuda", published, cmake, "NVIDIA GPU (CUDA)")
        return Accelerator("cuda", (*published, "vulkan", "cpu"), COMMON_CMAKE, "NVIDIA GPU (CUDA)")
    if has_vulkan_gpu():
        return Accelerator("vulkan", ("vulkan", "cpu"), COMMON_CMAKE, "GPU (Vulkan)")
    return Accelerator("cpu", ("cpu",), COMMON_CMAKE, "processor")


def cuda_driver_version() -> tuple[int, int] | None:
    """The newest CUDA the installed NVIDIA driver can run; None without driver or device."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    try:
        answer = subprocess.run(
            [tool], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=15
        )
    except (OSError, subprocess.SubprocessError):
        return None
    found = re.search(r"CUDA Version:\s*(\d+)\.(\d+)", answer.stdout)
    if answer.returncode != 0 or found is None:
        return None
    return int(found.group(1)), int(found.group(2))


def has_vulkan_gpu() -> bool:
    """True where a Vulkan loader, a driver for it and a render device are all there."""
    if not sys.platform.startswith("linux"):
        return False
    drivers = [
        path
        for folder in ("/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d")
        for path in glob.glob(folder + "/*.json")
        if "lvp" not in Path(path).name  # lavapipe computes on the processor
    ]
    return bool(drivers and glob.glob("/dev/dri/renderD*") and ctypes.util.find_library("vulkan"))


def processor_key() -> str:
    """Eight hex digits for this processor's kind: a tuned build may run on no other."""
    text = platform.machine()
    if Path("/proc/cpuinfo").exists():
        info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        lines = re.findall(r"^(?:flags|Features|model name|CPU part)\s*:.*$", info, re.MULTILINE)
        text += "\n".join(sorted(set(lines)))
    elif sys.platform == "darwin":
        text += subprocess.run(
            ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        ).stdout
    else:
        text += platform.processor()
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def build_jobs() -> int:
    """How many compilers at once: one per core, but not more than memory holds (1.2 GB each)."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        memory = 8 * 10**9
    return max(1, min(cores or 1, int(memory / 1.2e9)))


def _as_tuple(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)
