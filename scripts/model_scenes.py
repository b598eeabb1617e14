"""The states of the models page for the picture gallery: the real page with held values."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QWidget

from app.core.control import MemoryUse
from app.library.catalogue import load_catalogue
from app.library.choice import recommended_sampling
from app.library.download.downloader import DownloadProgress
from app.library.elsewhere import Found
from app.library.fit.plan import Wish, make_plan
from app.library.hardware import Gpu, Hardware
from app.library.model_settings import ModelSettings
from app.library.recommend import recommend
from app.library.records import InstalledModel, ModelFile, Origin
from app.library.service import ModelRow as LibraryRow
from app.ui.models.access_dialog import AccessDialog
from app.ui.models.desk import work_row
from app.ui.models.mapping import (
    LoadProblem,
    download_row,
    found_row,
    hardware_words,
    installed_row,
    memory_pictures,
    offered_row,
    plan_picture,
)
from app.ui.models.page import ModelsPage
from app.ui.models.tune_model import ModelLimits, ModelSettingsDialog
from app.ui.models.values import MemoryPicture, ModelRow, Section, Verb

if TYPE_CHECKING:
    from scripts.scenes import Stage

GIB = 1 << 30
_LABELS = ("Recommended", "Faster", "Better")
_MACHINE = "mac-mini-m4-pro-64"
_CODER = "qwen3-coder-next-ud-q4_k_xl"
_JOB = DownloadProgress(
    "j1", "Qwen3-Coder-Next UD-Q4_K_XL", "downloading", 21_400_000_000, 49_608_000_000, 41.6e6, 678
)


def machine(name: str = _MACHINE) -> Hardware:
    """A machine of the catalogue, in use: a browser and an editor are open."""
    one = load_catalogue().machine(name)
    gpus = tuple(replace(gpu, free_bytes=round(gpu.limit_bytes * 0.9)) for gpu in one.gpus)
    free = round(one.ram_total_bytes * 0.72)
    return replace(one, ram_available_bytes=free, gpus=gpus, disk_free_bytes=312_000_000_000)


def recommended(name: str = _MACHINE) -> list[LibraryRow]:
    """What the catalogue says for a machine, as the library hands it to the page."""
    found = recommend(load_catalogue(), machine(name), name)
    choices = [one for one in (found.choice, found.faster, found.better) if one is not None]
    return [
        LibraryRow(
            key=f"{one.model.id}:{one.file.quant}",
            title=one.model.title,
            what=one.model.summary,
            quantization=one.file.quant,
            size_bytes=one.file.size_bytes,
            verdict=one.plan.verdict,
            speed=sum(one.tokens_s) / 2,
            plan=one.plan,
            repo=one.file.repo,
            file=one.file.paths[0],
        )
        for one in choices
    ]


def offers(name: str = _MACHINE, *, other: bool = False) -> Section:
    rows = (
        offered_row(row, _LABELS[i], is_main=i == 0, on_its_way=False, is_elsewhere=other)
        for i, row in enumerate(recommended(name))
    )
    others = [
        (key, one.title[:1].upper() + one.title[1:]) for key, one in load_catalogue().machines
    ]
    return Section(
        "recommended",
        "Recommended",
        tuple(rows),
        note="This is what another computer could run." if other else "",
        choice_name="Show what suits another machine",
        choices=(("", "This computer"), *others),
        chosen=name if other else "",
    )


def owned() -> list[LibraryRow]:
    coder = replace(recommended()[0], key=_CODER, installed_id=_CODER)
    small = LibraryRow(
        "smollm2-135m-instruct",
        "SmolLM2 135M",
        "A tiny model to try things with: quick, but often wrong.",
        "Q4_1",
        98_362_432,
        "fits",
        140.0,
        installed_id="smollm2-135m-instruct",
    )
    used = replace(
        small,
        key="devstral",
        title="devstral-small-2-24b",
        what="From LM Studio's folder.",
        size_bytes=14_506_151_072,
        speed=13.0,
        quantization="UD-Q4_K_XL",
        installed_id="devstral",
        is_reference=True,
    )
    return [coder, used, small]


def installed(
    in_use: str = _CODER,
    problem: LoadProblem | None = None,
    footer: str = "",
    footer_verbs: tuple[Verb, ...] = (),
) -> Section:
    rows = (installed_row(row, in_use, problem if row.key == _CODER else None) for row in owned())
    return Section(
        "installed",
        "Installed",
        tuple(rows),
        verbs=(Verb("move", "Move…"),),
        footer=footer,
        footer_verbs=footer_verbs,
    )


def downloads(*progress: DownloadProgress) -> Section:
    last = len(progress) - 1
    return Section(
        "downloads",
        "On their way",
        tuple(
            download_row(one, is_first=i == 0, is_last=i == last) for i, one in enumerate(progress)
        ),
        choice_name="Leave room on the line for others",
        choices=(("0", "No speed limit"), ("50", "At most 50 Mbit/s")),
        chosen="0",
    )


async def _show(stage: Stage, *sections: Section, hardware: Hardware | None = None) -> ModelsPage:
    page = ModelsPage(stage.theme, stage.icons)
    stage.window.add_page("models", "Models", "model", page, "Ctrl+3")
    stage.window.show_page("models")
    shown = hardware or machine()
    uses = (MemoryUse("Metal", 46 * GIB, 3 * GIB, GIB, GIB // 2),) if hardware is None else ()
    if hardware is None and not any(one.key == "installed" and one.rows for one in sections):
        uses = ()
    page.show_machine(hardware_words(shown), memory_pictures(shown, uses))
    page.show_sections(sections)
    await asyncio.sleep(0.3)
    return page


async def models_recommended(stage: Stage) -> None:
    """Models: what suits this machine; nothing is installed yet."""
    none = Section("installed", "Installed", empty="Nothing is installed yet.")
    await _show(stage, offers(), none)


async def models_other_machine(stage: Stage) -> None:
    """Models: what another machine could run."""
    await _show(stage, offers("cpu-16", other=True), hardware=machine())


async def models_installed(stage: Stage) -> None:
    """Models: installed ones, one of them at work, others in another app's folder."""
    empty = (Verb("empty", "Empty the trash"),)
    found = Found(
        "Ollama", Path("/home/me/.ollama/models/blobs/sha256-1"), "gemma4-12b", 7_121_861_440
    )
    elsewhere = Section("elsewhere", "Already on this computer", (found_row(found),))
    await _show(stage, elsewhere, installed(footer="5.7 GB in the trash.", footer_verbs=empty))


