"""The queue of downloads: one job per model, resumed after anything, shared by two processes."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Literal

from app.core.errors import LibraryError
from app.library.disk import OwnerLock
from app.library.download.awake import KeepAwake
from app.library.download.hashing import PrefixHasher
from app.library.download.jobs import Job, JobFolder, JobState, job_id_of
from app.library.download.limits import Limits, SpeedLimit
from app.library.download.run import JobRun
from app.library.hub import Hub, HubModel
from app.library.records import InstalledModel
from app.library.store import Store

Phase = Literal[
    "queued",
    "downloading",
    "waiting",
    "repairing",
    "verifying",
    "placing",
    "elsewhere",
    "paused",
    "cancelled",
    "failed",
    "installed",
]
_FINAL: tuple[Phase, ...] = ("paused", "cancelled", "failed", "installed")
_TICK_S = 0.1
_LOOKS = 5


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """A download at one moment, ready to be drawn.

    `left_s` is None while nobody can tell. `note` says in a sentence what holds it up;
    `wait_s` counts down to the next attempt. `error` and `remedy` are set when `phase` is failed.
    """

    job_id: str
    title: str
    phase: Phase
    bytes_done: int
    bytes_total: int
    bytes_s: float = 0.0
    left_s: float | None = None
    note: str = ""
    wait_s: float = 0.0
    error: str = ""
    remedy: str = ""
    installed_id: str = ""
    connections: int = 0

    @property
    def is_final(self) -> bool:
        """Nothing more will happen by itself."""
        return self.phase in _FINAL


class Downloader:
    """Runs jobs in threads and tells about them.

    Args:
        store: where models go; parts and job records lie in its `.partial` folder.
        hub: where they come from.
        max_active: models on their way at once; the rest is queued in order.
    """

    def __init__(
        self, store: Store, hub: Hub, limits: Limits | None = None, max_active: int = 2
    ) -> None:
        self.speed = SpeedLimit()
        self._store = store
        self._hub = hub
        self._limits = limits or Limits()
        self._max_active = max_active
        self._folder = JobFolder(store.partial)
        self._lock = threading.RLock()
        self._runs: dict[str, JobRun] = {}
        self._hashers: dict[str, PrefixHasher] = {}
        self._finished: dict[str, Job] = {}
        self._ending: dict[str, JobState] = {}
        self._awake = KeepAwake()
        self._closing = False
        self._folder.clean(time.time())

    # -- the queue -----------------------------------------------------------------------------

    def jobs(self) -> list[Job]:
        """Every job that is not installed, in order."""
        return self._folder.all()

    def add(self, repo: str, file: str, revision: str = "", title: str = "") -> Job:
        """Resolves a model on the Hub (blocking) and queues it; an unfinished job is joined, at
        the version it began with. Raises DownloadFailed, LibraryError."""
        for job in self.jobs():
            same = job.model.repo == repo and any(one.path == file for one in job.model.files)
            if same and (not revision or job.model.commit.startswith(revision)):
                return job
        return self.add_model(self._hub.resolve(repo, file, revision), title)

    def add_model(self, model: HubModel, title: str = "") -> Job:
        """Queues a resolved model. A model already here comes back as an installed job."""
        job_id = job_id_of(model)
        with self._lock:
            old = self._folder.load(job_id)
            if old is not None:
                return old
            job = Job(job_id, model, self._hub.endpoint, title, position=time.time())
            if (here := self.find_installed(job)) is not None:
                return replace(job, state="installed", installed_id=here.model_id)
            return self._folder.save(job)

    def start(self, job_id: str) -> None:
        """Runs a job now if there is a free place, else when there is one."""
        with self._lock:
            if job_id in self._runs:
                self._runs[job_id].poke()
                return
            job = self._save_state(job_id, "queued", error="", remedy="")
            if job is not None:
                self._fill_places()

    def resume_interrupted(self) -> list[Job]:
        """Starts what was on its way when Garret last ended."""
        jobs = [job for job in self.jobs() if job.is_interrupted]
        with self._lock:
            self._fill_places()
        return jobs

    def poke(self) -> None:
        """The network is back, or the machine woke up: whoever waits tries again now."""
        with self._lock:
            for run in self._runs.values():
                run.poke()

    def pause(self, job_id: str) -> None:
        self._end(job_id, "paused")

    def cancel(self, job_id: str) -> None:
        """Stops for good but keeps the part; `discard` deletes it."""
        self._end(job_id, "cancelled")

    def discard(self, job_id: str) -> int:
        """Stops a job and deletes what it had; returns the bytes that became free.

        Raises LibraryError while another Garret is downloading it.
        """
        self._end(job_id, "cancelled")
        job = self._folder.load(job_id)
        if job is None:
            return 0
        lock = OwnerLock(self._folder.folder / f"{job_id}.lock")
        if not lock.try_acquire():
            raise LibraryError("Another Garret is downloading this model.", "Cancel it there.")
        freed = 0
        for file in job.model.files:
            for suffix in (".part", ".map", ".bad"):
                path = self._folder.part(file).with_suffix(suffix)
                freed += path.stat().st_size if path.exists() else 0
                path.unlink(missing_ok=True)
            self._hashers.pop(file.sha256, None)
        self._folder.delete(job)
        lock.release()
        return freed

    def move(self, job_id: str, before: str | None) -> None:
        """Puts a job in front of another one, or at the end."""
        with self._lock:
            jobs = [job for job in self.jobs() if job.job_id != job_id]
            moved = self._folder.load(job_id)
            if moved is None:
                return
            at = next((i for i, job in enumerate(jobs) if job.job_id == before), len(jobs))
            jobs.insert(at, moved)
            for number, job in enumerate(jobs):
                self._folder.save(replace(job, position=float(number)))

    def close(self) -> None:
        """Stops everything at the end of the app; what ran goes on at the next start."""
        self.suspend()

    def suspend(self) -> None:
        """Stops everything until `follow_store`; no new job begins meanwhile."""
        with self._lock:
            self._closing = True
            runs = list(self._runs.values())
        for run in runs:
            run.stop()
        for run in runs:
            run.join(2.0)

    def follow_store(self) -> None:
        """Goes on where the store is now."""
        with self._lock:
            self._folder = JobFolder(self._store.partial)
            self._closing = False
            self._fill_places()

    # -- watching ------------------------------------------------------------------------------

    async def download(self, job_id: str) -> AsyncGenerator[DownloadProgress, None]:
        """Starts a job and reports at most ten times a second until it ends; closing the
        generator pauses the job."""
        self.start(job_id)
        ended = False
        try:
            async for progress in self.watch(job_id):
                ended = progress.is_final
                yield progress
        finally:
            if not ended:
                await asyncio.to_thread(self.pause, job_id)

    async def watch(self, job_id: str) -> AsyncGenerator[DownloadProgress, None]:
        """Reports on a job until it ends; closing the generator changes nothing."""
        while True:
            progress = self.progress(job_id)
            yield progress
            if progress.is_final:
                return
            for _ in range(_LOOKS):  # the end is told sooner than the next report
                await asyncio.sleep(_TICK_S / _LOOKS)
                if progress.phase != "queued" and job_id not in self._runs:
                    break

    def progress(self, job_id: str) -> DownloadProgress:
        """A job as it is now; a job nobody knows is a cancelled one."""
        with self._lock:
            run = self._runs.get(job_id)
            if run is None:
                finished = self._finished.get(job_id)
                job = finished or self._folder.load(job_id)
                if job is None:
                    return DownloadProgress(job_id, "", "cancelled", 0, 0)
                return self._resting(job)
        return self._running(run)

    def find_installed(self, job: Job) -> InstalledModel | None:
        """The installed model with exactly the job's files."""
        wanted = [file.sha256 for file in job.model.files]
        for model in self._store.installed():
            if [file.sha256 for file in model.files] == wanted and model.is_present:
                return model
        return None

    # -- inside --------------------------------------------------------------------------------

    def _resting(self, job: Job) -> DownloadProgress:
        done = job.size_bytes if job.state == "installed" else self._folder.received_bytes(job)
        phase: Phase = "queued" if job.state in ("queued", "downloading") else job.state
        return DownloadProgress(
            job_id=job.job_id,
            title=job.title or job.model.file,
            phase=phase,
            bytes_done=done,
            bytes_total=job.size_bytes,
            error=job.error if phase == "failed" else "",
            remedy=job.remedy if phase == "failed" else "",
            installed_id=job.installed_id,
        )

    def _running(self, run: JobRun) -> DownloadProgress:
        done, total, rate = run.bytes_done, run.job.size_bytes, run.rate_bytes_s()
        transfer = run.transfer
        phase: Phase = "elsewhere" if run.phase == "elsewhere" else "downloading"
        note, wait_s, connections = "", 0.0, 0
        if run.phase == "placing":
            phase = "placing"
        elif transfer is not None:
            note, connections = transfer.note, transfer.connections
            wait_s = max(0.0, transfer.wait_until - time.time()) if transfer.wait_until else 0.0
            if transfer.phase == "repairing":
                phase = "repairing"
            elif transfer.wait_until:
                phase = "waiting"
            elif transfer.part.received_bytes >= transfer.part.size_bytes:
                phase = "verifying"
        return DownloadProgress(
            job_id=run.job.job_id,
            title=run.job.title or run.job.model.file,
            phase=phase,
            bytes_done=done,
            bytes_total=total,
            bytes_s=rate,
            left_s=(total - done) / rate if rate > 0 else None,
            note=note,
            wait_s=wait_s,
            connections=connections,
        )

    def _fill_places(self) -> None:
        """Starts queued jobs in order; the lock is held."""
        waiting = [
            job for job in self.jobs() if job.is_interrupted and job.job_id not in self._runs
        ]
        for job in waiting[: max(0, self._max_active - len(self._runs))]:
            self._finished.pop(job.job_id, None)
            run = JobRun(
                self._folder.save(replace(job, state="downloading")),
                self._folder,
                self._store,
                self._hub,
                self._limits,
                self.speed,
                self._hashers,
                self.find_installed,
                self._ended,
            )
            self._runs[job.job_id] = run
            self._awake.acquire()
            run.begin()

    def _ended(self, job: Job) -> None:
        with self._lock:
            if self._runs.pop(job.job_id, None) is None:
                return
            self._awake.release()
            asked = self._ending.pop(job.job_id, None)
            if job.state == "installed":
                self._finished[job.job_id] = job
            elif asked is not None:
                self._save_state(job.job_id, asked)
            elif job.state == "failed":
                self._save_state(job.job_id, "failed", error=job.error, remedy=job.remedy)
            if not self._closing:
                self._fill_places()

    def _end(self, job_id: str, state: JobState) -> None:
        with self._lock:
            run = self._runs.get(job_id)
            if run is None:
                job = self._folder.load(job_id)
                if job is not None and job.state != "installed":
                    self._save_state(job_id, state)
                return
            self._ending[job_id] = state
        run.stop()
        run.join(2.0)

    def _save_state(
        self, job_id: str, state: JobState, error: str = "", remedy: str = ""
    ) -> Job | None:
        job = self._folder.load(job_id)
        if job is None:
            return None
        try:
            return self._folder.save(replace(job, state=state, error=error, remedy=remedy))
        except OSError as problem:  # a full or vanished disk: keep the state in memory at least
            failed = replace(
                job, state="failed", error=error or str(problem.strerror), remedy=remedy
            )
            self._finished[job_id] = failed
            return failed
