"""Times the start of Garret as the user feels it: `bench_startup.py [--program P] [--json]`.

Starts the window in an empty home that holds only the starter model, asks a question as soon as
the window is painted, and reports the seconds from exec to: the paint, the engine's socket, the
loaded model, the first word of the answer; and the memory of the window's process. The median of
`--runs` starts counts; one start before them warms the caches. With `--cold` the system's cache of
files is dropped before each start instead (root, Linux). Without a screen it runs offscreen; start
it under Xvfb for the numbers of a real window.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app.core.paths import find_paths  # noqa: E402 - found through the line above
from app.library.starter import add_starter  # noqa: E402
from app.library.store import Store  # noqa: E402

MARKS = ("painted", "idle", "ready", "first_word")
LABELS = {"painted": "window painted", "idle": "engine listens", "ready": "model loaded",
          "first_word": "first word"}  # fmt: skip
LIMITS_S = {"painted": 1.0, "first_word": 3.0}
COLD_LIMITS_S = {"painted": 3.0}
LIMIT_MB = 200.0
GIVE_UP_S = 120.0


def main() -> int:
    options = parse_arguments()
    command = [options.program] if options.program else [sys.executable, "-P", "-m", "app"]
    with tempfile.TemporaryDirectory(prefix="garret-bench-start-") as folder:
        home = Path(folder)
        if options.model:
            prepare(home, options.model)
        one_start(command, home)  # the very first one makes databases and byte code
        starts = []
        for _ in range(options.runs):
            if options.cold:
                drop_file_cache()
            starts.append(one_start(command, home))
    report = summary(starts, cold=options.cold)
    report["program"] = options.program or "source"
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        show(report)
    return 0 if report["ok"] or not options.check else 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", default="", help="an executable (default: this checkout)")
    parser.add_argument("--model", type=Path, default=_starter(), help="the starter's GGUF")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cold", action="store_true", help="drop the file cache before each start")
    parser.add_argument("--check", action="store_true", help="exit status 1 beyond the limits")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def prepare(home: Path, model: Path) -> None:
    """The starter model as the first start of a bundle leaves it."""
    paths = find_paths({"GARRET_HOME": str(home)})
    paths.make()
    add_starter(Store(paths.models), model)
    (paths.data / "starter-added").touch()


def one_start(command: list[str], home: Path) -> dict[str, float]:
    """Seconds from exec to each mark, and `memory_mb` of the window's process at the end.

    Raises:
        RuntimeError: the start did not get to its end.
    """
    env = {**os.environ, "GARRET_HOME": str(home), "PYTHONPATH": str(ROOT)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    if not any(env.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")):
        env["QT_QPA_PLATFORM"] = "offscreen"
    seen: dict[str, float] = {}
    began = time.perf_counter()
    with subprocess.Popen(
        [*command, "_start_marks"], env=env, cwd=home, stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                with contextlib.suppress(ValueError):
                    row = json.loads(line)
                    seen.setdefault(row["mark"], time.perf_counter() - began)
                    if row["mark"] == "failed":
                        raise RuntimeError(f"the start failed: {row.get('error')}")
                    if row["mark"] == "settled":
                        seen["memory_mb"] = memory_mb(process.pid)
                if time.perf_counter() - began > GIVE_UP_S:
                    raise RuntimeError(f"no end after {GIVE_UP_S:.0f} s; seen: {seen}")
        except BaseException:
            process.kill()
            raise
    missing = [name for name in MARKS if name not in seen]
    if missing:
        raise RuntimeError(f"the start never got to: {', '.join(missing)}")
    return seen


def memory_mb(pid: int) -> float:
    """Memory that is this process's own (USS) and its share of what it shares (PSS), in MB."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1000
    import psutil

    return float(psutil.Process(pid).memory_info().rss) / 1e6


def drop_file_cache() -> None:
    """Everything is read from the disk again.

    Raises:
        PermissionError: only root may do that.
    """
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3\n")


def summary(starts: list[dict[str, float]], *, cold: bool) -> dict[str, Any]:
    """Medians, and whether they keep the limits."""
    medians = {name: statistics.median(start[name] for start in starts) for name in MARKS}
    memory = statistics.median(start["memory_mb"] for start in starts)
    limits = COLD_LIMITS_S if cold else LIMITS_S
    ok = all(medians[name] <= limit for name, limit in limits.items()) and memory <= LIMIT_MB
    return {
        "ok": ok,
        "cold": cold,
        "runs": len(starts),
        "seconds": {name: round(value, 3) for name, value in medians.items()},
        "worst_s": {name: round(max(start[name] for start in starts), 3) for name in MARKS},
        "memory_mb": round(memory, 1),
        "limits_s": limits,
        "limit_mb": LIMIT_MB,
    }


def show(report: dict[str, Any]) -> None:
    kind = "cold" if report["cold"] else "warm"
    print(f"{report['program']}, {kind}, median of {report['runs']}:")
    for name in MARKS:
        limit = report["limits_s"].get(name)
        aim = f"  (at most {limit:.1f} s)" if limit else ""
        worst = report["worst_s"][name]
        print(f"  {LABELS[name]:<15} {report['seconds'][name]:6.2f} s, worst {worst:.2f} s{aim}")
    print(f"  window's memory {report['memory_mb']:6.1f} MB  (at most {LIMIT_MB:.0f} MB)")


def _starter() -> Path | None:
    folder = Path.home() / ".cache" / "garret" / "starter"
    return next(iter(sorted(folder.glob("*.gguf"))), None)


if __name__ == "__main__":
    sys.exit(main())