async def models_checking(stage: Stage) -> None:
    """Models: a model's files are checked; the trash asks once more."""
    verbs = (Verb("empty_really", "Delete"), Verb("keep", "Keep"))
    section = installed(footer="Delete 5.7 GB of removed models for good?", footer_verbs=verbs)
    busy = work_row(section.rows[0], "Checking", 31_000_000_000, 49_608_000_000, 24.0)
    moving = ModelRow("moving", "To /Volumes/Models")
    moved = work_row(moving, "Copying and checking", 9_000_000_000, 64_000_000_000, 21.0)
    rows = (busy, *section.rows[1:])
    await _show(
        stage, Section("moving", "Moving the models", (moved,)), replace(section, rows=rows)
    )


async def models_search(stage: Stage) -> None:
    """Models: search results, with one that asks for consent and one too big."""
    base = replace(
        recommended()[0], plan=None, what="From unsloth/Qwen3-Coder-Next-GGUF, 512,340 downloads."
    )
    rows = [
        replace(base, key="1", title="Qwen3-Coder-Next-UD-Q4_K_XL.gguf"),
        replace(
            base,
            key="2",
            title="Qwen3-Coder-Next-Q8_0-00001-of-00003.gguf",
            size_bytes=84_800_000_000,
            quantization="Q8_0",
            verdict="too big",
            speed=0,
            estimated=True,
        ),
        replace(
            base,
            key="3",
            title="codegemma-next-27b-it-Q4_K_M.gguf",
            what="From google/codegemma-next-27b-it-GGUF, 20,112 downloads.",
            size_bytes=16_800_000_000,
            quantization="Q4_K_M",
            speed=12,
            gated=True,
            estimated=True,
        ),
    ]
    found = tuple(offered_row(row, "", is_main=False, on_its_way=False) for row in rows)
    page = await _show(stage, Section("found", "Found on the hub", found), offers())
    page.search.setText("coder")


async def models_search_empty(stage: Stage) -> None:
    """Models: nothing was found."""
    empty = Section("found", "Found on the hub", empty="No GGUF model has these words.")
    page = await _show(stage, empty, offers())
    page.search.setText("qwem cooder")


async def models_search_offline(stage: Stage) -> None:
    """Models: the hub cannot be reached."""
    note = "The model hub cannot be reached. Check the network; installed models work without it."
    page = await _show(stage, Section("found", "Found on the hub", note=note), installed())
    page.search.setText("coder")


