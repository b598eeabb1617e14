#!/usr/bin/env python3
"""Downloads one file from loopback with Garret and with curl, in turns, and compares.

Both fetch the same URL from the same server process to the same disk; Garret's time includes
hashing, its header check and placing the model. Neither waits until the disk has everything: both
end with the file in the system's cache, and everything is written out before the next one begins.
Who begins changes from round to round, and each transfer that counts comes right after one of its
own kind that does not: a virtual machine may give free memory back to its host, and touching it
again costs more than the download. Files written in large pieces and in small ones free different
memory, so in a plain alternation (`--alternate`) one of the two pays for the other. The last line
is one JSON object; `disk_mb` is what was written to disks while a download ran, by anybody.

    python scripts/bench_download.py [--size-mb 2000] [--rounds 4] [--alternate]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.library.download.downloader import Downloader  # noqa: E402
from app.library.hub import Hub  # noqa: E402
from app.library.store import Store  # noqa: E402

REPO, FILE = "bench/model", "big.gguf"


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def write_model(path: Path, size_bytes: int) -> None:
    """A sound GGUF with one big tensor of noise."""
    rows = size_bytes // 4096
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2)
    head += text("general.architecture") + struct.pack("<I", 8) + text("llama")
    head += text("llama.block_count") + struct.pack("<II", 4, 1)
    head += text("blk.0.attn_k.weight") + struct.pack("<IQQIQ", 2, 1024, rows, 0, 0)
    head += b"\0" * (-len(head) % 32)
    noise = os.urandom(1 << 20)
    with path.open("wb") as file:
        file.write(head)
        left = rows * 4096
        while left:
            left -= file.write(noise[: min(left, len(noise))])
        file.flush()
        os.fsync(file.fileno())


def cpu_s(who: int) -> float:
    use = resource.getrusage(who)
    return use.ru_utime + use.ru_stime


def written_mb() -> float:
    """Megabytes written to disks since the machine started; 0 where nobody counts."""
    counters = psutil.disk_io_counters()
    return counters.write_bytes / 1e6 if counters else 0.0


def settle() -> None:
    """Everything written so far is on the disk, and nothing of it is waited for in what follows."""
    os.sync()
    time.sleep(1.0)


def with_garret(endpoint: str, folder: Path) -> tuple[float, float]:
    """(seconds, seconds of processor time, the header check's own process included)."""

    async def download() -> float:
        downloader = Downloader(Store(folder), Hub(endpoint))
        job = await asyncio.to_thread(downloader.add, REPO, FILE)
        started = time.perf_counter()
        last = None
        async for progress in downloader.download(job.job_id):
            last = progress
        elapsed = time.perf_counter() - started
        if last is None or last.phase != "installed":
            raise SystemExit(f"the download ended as {last}")
        return elapsed

    before = cpu_s(resource.RUSAGE_SELF) + cpu_s(resource.RUSAGE_CHILDREN)
    elapsed = asyncio.run(download())
    used = cpu_s(resource.RUSAGE_SELF) + cpu_s(resource.RUSAGE_CHILDREN) - before
    shutil.rmtree(folder)
    return elapsed, used


def with_curl(url: str, target: Path) -> tuple[float, float]:
    """(seconds, seconds of processor time)."""
    started, before = time.perf_counter(), cpu_s(resource.RUSAGE_CHILDREN)
    subprocess.run(["curl", "-sSfL", "-o", str(target), url], check=True)
    elapsed = time.perf_counter() - started
    target.unlink()
    return elapsed, cpu_s(resource.RUSAGE_CHILDREN) - before


def main() -> int:
    cli = argparse.ArgumentParser(description=__doc__)
    cli.add_argument("--size-mb", type=int, default=2000)
    cli.add_argument("--rounds", type=int, default=4)
    cli.add_argument("--alternate", action="store_true", help="no uncounted transfers in between")
    cli.add_argument("--folder", type=Path, help="where to work; needs three times the size")
    options = cli.parse_args()
    if shutil.which("curl") is None:
        print("bench_download: curl is not installed.", file=sys.stderr)
        return 1
    work = Path(tempfile.mkdtemp(prefix="garret-bench-", dir=options.folder))
    server = None
    try:
        print(f"writing {options.size_mb} MB …", flush=True)
        write_model(work / "source.gguf", options.size_mb * 1_000_000)
        size = (work / "source.gguf").stat().st_size
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.hostile_hub", str(work / "source.gguf")],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert server.stdout is not None
        endpoint = server.stdout.readline().strip()
        url = f"{endpoint}/{REPO}/resolve/main/{FILE}"
        taken: dict[str, list[tuple[float, float, float]]] = {"garret": [], "curl": []}
        for number in range(options.rounds + 1):
            for one in ("garret", "curl") if number % 2 else ("curl", "garret"):
                for _ in range(1 if options.alternate or not number else 2):
                    settle()
                    before_mb = written_mb()
                    if one == "garret":
                        used = with_garret(endpoint, work / "models")
                    else:
                        used = with_curl(url, work / "curl.bin")
                if number:
                    taken[one].append((*used, written_mb() - before_mb))
            if number:
                last = {one: rounds[-1] for one, rounds in taken.items()}
                print(
                    f"round {number}: "
                    + ", ".join(
                        f"{one} {size / seconds / 1e6:.0f} MB/s ({cpu:.1f} s CPU)"
                        for one, (seconds, cpu, _) in last.items()
                    )
                    + f", ratio {last['curl'][0] / last['garret'][0]:.2f}",
                    flush=True,
                )
        middle = {
            one: [statistics.median(column) for column in zip(*rounds, strict=True)]
            for one, rounds in taken.items()
        }
        summary: dict[str, float] = {"size_bytes": size}
        for one, (seconds, cpu, disk_mb) in middle.items():
            summary |= {
                f"{one}_mb_s": round(size / seconds / 1e6, 1),
                f"{one}_cpu_s": round(cpu, 2),
                f"{one}_disk_mb": round(disk_mb),
            }
        summary["ratio"] = round(middle["curl"][0] / middle["garret"][0], 3)
        print(json.dumps(summary))
        return 0
    finally:
        if server is not None:
            server.terminate()
            server.wait()
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
