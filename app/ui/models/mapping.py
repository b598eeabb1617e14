"""From what the library knows to what the page draws. Pure."""

from __future__ import annotations

from app.library.download.downloader import DownloadProgress
from app.library.hardware import Hardware
from app.library.service import ModelRow as LibraryRow
from app.ui.models.values import (
    MemoryPicture,
    ModelRow,
    PoolPart,
    Verb,
    context_text,
    duration_text,
    size_text,
)

_LINE_BYTES_S = 100e6 / 8  # 100 Mbit/s, said beside every estimate made with it
_ACTIVE = ("queued", "downloading", "waiting", "repairing", "verifying", "placing", "elsewhere")


def installed_row(row: LibraryRow, in_use: str) -> ModelRow:
    """A model that can be chosen, or is."""
    used = row.installed_id == in_use
    verbs = [] if used or row.problem else [Verb("use", "Use", is_main=True)]
    verbs.append(Verb("verify", "Check"))
    if not used:
        verbs.append(Verb("remove", "Forget" if row.is_reference else "Remove"))
    return ModelRow(
        key=row.key,
        title=row.title,
        summary=row.what,
        facts=_facts(row),
        verdict=row.verdict,
        label="In use" if used else "",
        verbs=tuple(verbs),
        error=row.problem,
    )


def offered_row(row: LibraryRow, label: str, *, is_main: bool, on_its_way: bool) -> ModelRow:
    """A model that can be had."""
    verbs: tuple[Verb, ...] = (Verb("get", "Download", is_main),)
    if row.installed_id:
        verbs = (Verb("use", "Use", is_main),)
    elif on_its_way or row.verdict == "too big" or row.gated:
        verbs = ()
    wait = f"{duration_text(row.size_bytes / _LINE_BYTES_S)} to get at 100 Mbit/s"
    facts = (*_facts(row), wait) if row.size_bytes and not row.installed_id else _facts(row)
    problem = "Ask for access on its page at the hub first." if row.gated else ""
    return ModelRow(
        key=row.key,
        title=row.title,
        summary=row.what,
        facts=facts,
        verdict=row.verdict,
        label=label,
        verbs=verbs,
        error=problem,
    )


def download_row(progress: DownloadProgress) -> ModelRow:
    """A model on its way, with what can be done about it."""
    total, done = progress.bytes_total, progress.bytes_done
    if progress.phase in _ACTIVE:
        verbs = (Verb("pause", "Pause"), Verb("cancel", "Cancel"))
    else:
        verbs = (Verb("resume", "Resume", is_main=True), Verb("discard", "Discard"))
    failed = progress.phase == "failed"
    return ModelRow(
        key=progress.job_id,
        title=progress.title,
        verbs=verbs,
        fraction=done / total if total else 0.0,
        progress="" if failed else _progress_words(progress),
        error=f"{progress.error} {progress.remedy}".strip() if failed else "",
    )


def memory_pictures(hardware: Hardware, model_bytes: int) -> tuple[MemoryPicture, ...]:
    """Each memory models may use, and what is in it now."""
    in_ram = model_bytes if not hardware.gpus or hardware.unified else 0
    taken = max(0, hardware.ram_total_bytes - hardware.ram_available_bytes)
    pictures = [_picture("Memory", hardware.ram_total_bytes, taken, in_ram)]
    if not hardware.unified:
        for gpu in hardware.gpus:
            used = max(0, gpu.limit_bytes - gpu.free_bytes)
            pictures.append(_picture(gpu.name, gpu.limit_bytes, used, min(model_bytes, used)))
    return tuple(pictures)


def _picture(title: str, total: int, taken: int, model: int) -> MemoryPicture:
    model = min(model, taken)
    parts = [
        PoolPart("Model in use", model, "weights"),
        PoolPart("Everything else", taken - model, "other"),
        PoolPart("Free", max(0, total - taken), "free"),
    ]
    return MemoryPicture(title, tuple(part for part in parts if part.size_bytes))


def _facts(row: LibraryRow) -> tuple[str, ...]:
    facts = [size_text(row.size_bytes)] if row.size_bytes else []
    if row.speed >= 1:
        facts.append(f"writes about {round(row.speed)} words a second")
    if row.plan is not None and row.plan.shape.n_ctx:
        facts.append(context_text(row.plan.shape.n_ctx))
    if row.quantization:
        facts.append(row.quantization)
    return tuple(facts)


def _progress_words(progress: DownloadProgress) -> str:
    size = f"{size_text(progress.bytes_done)} of {size_text(progress.bytes_total)}"
    match progress.phase:
        case "downloading":
            words = [size]
            if progress.bytes_s > 0:
                words.append(f"{size_text(round(progress.bytes_s))}/s")
            if progress.left_s is not None:
                words.append(f"{duration_text(progress.left_s)} left")
            return " · ".join(words)
        case "queued":
            return f"{size} · waits for its turn"
        case "waiting":
            wait = f" Again in {duration_text(progress.wait_s)}." if progress.wait_s >= 1 else ""
            return f"{progress.note or 'Waiting for the network.'}{wait}"
        case "verifying" | "repairing":
            return f"{size} · checking what has arrived"
        case "placing":
            return "Putting it in its place"
        case "elsewhere":
            return "Another Garret is downloading it"
        case "paused" | "cancelled":
            return f"{size} · paused; what has arrived is kept"
        case _:
            return size
