"""From what the library knows to what the page draws. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.control import DeviceInfo, MemoryUse
from app.library.download.downloader import DownloadProgress
from app.library.elsewhere import Found
from app.library.fit.plan import Plan
from app.library.hardware import Hardware
from app.library.service import ModelRow as LibraryRow
from app.ui.models.values import (
    MemoryPicture,
    ModelRow,
    PoolPart,
    Verb,
    context_text,
    duration_text,
    memory_text,
    size_text,
)

_LINE_BYTES_S = 100e6 / 8  # 100 Mbit/s, said beside every estimate made with it
_USE = Verb("use", "Use", is_main=True)
_ANYWAY = (
    "It needs more memory than this machine has to spare: loading may fail or make everything "
    "slow. Nothing is lost if it does."
)
_ACTIVE = ("queued", "downloading", "waiting", "repairing", "verifying", "placing", "elsewhere")


@dataclass(frozen=True, slots=True)
class LoadProblem:
    """A load that ran out of memory: what happened, and how it could be loaded ('' if not)."""

    sentence: str
    smaller: str = ""


def installed_row(row: LibraryRow, in_use: str, problem: LoadProblem | None = None) -> ModelRow:
    """A model that can be chosen, or is. `problem`: its last load failed for want of memory."""
    used = row.installed_id == in_use
    verbs: list[Verb] = []
    if problem is not None and problem.smaller:
        verbs.append(Verb("smaller", "Load a smaller plan", True, f"Again, {problem.smaller}"))
        verbs.append(Verb("use", "Try as before"))
    elif not used and not row.problem:
        too_big = row.verdict == "too big"
        verbs.append(Verb("use", "Load anyway", tip=_ANYWAY) if too_big else _USE)
    if used:
        verbs.append(Verb("unload", "Free its memory", tip="Makes room; it stays installed."))
    more = [
        Verb("tune", "Settings for this model…"),
        Verb("verify", "Check its files"),
        Verb("export", "Copy to a drive…", tip="For a computer without a network."),
    ]
    if row.is_reference:
        more = [one for one in more if one.name != "export"]
    if not used:
        more.append(Verb("remove", "Forget" if row.is_reference else "Remove"))
    error = row.problem
    if problem is not None:
        offer = f"It can be loaded {problem.smaller}." if problem.smaller else ""
        error = f"{problem.sentence} {offer}".strip()
    return ModelRow(
        key=row.key,
        title=row.title,
        summary=row.what,
        facts=_facts(row),
        verdict=row.verdict,
        label="In use" if used else "",
        verbs=tuple(verbs),
        more=tuple(more),
        error=error,
    )


def offered_row(
    row: LibraryRow,
    label: str,
    *,
    is_main: bool,
    on_its_way: bool,
    is_elsewhere: bool = False,
    closer: bool = False,
) -> ModelRow:
    """A model that can be had; `is_elsewhere`: it is looked at for another computer, `closer`:
    with its memory as a picture."""
    verbs: tuple[Verb, ...] = (Verb("get", "Download", is_main),)
    more: tuple[Verb, ...] = ()
    if row.installed_id:
        verbs = () if is_elsewhere else (Verb("use", "Use", is_main),)
    elif on_its_way:
        verbs = ()
    elif row.gated:
        verbs = (Verb("access", "How to get it…", tip="Its owner asks you to accept terms first."),)
    elif row.verdict == "too big" and not is_elsewhere:
        verbs, more = (), (Verb("get", "Download anyway", tip=_ANYWAY),)
    if row.estimated and not row.installed_id and not is_elsewhere:
        tip = "Reads a few megabytes of the file to say exactly what it needs here."
        more = (*more, Verb("details", "Look closer", tip=tip))
    wait = f"{duration_text(row.size_bytes / _LINE_BYTES_S)} to get at 100 Mbit/s"
    facts = (*_facts(row), wait) if row.size_bytes and not row.installed_id else _facts(row)
    return ModelRow(
        key=row.key,
        title=row.title,
        summary=row.what,
        facts=facts,
        verdict=row.verdict,
        label=label,
        verbs=verbs,
        more=more,
        picture=plan_picture(row.plan) if (is_main or closer) and row.plan else None,
    )


def found_row(found: Found) -> ModelRow:
    """A model of another app."""
    return ModelRow(
        key=str(found.path),
        title=found.title,
        summary=f"{found.app} has it. Garret can use it where it is, without a second copy.",
        facts=(size_text(found.size_bytes),),
        verbs=(Verb("adopt", "Use it here", tip="Checks the file first; it is never changed."),),
    )


def download_row(
    progress: DownloadProgress,
    *,
    is_first: bool = True,
    is_last: bool = True,
    asks: bool = False,
) -> ModelRow:
    """A model on its way, with what can be done about it; `asks`: whether to delete what is here.

    The question is dropped by itself when the download goes on.
    """
    total, done = progress.bytes_total, progress.bytes_done
    if progress.phase in _ACTIVE:
        verbs = (Verb("pause", "Pause"), Verb("cancel", "Cancel"))
    elif asks:
        verbs = (
            Verb("discard_really", f"Delete {size_text(done)}"),
            Verb("keep_part", "Keep", is_main=True),
        )
    else:
        verbs = (Verb("resume", "Resume", is_main=True), Verb("discard", "Discard"))
    failed = progress.phase == "failed"
    more = [] if is_first else [Verb("earlier", "Move up", tip="Download it before the others.")]
    more += [] if is_last else [Verb("later", "Move down")]
    return ModelRow(
        key=progress.job_id,
        title=progress.title,
        verbs=verbs,
        more=tuple(more),
        fraction=done / total if total else 0.0,
        progress="" if failed else _progress_words(progress),
        error=f"{progress.error} {progress.remedy}".strip() if failed else "",
    )


def memory_pictures(
    hardware: Hardware,
    uses: Sequence[MemoryUse] = (),
    devices: Sequence[DeviceInfo] = (),
) -> tuple[MemoryPicture, ...]:
    """Each memory models may use, and what is in it now; `uses` is the loaded models' share."""
    shared = hardware.unified or not hardware.gpus
    taken = max(0, hardware.ram_total_bytes - hardware.ram_available_bytes)
    in_ram = [use for use in uses if shared or use.device == "CPU"]
    pictures = [_picture("Memory", hardware.ram_total_bytes, taken, in_ram)]
    if not hardware.unified:
        names = [one.name for one in devices if one.kind in ("gpu", "igpu")]
        for number, gpu in enumerate(hardware.gpus):
            name = names[number] if len(names) == len(hardware.gpus) else ""
            beside = [use for use in uses if use.device != "CPU"]
            here = [use for use in beside if not name or use.device == name]
            used = max(0, gpu.limit_bytes - gpu.free_bytes)
            pictures.append(_picture(gpu.name, gpu.limit_bytes, used, here))
    return tuple(pictures)


