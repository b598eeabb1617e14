"""What the engine process gives up before it reads anything hostile.

A model file, a template or a request that takes the process over should find little to do: on
Linux it may write only the folders that are the engine's own, and open no connection. Elsewhere,
and where the kernel lacks Landlock, `contain` says so and the engine runs on.
"""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

from app.core.control import EngineBoot
from app.core.landlock import restrict_writes

_log = logging.getLogger(__name__)
HELD = "It can write only its own folders"
# what programs write to, and the nodes of graphics drivers; never a disk
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "dri", "kfd", "nvidia*", "dxg")
_OWN_PROCESS = "/proc/self"  # threads name themselves
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - granted to drivers, not used here
# where drivers keep what they compile; left alone they would use the user's home
_DRIVER_CACHES = ("CUDA_CACHE_PATH", "MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH")


def contain(boot: EngineBoot, devices: Path = Path("/dev")) -> str:
    """Restricts this process for good; one sentence on what holds now.

    To be called while the process has one thread of its own and its socket is bound.
    """
    if sys.platform != "linux":
        return "Not contained: this system offers no way that needs no administrator."
    nvidia = (devices / "nvidiactl").exists()
    if nvidia and os.geteuid() != 0 and not (devices / "nvidia-uvm").exists():
        # the driver starts a set-uid helper for this node, which containment would forbid
        return "Not contained: the graphics driver still has to load its memory module."
    folders = [_SHARED_MEMORY]
    if boot.prefix_cache_dir:
        folders.append(_own_folder(Path(boot.prefix_cache_dir)))
    if boot.log_path:
        folders.append(str(Path(boot.log_path).parent))
    # several GPUs find each other over a socket (NCCL)
    several = (devices / "nvidia1").exists()
    try:
        nodes = [str(node) for name in _DEVICES for node in devices.glob(name)]
        restrict_writes(folders, [*nodes, _OWN_PROCESS], connect=several)
    except OSError as error:
        _log.info("the engine is not contained: %s", error)
        return f"Not contained: the kernel offers no Landlock ({error.strerror})."
    return HELD + ("." if several else " and open no connection.")


def _own_folder(cache: Path) -> str:
    """The cache folder, with room for temporary files and for what drivers compile."""
    temporary, compiled = cache / "scratch" / "tmp", cache / "scratch" / "compiled"
    for folder in (cache, cache / "scratch", temporary, compiled):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.environ["TMPDIR"] = str(temporary)
    for name in _DRIVER_CACHES:
        os.environ.setdefault(name, str(compiled))
    return str(cache)
