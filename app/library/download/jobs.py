"""The record of one download: written before the first byte, kept until the model is installed."""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from app.core.errors import LibraryError
from app.library.disk import read_json, write_json
from app.library.download.part import received_bytes_on_disk
from app.library.hub import HubFile, HubModel
from app.library.names import check_file, check_repo

FORMAT = 1
JobState = Literal["queued", "downloading", "paused", "cancelled", "failed", "installed"]
_STATES: tuple[JobState, ...] = (
    "queued",
    "downloading",
    "paused",
    "cancelled",
    "failed",
    "installed",
)
_JOB_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class Job:
    """One model to download. `position` orders the queue; times are seconds since the epoch.

    The same files always make the same id, so that two requests, or two processes, are one job.
    """

    job_id: str
    model: HubModel
    endpoint: str
    title: str = ""
    state: JobState = "queued"
    position: float = 0.0
    error: str = ""
    remedy: str = ""
    installed_id: str = ""
    created_at: float = field(default_factory=time.time)
    updated_at: float = 0.0

    @property
    def size_bytes(self) -> int:
        return self.model.size_bytes

    @property
    def is_interrupted(self) -> bool:
        """It was on its way when its process ended, and may go on by itself."""
        return self.state in ("queued", "downloading")


def job_id_of(model: HubModel) -> str:
    text = "\n".join(f"{model.repo} {file.sha256}" for file in model.files)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class JobFolder:
    """The job records in the folder where the parts lie."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def all(self) -> list[Job]:
        jobs = [job for path in self.folder.glob("*.json") if (job := self.load(path.stem))]
        return sorted(jobs, key=lambda job: (job.position, job.created_at))

    def load(self, job_id: str) -> Job | None:
        if not _JOB_ID.fullmatch(job_id):
            return None
        return _from_json(read_json(self.folder / f"{job_id}.json"), job_id)

    def save(self, job: Job) -> Job:
        job = replace(job, updated_at=time.time())
        write_json(self.folder / f"{job.job_id}.json", {"format": FORMAT, **asdict(job)})
        return job

    def delete(self, job: Job) -> None:
        (self.folder / f"{job.job_id}.json").unlink(missing_ok=True)

    def part(self, file: HubFile) -> Path:
        return self.folder / f"{file.sha256}.part"

    def received_bytes(self, job: Job) -> int:
        return sum(
            received_bytes_on_disk(self.part(file), file.size_bytes) for file in job.model.files
        )

    def clean(self, now: float) -> None:
        """Removes parts no job speaks of, leftovers of copies, and damaged files after a week."""
        known = {file.sha256 for job in self.all() for file in job.model.files}
        for path in self.folder.iterdir():
            age_s = now - path.stat().st_mtime
            orphan = path.suffix in (".part", ".map") and path.stem not in known
            if (
                (orphan and age_s > 3600)
                or (path.suffix == ".bad" and age_s > 7 * 86_400)
                or (path.suffix in (".tmp", ".stale") and age_s > 3600)
            ):
                path.unlink(missing_ok=True)


def _from_json(data: Any, job_id: str) -> Job | None:
    try:
        if data["format"] != FORMAT or data["job_id"] != job_id or data["state"] not in _STATES:
            return None
        raw = data["model"]
        files = tuple(_file(one) for one in raw["files"])
        model = HubModel(
            check_repo(raw["repo"]),
            str(raw["commit"]),
            files,
            str(raw["license"]),
            bool(raw["gated"]),
        )
        if (
            not files
            or job_id_of(model) != job_id
            or not re.fullmatch("[0-9a-f]{40}", model.commit)
        ):
            return None
        return Job(
            job_id=job_id,
            model=model,
            endpoint=str(data["endpoint"]),
            title=str(data["title"]),
            state=data["state"],
            position=float(data["position"]),
            error=str(data["error"]),
            remedy=str(data["remedy"]),
            installed_id=str(data["installed_id"]),
            created_at=float(data["created_at"]),
            updated_at=float(data["updated_at"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, LibraryError):
        return None


def _file(data: dict[str, Any]) -> HubFile:
    size, sha = data["size_bytes"], data["sha256"]
    if type(size) is not int or size <= 0 or not re.fullmatch("[0-9a-f]{64}", sha):
        raise ValueError("file")
    return HubFile(check_file(data["path"]), size, sha)
