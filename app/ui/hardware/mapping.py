"""From what the library and the engine know to what the hardware page draws. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.build import version_line
from app.core.control import DeviceInfo, LoadSpec, MemoryUse, ModelInfo
from app.library.facts import ModelFacts
from app.library.fit.memory import Demand, demands, repacked_bytes
from app.library.fit.plan import room
from app.library.fit.shape import Shape
from app.library.hardware import Gpu, Hardware
from app.ui.hardware.values import Compared, Fact, HardwareView, LoadedModel
from app.ui.models.mapping import memory_pictures
from app.ui.models.values import MemoryPicture, PoolPart, memory_text, size_text

_SOURCES = {
    "engine": "as the engine sees it",
    "nvml": "as its driver says",
    "rule": "estimated until the engine runs",
}


@dataclass(frozen=True, slots=True)
class Loaded:
    """The model in memory: what the engine says of it and what it was loaded with."""

    title: str
    info: ModelInfo
    uses: tuple[MemoryUse, ...]
    spec: LoadSpec | None = None
    facts: ModelFacts | None = None


def hardware_view(
    hardware: Hardware,
    devices: Sequence[DeviceInfo] = (),
    loaded: Loaded | None = None,
    *,
    engine_runs: bool = True,
) -> HardwareView:
    """The page for a machine; `devices` is the engine's own list."""
    uses = loaded.uses if loaded is not None else ()
    pictures = tuple(
        _with_headroom(picture, reserve)
        for picture, reserve in zip(
            memory_pictures(hardware, uses, devices), _reserves(hardware), strict=False
        )
    )
    facts = _facts(hardware)
    notices = _notices(hardware, engine_runs=engine_runs)
    model = _model(loaded, hardware) if loaded is not None else None
    return HardwareView(
        sentence=hardware.sentence,
        notices=notices,
        pictures=pictures,
        facts=facts,
        model=model,
        report=_report(facts, notices, pictures, model),
    )


def _reserves(hardware: Hardware) -> list[int]:
    """What is held back in each pool, in the order of the pictures."""
    place = room(hardware)
    if hardware.unified:
        return [max(0, hardware.ram_total_bytes - place.gpu_bytes)]
    return [place.ram_reserve_bytes] + [
        place.gpu_reserve_bytes // len(hardware.gpus) for _ in hardware.gpus
    ]


def _with_headroom(picture: MemoryPicture, reserve_bytes: int) -> MemoryPicture:
    """What is free, split: other programs already live in what is held back for them."""
    free = sum(part.size_bytes for part in picture.parts if part.role == "free")
    other = sum(part.size_bytes for part in picture.parts if part.role == "other")
    held = min(free, max(0, reserve_bytes - other))
    parts = [part for part in picture.parts if part.role != "free"]
    parts.append(PoolPart("Free for models", free - held, "free"))
    parts.append(PoolPart("Held back", held, "reserve"))
    return MemoryPicture(picture.title, tuple(part for part in parts if part.size_bytes))


def _facts(hardware: Hardware) -> tuple[Fact, ...]:
    isa = ", ".join(_isa_words(flag) for flag in hardware.isa)
    tip = f"Instruction sets that models use: {isa}." if isa else ""
    facts = [
        Fact("Processor", hardware.cpu_name or "Not known", tip),
        Fact("Cores", _cores(hardware)),
        Fact("Memory", _memory(hardware)),
    ]
    if hardware.ram_bandwidth_bytes_s:
        tip = "How fast models can be read from it; that bounds how fast they write."
        speed = f"About {hardware.ram_bandwidth_bytes_s / 1e9:.0f} GB/s"
        facts.append(Fact("Memory speed", speed, tip))
    facts += [
        Fact("Graphics" if len(hardware.gpus) == 1 else f"Graphics {number}", *_gpu(gpu))
        for number, gpu in enumerate(hardware.gpus, start=1)
    ]
    if not hardware.gpus:
        facts.append(Fact("Graphics", "None that models can use: the processor does the work"))
    if hardware.disk_free_bytes:
        free = f"{size_text(hardware.disk_free_bytes)} free where models are kept"
        facts.append(Fact("Disk", free))
    battery = {True: "On battery", False: "Plugged in", None: "No battery"}
    facts.append(Fact("Power", battery[hardware.on_battery]))
    if hardware.system:
        facts.append(Fact("System", hardware.system))
    return tuple(facts)


def _isa_words(flag: str) -> str:
    return "SSE4.2" if flag == "sse4_2" else flag.upper().replace("_", " ")


def _cores(hardware: Hardware) -> str:
    cores, fast = hardware.cores_physical, hardware.cores_performance
    if 0 < fast < cores:
        words = f"{cores}: {fast} fast, {cores - fast} efficient"
    else:
        words = str(cores or hardware.cores_logical or "Not known")
    if hardware.cores_logical > cores > 0:
        words += f" ({hardware.cores_logical} threads)"
    return words


def _memory(hardware: Hardware) -> str:
    total = memory_text(hardware.ram_total_bytes)
    words = f"{total}, {memory_text(hardware.ram_available_bytes)} of it available now"
    return f"{words}; a container's limit" if hardware.memory_limit_source else words


