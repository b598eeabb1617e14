"""Searching the whole Hub, each file labelled for one machine before anything is downloaded."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from app.core.errors import DownloadFailed, LibraryError
from app.library.catalogue import Catalogue, load_catalogue
from app.library.facts import ModelFacts, quantization_of
from app.library.fit.plan import GIB, Plan, Verdict, make_plan, room
from app.library.fit.speed import DEFAULT_GPU_BYTES_S, DEFAULT_RAM_BYTES_S
from app.library.hardware import Hardware
from app.library.hub import Hub, HubModel, SearchHit

# What a model needs beside its weights when only its size is known: context and buffers.
_BESIDE_SHARE = 0.06
_BESIDE_BYTES = 1 * GIB


@dataclass(frozen=True, slots=True)
class SearchRow:
    """One model found. `estimated`: worked out from its size alone; `details` reads its header."""

    repo: str
    file: str
    quantization: str
    size_bytes: int
    verdict: Verdict
    tokens_s: float
    estimated: bool
    model: HubModel


@dataclass(frozen=True, slots=True)
class SearchRepo:
    """A repository with its models, smallest first; `problem` is a sentence where it has none."""

    repo: str
    downloads: int
    gated: bool
    rows: tuple[SearchRow, ...]
    problem: str = ""


def search(hub: Hub, hardware: Hardware, text: str, limit: int = 10) -> list[SearchRepo]:
    """Repositories matching a text (blocking; some requests in parallel). Raises DownloadFailed."""
    hits = hub.search(text, limit)
    catalogue = load_catalogue()
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(lambda hit: _look_into(hub, hardware, catalogue, hit), hits))


def details(hub: Hub, hardware: Hardware, model: HubModel) -> tuple[ModelFacts, Plan]:
    """A model's exact plan from the headers of its parts, a few megabytes each.

    Raises: DownloadFailed, BadModelFile, UnsupportedModel.
    """
    from_headers = hub.facts(model)
    return from_headers, make_plan(from_headers, hardware)


def _look_into(hub: Hub, hardware: Hardware, catalogue: Catalogue, hit: SearchHit) -> SearchRepo:
    try:
        listing = hub.listing(hit.repo)
    except (DownloadFailed, LibraryError) as error:
        return SearchRepo(hit.repo, hit.downloads, hit.gated, (), error.sentence)
    rows = sorted(
        (_row(model, hardware, catalogue) for model in listing.models),
        key=lambda row: row.size_bytes,
    )
    problem = ""
    if not rows:
        reasons = sorted({reason for _, reason in listing.left_out})
        problem = f"No usable model: {'; '.join(reasons)}." if reasons else "It has no GGUF files."
    return SearchRepo(hit.repo, hit.downloads, hit.gated, tuple(rows), problem)


def _row(model: HubModel, hardware: Hardware, catalogue: Catalogue) -> SearchRow:
    known = catalogue.by_hash(model.files[0].sha256)
    if known is not None:
        plan = make_plan(known[0].facts(known[1]), hardware)
        verdict, tokens_s = plan.verdict, plan.tokens_s
    else:
        verdict, tokens_s = rough_verdict(model.size_bytes, hardware)
    return SearchRow(
        repo=model.repo,
        file=model.file,
        quantization=quantization_of(model.file),
        size_bytes=model.size_bytes,
        verdict=verdict,
        tokens_s=tokens_s,
        estimated=known is None,
        model=model,
    )


def rough_verdict(size_bytes: int, hardware: Hardware) -> tuple[Verdict, float]:
    """A verdict and a lower bound of the speed for a model of which only the size is known."""
    place = room(hardware)
    need = int(size_bytes * (1 + _BESIDE_SHARE)) + _BESIDE_BYTES
    total = place.gpu_bytes + place.ram_bytes
    fast = place.gpu_bytes or place.ram_bytes
    if need <= fast:
        verdict: Verdict = "fits"
    elif need <= total:
        verdict = "tight"
    else:
        verdict = "too big"
    bandwidths = [gpu.bandwidth_bytes_s for gpu in hardware.gpus if gpu.bandwidth_bytes_s]
    ram = (hardware.ram_bandwidth_bytes_s or DEFAULT_RAM_BYTES_S) * 0.5
    gpu = (min(bandwidths) if bandwidths else DEFAULT_GPU_BYTES_S) * 0.75
    on_gpu = min(size_bytes, place.gpu_bytes)
    seconds = on_gpu / gpu + (size_bytes - on_gpu) / ram
    return verdict, 1 / seconds if seconds else 0.0
