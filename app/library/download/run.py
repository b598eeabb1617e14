"""One job at work in its own thread: every file fetched and verified, then placed in the store."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from app.core.errors import (
    BadModelFile,
    DownloadFailed,
    GarretError,
    UnsupportedModel,
    VerificationFailed,
)
from app.library.disk import OwnerLock, check_space
from app.library.download.hashing import PrefixHasher
from app.library.download.jobs import Job, JobFolder
from app.library.download.limits import Limits, SpeedLimit
from app.library.download.part import PartFile
from app.library.download.transfer import Transfer, disk_error
from app.library.hub import Hub, HubFile
from app.library.records import InstalledModel, Origin
from app.library.store import Store

_RATE_WINDOW_S = 5.0


class JobRun:
    """Runs until the model is installed, stopped, or failed; `on_end` gets the job as it ended."""

    def __init__(
        self,
        job: Job,
        folder: JobFolder,
        store: Store,
        hub: Hub,
        limits: Limits,
        speed: SpeedLimit,
        hashers: dict[str, PrefixHasher],
        find_installed: Callable[[Job], InstalledModel | None],
        on_end: Callable[[Job], None],
    ) -> None:
        self.job = job
        self.phase = "downloading"
        self.transfer: Transfer | None = None
        self._folder = folder
        self._store = store
        self._hub = hub
        self._limits = limits
        self._speed = speed
        self._hashers = hashers
        self._find_installed = find_installed
        self._on_end = on_end
        self._stop = threading.Event()
        self._finished_bytes = 0
        self._samples: deque[tuple[float, int]] = deque()
        self._thread = threading.Thread(target=self._run, daemon=True, name=f"job-{job.job_id}")

    def begin(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self.transfer is not None:
            self.transfer.stop()

    def join(self, timeout_s: float) -> None:
        self._thread.join(timeout_s)

    def poke(self) -> None:
        if self.transfer is not None:
            self.transfer.poke()

    @property
    def bytes_done(self) -> int:
        """Bytes that are here; while verifying, bytes hashed."""
        transfer = self.transfer
        if self.phase == "elsewhere":
            return self._folder.received_bytes(self.job)
        if transfer is None:
            return self._finished_bytes
        verifying = transfer.part.received_bytes >= transfer.part.size_bytes
        here = transfer.hashed_bytes if verifying else transfer.part.received_bytes
        return self._finished_bytes + here

    def rate_bytes_s(self) -> float:
        """Bytes per second over the last seconds."""
        now, done = time.monotonic(), self.bytes_done
        samples = self._samples
        if samples and done < samples[-1][1]:
            samples.clear()  # started over, or hashing now
        samples.append((now, done))
        while now - samples[0][0] > _RATE_WINDOW_S:
            samples.popleft()
        elapsed = now - samples[0][0]
        return (done - samples[0][1]) / elapsed if elapsed >= 0.3 else 0.0

    def _run(self) -> None:
        lock = OwnerLock(self._folder.folder / f"{self.job.job_id}.lock")
        ended = self.job
        try:
            if self._wait_for(lock):
                ended = self._install()
        except GarretError as error:
            ended = replace(self.job, state="failed", error=error.sentence, remedy=error.remedy)
        except OSError as error:
            failure = disk_error(error, self._folder.folder, self.job.size_bytes)
            ended = replace(self.job, state="failed", error=failure.sentence, remedy=failure.remedy)
        except Exception as error:  # the thread's edge: a bug must not leave a job "running"
            logging.getLogger("garret").exception("download %s", self.job.job_id)
            ended = replace(
                self.job, state="failed", error=f"Garret made a mistake: {error!r}", remedy=""
            )
        finally:
            lock.release()
            self._on_end(ended)

    def _wait_for(self, lock: OwnerLock) -> bool:
        """Until this process may work on the job; another one may be at it."""
        while not lock.try_acquire():
            self.phase = "elsewhere"
            if self._stop.wait(0.2):
                return False
        self.phase = "downloading"
        return not self._stop.is_set()

    def _install(self) -> Job:
        if (here := self._find_installed(self.job)) is not None:
            return self._installed(here)
        missing = self.job.size_bytes - self._folder.received_bytes(self.job)
        check_space(self._store.root, max(0, missing), self.job.title or self.job.model.file)
        for file in self.job.model.files:
            if not self._fetch(file):
                return self.job
            self._finished_bytes += file.size_bytes
        self.transfer = None
        self.phase = "placing"
        return self._installed(self._place())

    def _fetch(self, file: HubFile) -> bool:
        path = self._folder.part(file)
        part = PartFile(path, file.size_bytes, file.sha256)
        hasher = self._hashers.setdefault(file.sha256, PrefixHasher())
        if part.received_bytes == 0:
            hasher.restart()
        is_last = file is self.job.model.files[-1]
        transfer = Transfer(
            self._hub.remote(self.job.model, file),
            part,
            hasher,
            self._limits,
            self._speed,
            self._store.prepare_check if is_last else _nothing,
        )
        self.transfer = transfer
        if self._stop.is_set():
            transfer.stop()
        try:
            return transfer.run()
        except VerificationFailed as error:
            part.delete_map()
            path.replace(path.with_suffix(".bad"))
            self._hashers.pop(file.sha256, None)
            name = file.path.rsplit("/", 1)[-1]
            raise VerificationFailed(
                f"{name} arrived damaged, and again on a second try.",
                error.remedy,
                **error.facts,
            ) from error
        finally:
            part.close()

    def _place(self) -> InstalledModel:
        files = self.job.model.files
        parts = [self._folder.part(file) for file in files]
        model = self.job.model
        origin = Origin("hub", model.repo, model.commit, self.job.title, model.license)
        try:
            return self._store.adopt(
                parts, [file.path for file in files], model.repo, origin, [f.sha256 for f in files]
            )
        except (BadModelFile, UnsupportedModel) as error:
            for part in parts:
                part.replace(part.with_suffix(".bad"))
                part.with_suffix(".map").unlink(missing_ok=True)
            raise DownloadFailed(
                error.sentence,
                "The publisher's file itself is not usable: pick another one.",
                retryable=False,
            ) from error

    def _installed(self, model: InstalledModel) -> Job:
        for file in self.job.model.files:
            self._folder.part(file).unlink(missing_ok=True)
            self._folder.part(file).with_suffix(".map").unlink(missing_ok=True)
            self._hashers.pop(file.sha256, None)
        self._folder.delete(self.job)
        return replace(self.job, state="installed", installed_id=model.model_id)


def _nothing() -> None:
    """Parts of a split model before the last: nothing to prepare yet."""
