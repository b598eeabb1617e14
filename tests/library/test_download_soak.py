"""Random misfortunes: every file ends right, or with a sentence and a resumable part."""

from __future__ import annotations

import random
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app.library.download.limits import Limits
from tests.hostile_hub import Fault, HostileHub
from tests.library.download_kit import FILE, HURRY, REPO, Kit, make_kit, model_bytes

SEED = 20261123
SIZE = 400_000
WORKERS = 5
LASTING = ("stall_headers", "html", "gzip", "etag", "corrupt", "loop")
KINDS = (
    "drop", "drop", "drop", "stall", "short", "ignore_range", "wrong_start", "wrong_total", "star",
    "multipart", "unsatisfiable", "gzip", "etag", "html", "overlong", "endless", "corrupt", "reset",
    "stall_headers", "status", "loop",
)  # fmt: skip
STATUSES = (
    500, 503, 408, 403, 404, 416, (429, {"Retry-After": "0"}), (503, {"Retry-After": "999999"})
)  # fmt: skip
FAST = Limits(
    connect_s=1.0,
    stall_s=0.08,
    backoff_first_s=0.005,
    backoff_max_s=0.01,
    tries=3,
    patience_s=0.05,
    rate_limit_cap_s=0.02,
    progress_bytes=1024,
    adapt_s=0.05,
)


def misfortune(dice: random.Random) -> Fault:
    kind = dice.choice(KINDS)
    value = dice.choice(STATUSES) if kind == "status" else None
    return Fault(kind, at=dice.choice((0, 1, dice.randrange(SIZE), SIZE - 1)), value=value)


def assert_clean(kit: Kit, installed: bool) -> None:
    """Nothing on disk but what the state explains."""
    kinds = sorted(name.rsplit(".", 1)[-1] for name in kit.leftovers())
    if installed:
        assert kinds in ([], ["bad"])
        (model,) = kit.store.installed()
        assert model.path.read_bytes() == kit.body
    else:
        kit.assert_nothing_installed()
        assert kinds in (["json"], ["json", "map", "part"], ["bad", "json"], [
            "bad", "json", "map", "part"
        ])  # fmt: skip


def soak(folder: Path, seed: int, count: int) -> Counter[str]:
    """How `count` downloads ended, each with a few misfortunes."""
    dice = random.Random(seed)
    body = model_bytes(SIZE)
    outcomes: Counter[str] = Counter()
    with HostileHub() as hub:
        hub.add(REPO, {FILE: body})
        for number in range(count):
            hub.redirect = dice.random() < 0.3
            hub.faults.clear()
            hub.faults.extend(misfortune(dice) for _ in range(dice.randint(1, 6)))
            hub.always = Fault(dice.choice(LASTING), at=7) if dice.random() < 0.15 else None
            kit = make_kit(hub, folder / str(number), body, FAST)
            last = kit.pull()
            assert last.phase in ("installed", "failed"), (seed, number, last)
            outcomes[last.phase] += 1
            assert_clean(kit, last.phase == "installed")
            if last.phase == "failed":
                assert last.error.endswith("."), (seed, number, last)
                assert last.remedy, (seed, number, last)
                hub.faults.clear()
                hub.always = None
                kit = kit.again(HURRY)
                last = kit.pull()
                assert last.phase == "installed", (seed, number, last)
                assert_clean(kit, installed=True)
            kit.downloader.close()
    return outcomes


def soak_in_parallel(folder: Path, seed: int, count: int) -> Counter[str]:
    """Mostly waiting, so several at once, each with a hub of its own."""
    with ThreadPoolExecutor(WORKERS) as pool:
        ends = pool.map(
            lambda worker: soak(folder / str(worker), seed + worker, count // WORKERS),
            range(WORKERS),
        )
        return sum(ends, Counter())


@pytest.mark.slow
def test_two_hundred_random_fault_sequences(tmp_path: Path) -> None:
    outcomes = soak_in_parallel(tmp_path, SEED, 200)
    assert outcomes.total() == 200
    assert outcomes["installed"] >= 50
    assert outcomes["failed"] >= 10


if __name__ == "__main__":  # python -m tests.library.test_download_soak SEED COUNT
    with TemporaryDirectory() as scratch:
        ends = soak_in_parallel(Path(scratch), int(sys.argv[1]), int(sys.argv[2]))
        sys.stdout.write(f"{dict(ends)}\n")