def plan_picture(plan: Plan) -> MemoryPicture:
    """A plan's memory, all pools together: what it takes and what stays free."""
    weights = sum(pool.demand.weights_bytes for pool in plan.pools)
    context = sum(pool.demand.kv_bytes + pool.demand.state_bytes for pool in plan.pools)
    work = sum(pool.demand.compute_bytes + pool.checkpoints_bytes for pool in plan.pools)
    spare = sum(max(0, pool.spare_bytes) for pool in plan.pools)
    over = sum(max(0, -pool.spare_bytes) for pool in plan.pools)
    parts = [
        PoolPart("Model", weights, "weights"),
        PoolPart("Conversation", context, "context"),
        PoolPart("Working room", work, "work"),
        PoolPart("Free", spare, "free"),
        PoolPart("Held back", sum(pool.reserve_bytes for pool in plan.pools), "reserve"),
    ]
    title = "How it fits"
    if over:
        title = f"{memory_text(over)} more than there is"
    return MemoryPicture(title, tuple(part for part in parts if part.size_bytes))


def hardware_words(hardware: Hardware) -> str:
    """The machine in plain words: what it has, and what bears on downloads and speed."""
    words = [hardware.sentence]
    if hardware.disk_free_bytes:
        words.append(f"{size_text(hardware.disk_free_bytes)} are free where models are kept.")
    if hardware.on_battery:
        words.append("It runs on battery, which may make models slower.")
    return " ".join(words)


def _picture(title: str, total: int, taken: int, uses: Sequence[MemoryUse]) -> MemoryPicture:
    weights = sum(use.weights_bytes for use in uses)
    context = sum(use.kv_bytes + use.state_bytes for use in uses)
    work = sum(use.compute_bytes + use.output_bytes for use in uses)
    left = total
    parts = []
    for name, size, role in (
        ("Model", weights, "weights"),
        ("Conversation", context, "context"),
        ("Working room", work, "work"),
        ("Other programs", max(0, taken - weights - context - work), "other"),
    ):
        size = min(size, left)
        left -= size
        parts.append(PoolPart(name, size, role))  # type: ignore[arg-type]  # a literal above
    parts.append(PoolPart("Free", left, "free"))
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
    done, total = progress.bytes_done, progress.bytes_total
    size = f"{size_text(done)} of {size_text(total)}"
    match progress.phase:
        case "downloading":
            words = [size]
            if progress.bytes_s > 0:
                words.append(f"{size_text(round(progress.bytes_s))}/s")
            if progress.left_s is not None:
                words.append(f"{duration_text(progress.left_s)} left")
            return " · ".join(words)
        case "queued":
            return f"{size if done else size_text(total)} · waits for its turn"
        case "waiting":
            wait = f" Again in {duration_text(progress.wait_s)}." if progress.wait_s >= 1 else ""
            return f"{progress.note or 'Waiting for the network.'}{wait}"
        case "verifying":
            return f"{size} · checking what has arrived"
        case "repairing":
            return "Some of it arrived damaged: finding that part and fetching it again"
        case "placing":
            return "Putting it in its place"
        case "elsewhere":
            return "Another Garret is downloading it"
        case "paused" | "cancelled":
            return f"{size} · paused; what has arrived is kept"
        case _:
            return size
