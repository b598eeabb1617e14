"""`garret models pull`: which file is meant, and how its download is shown."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

from app.cli.terminal_line import TerminalLine
from app.core.errors import DownloadFailed, LibraryError
from app.core.network_log import NetworkLog
from app.core.paths import find_paths
from app.core.settings import Settings
from app.library.catalogue import CatalogueFile, CatalogueModel, load_catalogue
from app.library.download.downloader import Downloader, DownloadProgress
from app.library.download.jobs import Job
from app.library.fit.plan import make_plan
from app.library.hardware import detect_hardware
from app.library.hub import Hub
from app.library.store import Store

_PHASES = {
    "queued": "Waiting for its turn",
    "downloading": "Downloading",
    "waiting": "Waiting",
    "repairing": "Repairing",
    "verifying": "Verifying",
    "placing": "Placing",
    "elsewhere": "Another Garret is downloading this",
}


def pull_arguments(cli: argparse.ArgumentParser) -> None:
    cli.add_argument(
        "model",
        metavar="MODEL",
        help="OWNER/REPO/FILE.gguf, OWNER/REPO:QUANT, or an id of the catalogue such as "
        "qwen3-coder-next:UD-Q4_K_XL",
    )
    cli.add_argument(
        "--revision", default="", metavar="COMMIT", help="this version, not the newest"
    )
    cli.add_argument("--limit", type=float, default=0, metavar="MBIT", help="megabits per second")
    cli.add_argument("--json", action="store_true", help="one JSON object per report")
    cli.add_argument("--discard", action="store_true", help="drop an unfinished download instead")


def hub_for(settings: Settings) -> Hub:
    """The Hub the user set; HF_ENDPOINT comes first. HF_TOKEN is others' and not read."""
    endpoint = os.environ.get("HF_ENDPOINT", "") or settings.text("models.hub_url")
    keep = settings.flag("privacy.keep_list")
    log = NetworkLog(find_paths().network_log if keep else None)
    return Hub(endpoint, settings.text("models.hub_token"), log=log)


def pull(arguments: argparse.Namespace, store: Store, settings: Settings) -> int:
    """Downloads until installed; 0 then, 130 when interrupted (it can go on), 1 on failure."""
    hub = hub_for(settings)
    downloader = Downloader(store, hub)
    limit_mbit = arguments.limit or float(settings.number("models.download_limit_mbit_s"))
    downloader.speed.set(int(limit_mbit * 1e6 / 8))
    job = add_job(downloader, hub, arguments.model, arguments.revision)
    if arguments.discard:
        print(f"Dropped; {downloader.discard(job.job_id) / 1e6:.1f} MB became free.")
        return 0
    if job.state == "installed":
        print(f"{job.installed_id} is already installed.")
        return 0
    try:
        last = asyncio.run(_show(downloader, job, as_json=arguments.json))
    finally:
        downloader.close()
    if last.phase == "installed":
        if not arguments.json:
            model = store.find(last.installed_id)
            print(f"Installed {model.model_id}: {model.path}")
        return 0
    if last.phase == "failed":
        raise DownloadFailed(last.error, last.remedy)
    print("Stopped. The same command goes on where it ended.", file=sys.stderr)
    return 130


def add_job(downloader: Downloader, hub: Hub, name: str, revision: str) -> Job:
    """The job for a model as a person names it. Raises LibraryError, DownloadFailed."""
    repo, file, pinned = _parse(hub, name)
    return downloader.add(repo, file, revision or pinned)


def _parse(hub: Hub, name: str) -> tuple[str, str, str]:
    """(repository, file, pinned commit or '')."""
    parts = name.split("/")
    if len(parts) >= 3:
        return "/".join(parts[:2]), "/".join(parts[2:]), ""
    head, _, quant = name.partition(":")
    if "/" not in head:
        model = load_catalogue().model(head)
        if model is None or not model.files:
            known = ", ".join(one.id for one in load_catalogue().models[:6])
            raise LibraryError(
                f"{name!r} is neither OWNER/REPO/FILE nor an id of the catalogue.",
                f"The catalogue has {known}, and more: garret models recommend --all.",
            )
        file = model.file(quant) if quant else _best_file(model)
        if file is None:
            quants = ", ".join(one.quant for one in model.files)
            raise LibraryError(f"{head} has no {quant}.", f"It has: {quants}.")
        return file.repo, file.paths[0], file.revision
    models = hub.listing(head).models
    wanted = quant.casefold()
    hits = [one for one in models if not wanted or wanted in Path(one.file).name.casefold()]
    exact = [one for one in hits if f"-{wanted}." in one.file.casefold().replace("-0000", ".")]
    hits = exact or hits
    if len(hits) != 1:
        some = ", ".join(one.file for one in (hits or models)[:6])
        raise LibraryError(
            f"{head} has {len(hits)} models matching {quant or 'that'!r}.",
            f"Say which file: {some}." if some else "It has no GGUF files.",
        )
    return head, hits[0].file, ""


def _best_file(model: CatalogueModel) -> CatalogueFile:
    """The best quantization of a model that this machine runs well, else the smallest."""
    hardware = detect_hardware(Path.home(), kept=find_paths().bandwidth_file)
    fitting = [
        file for file in model.files if make_plan(model.facts(file), hardware).verdict == "fits"
    ]
    by_size = sorted(fitting or model.files[:1], key=lambda file: file.size_bytes)
    return by_size[-1]


async def _show(downloader: Downloader, job: Job, *, as_json: bool) -> DownloadProgress:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError, ValueError):  # Windows: Ctrl-C raises instead
            loop.add_signal_handler(number, stopping.set)
    last = downloader.progress(job.job_id)
    reports = downloader.download(job.job_id)
    with TerminalLine(job.model.file) as line:
        async for last in reports:
            if as_json:
                print(json.dumps(_as_json(last)), flush=True)
            else:
                line.text(_line(last))
            if stopping.is_set():
                break
        await reports.aclose()
    return last


def _line(now: DownloadProgress) -> str:
    share = 100 * now.bytes_done / max(1, now.bytes_total)
    text = f"{_PHASES.get(now.phase, now.phase)} {share:.1f} % of {now.bytes_total / 1e9:.2f} GB"
    if now.bytes_s:
        text += f", {now.bytes_s / 1e6:.1f} MB/s"
    if now.left_s is not None and now.phase == "downloading":
        text += f", {int(now.left_s) // 60}:{int(now.left_s) % 60:02} left"
    if now.note:
        wait = f" Next try in {now.wait_s:.0f} s." if now.wait_s >= 1 else ""
        text += f" ({now.note}{wait})"
    return text


def _as_json(now: DownloadProgress) -> dict[str, object]:
    return {
        "phase": now.phase,
        "bytes_done": now.bytes_done,
        "bytes_total": now.bytes_total,
        "bytes_s": round(now.bytes_s),
        "left_s": None if now.left_s is None else round(now.left_s, 1),
        "note": now.note,
        "wait_s": round(now.wait_s, 1),
        "error": now.error,
        "installed_id": now.installed_id,
    }