async def models_downloads(stage: Stage) -> None:
    """Models: downloads running, waiting their turn, paused, without network."""
    await _show(
        stage,
        downloads(
            _JOB,
            replace(
                _JOB,
                job_id="j2",
                title="Qwen3.6-35B-A3B UD-Q4_K_M",
                phase="waiting",
                bytes_done=3_100_000_000,
                bytes_total=22_134_528_992,
                note="The server's name cannot be found; is there a network?",
                wait_s=14,
            ),
            replace(
                _JOB,
                job_id="j3",
                title="Qwen3.5-9B Q4_K_M",
                phase="queued",
                bytes_done=0,
                bytes_total=5_680_000_000,
            ),
            replace(
                _JOB,
                job_id="j4",
                title="Granite 4.2 8B Q4_K_M",
                phase="paused",
                bytes_done=1_200_000_000,
                bytes_total=5_347_917_952,
            ),
        ),
        offers(),
    )


async def models_download_problems(stage: Stage) -> None:
    """Models: a full disk, damaged bytes being found, the last check, a file that stays bad."""
    total = _JOB.bytes_total
    await _show(
        stage,
        downloads(
            replace(
                _JOB,
                phase="failed",
                error="The disk is full.",
                remedy="Free some space and resume: nothing already fetched is lost.",
            ),
            replace(_JOB, job_id="j2", phase="repairing", bytes_done=total),
            replace(_JOB, job_id="j3", phase="verifying", bytes_done=round(total * 0.83)),
            replace(
                _JOB,
                job_id="j4",
                phase="failed",
                error="model.gguf arrived damaged, and again on a second try.",
                remedy="Try again later, or from another network.",
            ),
            replace(_JOB, job_id="j5", phase="placing", bytes_done=total),
        ),
        offers(),
    )


async def models_out_of_memory(stage: Stage) -> None:
    """Models: a load ran out of memory; a smaller plan is one click away."""
    problem = LoadProblem(
        "There was not enough memory to load Qwen3-Coder-Next.",
        "with room for 65,536 tokens instead of 131,072",
    )
    await _show(stage, installed("", problem), offers(), hardware=machine())


async def models_hardware(stage: Stage) -> None:
    """Models: a machine with a graphics card of its own, and a model on both sides."""
    card = Gpu("NVIDIA RTX 4090", "discrete", 24 * GIB, 2 * GIB)
    pc = replace(machine("rtx-4090-64"), gpus=(card,), ram_available_bytes=28 * GIB)
    page = await _show(stage, installed(), offers("rtx-4090-64"), hardware=pc)
    uses = (
        MemoryUse("CUDA0", 16 * GIB, 3 * GIB, GIB // 2, GIB),
        MemoryUse("CPU", 24 * GIB, 0, 0, GIB // 2),
    )
    page.show_machine(hardware_words(pc), memory_pictures(pc, uses))
    await asyncio.sleep(0.2)


async def models_gated(stage: Stage) -> QWidget:
    """How to get a model whose owner asks for consent."""
    page = await _show(stage, offers())
    address = "https://huggingface.co/google/codegemma-next-27b-it-GGUF"
    dialog = AccessDialog("codegemma-next-27b-it", address, False, stage.theme, page)
    dialog.open()
    await asyncio.sleep(0.3)
    return dialog


async def models_settings(stage: Stage) -> QWidget:
    """One model's own settings."""
    page = await _show(stage, installed())
    here = machine("rtx-4090-64")
    catalogue = load_catalogue()
    known = catalogue.model("qwen3-coder-next")
    assert known is not None
    file = known.file("UD-Q4_K_XL")
    assert file is not None
    facts = known.facts(file)
    files = (ModelFile(Path("/models/qwen3-coder-next-ud-q4_k_xl.gguf"), file.size_bytes),)
    model = InstalledModel(_CODER, files, facts, Origin("hub", title=known.title))
    plan = make_plan(facts, here)
    limits = ModelLimits(
        262_144, plan.shape.n_ctx, facts.n_layers + 1, facts.n_layers + 1, facts.n_layers,
        plan.shape.n_cpu_moe,
    )  # fmt: skip

    def preview(chosen: ModelSettings) -> tuple[MemoryPicture, str]:
        now = make_plan(facts, here, chosen.over(Wish()))
        return plan_picture(now), f"It writes about {round(now.tokens_s)} words a second."

    chosen = ModelSettings(n_ctx=65_536, sampling={"temperature": 0.7})
    dialog = ModelSettingsDialog(
        known.title,
        chosen,
        limits,
        recommended_sampling(model),
        preview,
        stage.theme,
        page,
    )
    dialog.open()
    await asyncio.sleep(0.3)
    return dialog


MODEL_SCENES: dict[str, Callable[[Stage], Awaitable[QWidget | None]]] = {
    scene.__name__: scene
    for scene in (
        models_recommended, models_other_machine, models_installed, models_checking, models_search,
        models_search_empty, models_search_offline, models_downloads, models_download_problems,
        models_out_of_memory, models_hardware, models_gated, models_settings,
    )
}  # fmt: skip
