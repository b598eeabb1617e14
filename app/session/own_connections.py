"""Looks at the real connections of Garret's processes: the proof that nothing left the machine."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

from app.core.tasks import end_tasks

LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class ConnectionProof:
    """What was seen while something ran. `elsewhere` are addresses of other computers.

    `looks` of 0 means that the system let nobody look: then nothing is proven.
    """

    looks: int = 0
    processes: int = 0
    elsewhere: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """True when somebody looked and saw no connection to another computer."""
        return self.looks > 0 and not self.elsewhere


class ConnectionWatch:
    """Looks again and again between `__aenter__` and `__aexit__`.

    Args:
        pids: the processes in question, asked at every look; their children are looked at too.
    """

    def __init__(self, pids: Callable[[], Iterable[int | None]], every_s: float = LOOK_EVERY_S):
        self._pids = pids
        self._every_s = every_s
        self._looks = 0
        self._seen: set[int] = set()
        self._elsewhere: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> ConnectionWatch:
        self._task = asyncio.create_task(self._run(), name="connection-watch")
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._task is not None:
            await end_tasks(self._task)
        await self.look()  # once more, so that a short run was looked at too

    @property
    def proof(self) -> ConnectionProof:
        return ConnectionProof(self._looks, len(self._seen), tuple(sorted(self._elsewhere)))

    async def look(self) -> None:
        """One look, on a thread."""
        wanted = [pid for pid in self._pids() if pid] + [os.getpid()]
        found = await asyncio.to_thread(connections_of, wanted)
        if found is None:
            return
        self._looks += 1
        self._seen |= found[0]
        self._elsewhere |= found[1]

    async def _run(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(self._every_s)


def connections_of(pids: Iterable[int]) -> tuple[set[int], set[str]] | None:
    """(processes looked at, addresses of other computers they talk to); None: not allowed to look.

    Only connections of these processes and their children count, not those of other programs.
    """
    family: dict[int, psutil.Process] = {}
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            process = psutil.Process(pid)
            family[pid] = process
            family |= {child.pid: child for child in process.children(recursive=True)}
    looked: set[int] = set()
    elsewhere: set[str] = set()
    for pid, process in family.items():
        try:
            connections = process.net_connections(kind="inet")
        except psutil.NoSuchProcess:
            continue
        except (psutil.AccessDenied, OSError):
            return None
        looked.add(pid)
        elsewhere |= {one.raddr.ip for one in connections if one.raddr and _is_far(one.raddr.ip)}
    return (looked, elsewhere) if looked else None


def _is_far(address: str) -> bool:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return True
    mapped = getattr(ip, "ipv4_mapped", None)
    return not (mapped or ip).is_loopback
