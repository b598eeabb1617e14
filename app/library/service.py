"""The library as the window sees it: plain values for rows, and the few things one can do."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path

from app.core.control import DeviceInfo, LoadSpec
from app.core.errors import VerificationFailed
from app.library import search as hub_search
from app.library.catalogue import Catalogue, load_catalogue
from app.library.choice import load_spec_for
from app.library.disk import Progress
from app.library.download.downloader import Downloader, DownloadProgress
from app.library.elsewhere import Found, default_folders, find_elsewhere, find_in, use_in_place
from app.library.fit.plan import Plan, Verdict, Wish, make_plan
from app.library.hardware import Hardware, detect_hardware, with_devices
from app.library.hub import Hub
from app.library.recommend import Choice, Recommendation, recommend
from app.library.records import InstalledModel
from app.library.starter import DESCRIPTION as STARTER_DESCRIPTION
from app.library.stick import export_model, import_stick, is_stick, move_models
from app.library.store import Store


@dataclass(frozen=True, slots=True)
class ModelRow:
    """One line of the Models page. `speed` is tokens per second, expected on this machine.

    `installed_id` is set for models that can be chosen, `job_id` for models on their way.
    `what` is one plain sentence; `problem` another one where something is wrong.
    """

    key: str
    title: str
    what: str
    quantization: str
    size_bytes: int
    verdict: Verdict
    speed: float
    plan: Plan | None = None
    installed_id: str = ""
    job_id: str = ""
    repo: str = ""
    file: str = ""
    revision: str = ""
    is_reference: bool = False
    is_starter: bool = False
    used_at: float = 0.0
    estimated: bool = False
    gated: bool = False
    problem: str = ""


class LibraryService:
    """Everything the Models page needs. Methods block unless they are async: call them in a
    thread. All collaborators come from outside; tests pass their own."""

    def __init__(
        self,
        store: Store,
        hub: Hub,
        downloader: Downloader,
        hardware: Hardware | None = None,
        catalogue: Catalogue | None = None,
        bandwidth_file: Path | None = None,
    ) -> None:
        self.store = store
        self.hub = hub
        self.downloader = downloader
        self._catalogue = catalogue or load_catalogue()
        self._hardware = hardware
        self._bandwidth_file = bandwidth_file

    @property
    def hardware(self) -> Hardware:
        """This machine; detected on first use."""
        if self._hardware is None:
            self._hardware = self._detect()
        return self._hardware

    def refresh_hardware(self, devices: tuple[DeviceInfo, ...] = ()) -> Hardware:
        """Looks again; `devices` is the engine's own list, which knows best."""
        self._hardware = with_devices(self._detect(), devices)
        return self._hardware

    def _detect(self) -> Hardware:
        return detect_hardware(self.store.root, kept=self._bandwidth_file)

    def machines(self) -> list[tuple[str, str]]:
        """(id, title) of the machines one can compare with."""
        return [(machine_id, hardware.title) for machine_id, hardware in self._catalogue.machines]

    def recommendation(self, machine_id: str = "") -> Recommendation:
        """For this machine, or for "show me another machine"."""
        hardware = self._catalogue.machine(machine_id) if machine_id else self.hardware
        return recommend(self._catalogue, hardware, machine_id)

    def recommended_rows(self, machine_id: str = "") -> list[ModelRow]:
        """The recommended model and its alternatives, in this order."""
        found = self.recommendation(machine_id)
        choices = [one for one in (found.choice, found.faster, found.better) if one is not None]
        by_hash = {model.files[0].sha256: model.model_id for model in self.store.installed()}
        return [self._choice_row(choice, by_hash) for choice in choices]

    def installed_rows(self) -> list[ModelRow]:
        """Installed models, most recently used first; takes in files put there by hand."""
        return [self._installed_row(model) for model in self.store.rescan()]

    def download_rows(self) -> list[ModelRow]:
        """Unfinished downloads in their order; `downloader.progress` has their state."""
        rows = []
        for job in self.downloader.jobs():
            model = job.model
            verdict, speed = hub_search.rough_verdict(model.size_bytes, self.hardware)
            rows.append(
                ModelRow(
                    key=job.job_id,
                    title=job.title or model.file.rsplit("/", 1)[-1],
                    what=f"From {model.repo}.",
                    quantization="",
                    size_bytes=model.size_bytes,
                    verdict=verdict,
                    speed=speed,
                    job_id=job.job_id,
                    repo=model.repo,
                    file=model.file,
                    estimated=True,
                    problem=job.error,
                )
            )
        return rows

    def search(self, text: str, limit: int = 8) -> list[ModelRow]:
        """GGUF models on the Hub, labelled for this machine. Raises DownloadFailed."""
        found = hub_search.search(self.hub, self.hardware, text, limit)
        return [_search_row(repo, row) for repo in found for row in repo.rows]

    def plan(
        self, model_id: str, wish: Wish | None = None, freed_bytes: int = 0
    ) -> LoadSpec | None:
        """How an installed model would be loaded now."""
        return load_spec_for(
            model_id, self.store, wish=wish, hardware=self.hardware, freed_bytes=freed_bytes
        )

    # -- getting models --------------------------------------------------------------------------

    def queue(self, row: ModelRow) -> str:
        """Resolves a row on the Hub and queues its download; returns the job's id.

        Raises: DownloadFailed, LibraryError.
        """
        return self.downloader.add(row.repo, row.file, row.revision, row.title).job_id

    def download(self, job_id: str) -> AsyncGenerator[DownloadProgress, None]:
        """Starts a job and reports; closing the generator pauses it."""
        return self.downloader.download(job_id)

    def found_here(self) -> list[Found]:
        """The same in this user's own folders."""
        return self.found_elsewhere(Path.home(), dict(os.environ))

    def found_elsewhere(self, home: Path, environ: dict[str, str]) -> list[Found]:
        """Models of other apps that are not listed yet."""
        known = {file.path for model in self.store.installed() for file in model.files}
        return [
            one for one in find_elsewhere(default_folders(home, environ)) if one.path not in known
        ]

    def import_path(self, path: Path, progress: Progress | None = None) -> list[InstalledModel]:
        """A dropped file is copied, a stick is installed, another app's folder is referenced.

        Raises: every error of the store; LibraryError.
        """
        if path.is_dir() and is_stick(path):
            return [import_stick(self.store, path, progress)]
        if path.is_dir():
            return [use_in_place(self.store, one, progress) for one in find_in(path)]
        return [self.store.add_file(path, progress=progress)]

    def look_closer(self, row: ModelRow) -> ModelRow:
        """A row with the exact plan, from the headers of its files (a few megabytes).

        Raises: DownloadFailed, BadModelFile, UnsupportedModel.
        """
        model = self.hub.resolve(row.repo, row.file, row.revision)
        _facts, plan = hub_search.details(self.hub, self.hardware, model)
        return replace(row, verdict=plan.verdict, speed=plan.tokens_s, plan=plan, estimated=False)

    def move_to(self, folder: Path, progress: Progress | None = None) -> None:
        """Moves everything to another folder; downloads stop meanwhile and go on there.

        Raises: NotEnoughDisk, VerificationFailed, LibraryError; then nothing has changed.
        """
        self.downloader.suspend()
        try:
            self.store.root = move_models(self.store, folder, progress).root
        finally:
            self.downloader.follow_store()

    def export(self, model_id: str, folder: Path, progress: Progress | None = None) -> Path:
        return export_model(self.store, model_id, folder, progress)

    def start(self) -> list[str]:
        """After the app's start: settles new models and resumes downloads.

        Returns sentences about models that a power cut damaged.
        """
        problems = []
        try:
            self.store.settle()
        except VerificationFailed as error:
            problems.append(str(error))
        self.downloader.resume_interrupted()
        return problems

    # -- rows ------------------------------------------------------------------------------------

    def _installed_row(self, model: InstalledModel) -> ModelRow:
        plan = make_plan(model.facts, self.hardware)
        known = self._catalogue.by_hash(model.files[0].sha256)
        known = known or self._catalogue.by_name(model.path.name)
        what = known[0].summary if known else f"{model.facts.architecture} model."
        if model.is_starter:
            what = STARTER_DESCRIPTION
        return ModelRow(
            key=model.model_id,
            title=known[0].title if known and not model.origin.title else model.title,
            what=what,
            quantization=model.facts.quantization,
            size_bytes=model.size_bytes,
            verdict=plan.verdict,
            speed=plan.tokens_s,
            plan=plan,
            installed_id=model.model_id,
            repo=model.origin.repo,
            is_reference=model.is_reference,
            is_starter=model.is_starter,
            used_at=model.used_at,
            problem="" if model.is_present else "Its file is missing: is its disk connected?",
        )

    def _choice_row(self, choice: Choice, by_hash: dict[str, str]) -> ModelRow:
        file = choice.file
        return ModelRow(
            key=f"{choice.model.id}:{file.quant}",
            title=choice.model.title,
            what=choice.model.summary,
            quantization=file.quant,
            size_bytes=file.size_bytes,
            verdict=choice.plan.verdict,
            speed=sum(choice.tokens_s) / 2,
            plan=choice.plan,
            installed_id=by_hash.get(file.sha256[0], "") if file.sha256[0] else "",
            repo=file.repo,
            file=file.paths[0],
            revision=file.revision,
            estimated=not choice.model.is_exact,
        )


def _search_row(repo: hub_search.SearchRepo, row: hub_search.SearchRow) -> ModelRow:
    return ModelRow(
        key=f"{row.repo}/{row.file}",
        title=row.file.rsplit("/", 1)[-1],
        what=f"From {row.repo}, {repo.downloads:,} downloads.",
        quantization=row.quantization,
        size_bytes=row.size_bytes,
        verdict=row.verdict,
        speed=row.tokens_s,
        repo=row.repo,
        file=row.file,
        revision=row.model.commit,
        estimated=row.estimated,
        gated=repo.gated,
    )