def _gpu(gpu: Gpu) -> tuple[str, str]:
    share = "of the machine's memory" if gpu.kind == "integrated" else "of its own"
    words = f"{gpu.name}: {memory_text(gpu.limit_bytes)} {share}"
    words += f", {memory_text(gpu.free_bytes)} available now"
    tip = _SOURCES.get(gpu.source, "")
    if gpu.bandwidth_bytes_s:
        tip = f"{gpu.bandwidth_bytes_s / 1e9:,.0f} GB/s; {tip}" if tip else ""
    return words, f"{tip[:1].upper()}{tip[1:]}." if tip else ""


def _notices(hardware: Hardware, *, engine_runs: bool) -> tuple[str, ...]:
    notices = []
    if hardware.idle_gpus:
        names = ", ".join(hardware.idle_gpus)
        notices.append(
            f"{names} is here, but the engine cannot use it: it was built without support for it, "
            "or its driver is too old. “Check This Computer” in the Help menu says more."
        )
    elif hardware.driver_without_gpu:
        notices.append(
            "An NVIDIA driver is installed, but no device answers it. Models run on the processor."
        )
    if hardware.memory_limit_source:
        notices.append(
            "Garret runs in a container that may not use all of this computer's memory. "
            "What is shown is the container's share."
        )
    if hardware.on_battery:
        notices.append("It runs on battery: models may be slower.")
    if not engine_runs:
        notices.append("The engine is not running; some figures are estimates until it does.")
    return tuple(notices)


def _model(loaded: Loaded, hardware: Hardware) -> LoadedModel:
    info, spec, facts = loaded.info, loaded.spec, loaded.facts
    words = [f"{info.n_ctx:,} tokens of context"] if info.n_ctx else []
    if spec is not None:
        words += _placement(spec, facts)
    if not loaded.uses or spec is None or facts is None:
        return LoadedModel(loaded.title, ", ".join(words))
    n_gpus = sum(1 for use in loaded.uses if use.device != "CPU")
    shape = Shape(
        n_ctx=spec.n_ctx or info.n_ctx,
        n_parallel=info.n_parallel,
        kv_type=spec.kv_type,
        n_ubatch=spec.n_ubatch or 512,
        n_gpu_layers=spec.n_gpu_layers,
        n_cpu_moe=spec.n_cpu_moe,
    )
    gpu, cpu = demands(facts, shape, n_gpus=n_gpus, unified=hardware.unified)
    planned = gpu.plus(cpu)
    twice = 0 if n_gpus else repacked_bytes(facts, hardware.isa)
    note = ""
    if twice and _sum(loaded.uses, "weights_bytes") > planned.weights_bytes * 1.05:
        note = (
            "llama.cpp reorders the model for this processor and counts it twice; the copy that "
            "lies in the file gives way when memory is short."
        )
    return LoadedModel(loaded.title, ", ".join(words), _rows(planned, loaded.uses), note)


def _placement(spec: LoadSpec, facts: ModelFacts | None) -> list[str]:
    layers = facts.n_layers if facts is not None else 0
    words = []
    if spec.n_cpu_moe:
        words.append(f"experts of {spec.n_cpu_moe} layers in main memory")
    if layers and 0 < spec.n_gpu_layers < layers:
        words.append(f"{spec.n_gpu_layers} of {layers} layers on the graphics processor")
    if spec.kv_type != "f16":
        words.append(f"conversation kept in {spec.kv_type.upper()}")
    return words


def _rows(planned: Demand, uses: Sequence[MemoryUse]) -> tuple[Compared, ...]:
    work = _sum(uses, "compute_bytes") + _sum(uses, "output_bytes")
    kinds = (
        Compared("Model", planned.weights_bytes, _sum(uses, "weights_bytes"), "Its weights"),
        Compared(
            "Conversation",
            planned.kv_bytes,
            _sum(uses, "kv_bytes"),
            "Keys and values: grows with the context",
        ),
        Compared(
            "Fixed state",
            planned.state_bytes,
            _sum(uses, "state_bytes"),
            "Of layers whose memory does not grow with the context",
        ),
        Compared("Working room", planned.compute_bytes, work, "Intermediate results"),
    )
    rows = tuple(row for row in kinds if row.planned_bytes or row.reported_bytes)
    planned_sum = sum(row.planned_bytes for row in rows)
    return (*rows, Compared("Together", planned_sum, sum(row.reported_bytes for row in rows)))


def _sum(uses: Sequence[MemoryUse], name: str) -> int:
    return sum(getattr(use, name) for use in uses)


def _report(
    facts: Sequence[Fact],
    notices: Sequence[str],
    pictures: Sequence[MemoryPicture],
    model: LoadedModel | None,
) -> str:
    lines = [f"Garret {version_line()}"]
    lines += [
        f"{fact.name}: {fact.value}" + (f" ({fact.tip})" if fact.tip else "") for fact in facts
    ]
    for picture in pictures:
        parts = ", ".join(f"{part.title} {memory_text(part.size_bytes)}" for part in picture.parts)
        lines.append(f"{picture.title}, {memory_text(picture.total_bytes)}: {parts}")
    if model is None:
        lines.append("No model is loaded.")
    else:
        lines.append(f"Loaded: {model.title}; {model.words}")
        lines += [
            f"  {row.name}: planned {row.planned_bytes / 2**20:,.1f} MiB, "
            f"reported {row.reported_bytes / 2**20:,.1f} MiB"
            for row in model.rows
        ]
    return "\n".join([*lines, *notices]) + "\n"
