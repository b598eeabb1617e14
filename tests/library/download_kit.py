"""What the download tests share: a hub with one model, a hasty downloader, and the last word."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from pathlib import Path

from app.library.check_header import read_model
from app.library.download.downloader import Downloader, DownloadProgress
from app.library.download.limits import Limits
from app.library.hub import Hub
from app.library.store import Store
from tests.hostile_hub import HostileHub
from tests.library.ggufs import TINY_TENSORS, gguf_bytes

HURRY = Limits(
    connect_s=1.0,
    stall_s=0.3,
    backoff_first_s=0.02,
    backoff_max_s=0.05,
    tries=3,
    patience_s=0.2,
    rate_limit_cap_s=0.4,
    progress_bytes=1024,
    adapt_s=0.1,
)
REPO = "maker/model-GGUF"
FILE = "model-Q4_K_M.gguf"


def model_bytes(size_bytes: int, seed: int = 1) -> bytes:
    """A sound GGUF of about this size whose data is not the same everywhere."""
    rows = max(1, size_bytes // 4096)
    body = gguf_bytes(tensors=(*TINY_TENSORS, ("pad.weight", (1024, rows))))
    head = len(gguf_bytes()) + 200
    noise = b"".join(
        hashlib.sha256(f"{seed} {number}".encode()).digest() * 64
        for number in range((len(body) - head) // 2048 + 1)
    )
    return body[:head] + noise[: len(body) - head]


@dataclass
class Kit:
    hub: HostileHub
    store: Store
    downloader: Downloader
    body: bytes

    def again(self, limits: Limits = HURRY) -> Kit:
        """The same folder in a new process, as it were."""
        self.downloader.close()
        return make_kit(self.hub, self.store.root, self.body, limits)

    def pull(self, file: str = FILE) -> DownloadProgress:
        return asyncio.run(self._pull(file))

    async def _pull(self, file: str) -> DownloadProgress:
        job = await asyncio.to_thread(self.downloader.add, REPO, file)
        last = None
        async with asyncio.timeout(30):
            async for progress in self.downloader.download(job.job_id):
                last = progress
        assert last is not None
        return last

    def assert_installed(self, last: DownloadProgress) -> None:
        assert (last.phase, last.error) == ("installed", "")
        model = self.store.find(last.installed_id)
        assert model.path.read_bytes() == self.body
        assert model.files[0].sha256 == hashlib.sha256(self.body).hexdigest()
        assert self.leftovers() == []

    def assert_nothing_installed(self) -> None:
        assert self.store.installed() == []
        outside = [p for p in self.store.root.rglob("*.gguf") if ".partial" not in p.parts]
        assert outside == []

    def leftovers(self) -> list[str]:
        return sorted(path.name for path in self.store.partial.iterdir())


def make_kit(hub: HostileHub, root: Path, body: bytes, limits: Limits = HURRY) -> Kit:
    store = Store(root, header_check=read_model)
    return Kit(hub, store, Downloader(store, Hub(hub.endpoint, deadline_s=5.0), limits), body)
