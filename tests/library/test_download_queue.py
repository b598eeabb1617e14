"""Pause, resume, cancel, discard, order, kill -9, two processes, full disks, split models."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from app.core.errors import LibraryError
from app.library.disk import OwnerLock
from app.library.download.downloader import Downloader
from app.library.download.part import SEGMENT_BYTES, PartFile
from app.library.hub import Hub
from tests.hostile_hub import Fault, HostileHub
from tests.library.download_kit import FILE, HURRY, REPO, Kit, make_kit, model_bytes
from tests.library.ggufs import write_split

SIZE = 3_000_000


@pytest.fixture
def hub() -> Iterator[HostileHub]:
    with HostileHub() as hub:
        yield hub


@pytest.fixture
def kit(hub: HostileHub, tmp_path: Path) -> Iterator[Kit]:
    body = model_bytes(SIZE)
    hub.add(REPO, {FILE: body})
    kit = make_kit(hub, tmp_path / "models", body)
    yield kit
    kit.downloader.close()


async def until(kit: Kit, job_id: str, n_bytes: int) -> None:
    async with asyncio.timeout(20):
        while kit.downloader.progress(job_id).bytes_done < n_bytes:  # noqa: ASYNC110 - a thread
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("how", ["pause", "cancel"])
@pytest.mark.parametrize("fault", ["stall", "stall_headers", "trickle"])
def test_stopping_works_while_the_server_says_nothing(kit: Kit, how: str, fault: str) -> None:
    kit.hub.always = Fault(fault, at=1_000_000)

    async def story() -> None:
        job = await asyncio.to_thread(kit.downloader.add, REPO, FILE)
        kit.downloader.start(job.job_id)
        await asyncio.sleep(0.1)
        await asyncio.to_thread(getattr(kit.downloader, how), job.job_id)
        progress = kit.downloader.progress(job.job_id)
        assert progress.phase == {"pause": "paused", "cancel": "cancelled"}[how]

    asyncio.run(story())
    kit.hub.always = None
    kit.assert_installed(kit.pull())
    assert kit.hub.served_bytes <= len(kit.body) + (256 << 10)


def test_a_pause_keeps_every_byte_and_every_hash(kit: Kit) -> None:
    kit.hub.speed_bytes_s = 4_000_000

    async def story() -> None:
        job = await asyncio.to_thread(kit.downloader.add, REPO, FILE)
        kit.downloader.start(job.job_id)
        await until(kit, job.job_id, 1_000_000)
        await asyncio.to_thread(kit.downloader.pause, job.job_id)
        done = kit.downloader.progress(job.job_id).bytes_done
        assert done >= 1_000_000
        assert kit.downloader._hashers[job.model.files[0].sha256].position > 0

    asyncio.run(story())
    kit.hub.speed_bytes_s = 0
    kit.assert_installed(kit.pull())


def test_closing_the_reports_pauses_the_job(kit: Kit) -> None:
    kit.hub.always = Fault("stall", at=1_000_000)

    async def story() -> None:
        job = await asyncio.to_thread(kit.downloader.add, REPO, FILE)
        reports = kit.downloader.download(job.job_id)
        async for progress in reports:
            if progress.bytes_done:
                break
        await reports.aclose()
        assert kit.downloader.progress(job.job_id).phase == "paused"

    asyncio.run(story())


def test_discard_leaves_nothing(kit: Kit) -> None:
    kit.hub.always = Fault("stall", at=500_000)
    job = kit.downloader.add(REPO, FILE)
    kit.downloader.start(job.job_id)
    time.sleep(0.3)
    kit.downloader.discard(job.job_id)
    assert kit.leftovers() == []
    assert kit.downloader.progress(job.job_id).phase == "cancelled"


def test_the_end_of_the_app_is_a_pause_that_ends_by_itself(kit: Kit) -> None:
    kit.hub.always = Fault("stall", at=1_000_000)
    job = kit.downloader.add(REPO, FILE)
    kit.downloader.start(job.job_id)
    time.sleep(0.3)
    kit.hub.always = None
    later = kit.again()
    assert [one.job_id for one in later.downloader.resume_interrupted()] == [job.job_id]
    deadline = time.monotonic() + 20
    while not later.downloader.progress(job.job_id).is_final and time.monotonic() < deadline:
        time.sleep(0.05)
    later.assert_installed(later.downloader.progress(job.job_id))


def test_what_the_user_paused_stays_paused(kit: Kit) -> None:
    job = kit.downloader.add(REPO, FILE)
    kit.downloader.pause(job.job_id)
    later = kit.again()
    assert later.downloader.resume_interrupted() == []


def test_jobs_run_in_the_order_they_were_put_in(hub: HostileHub, tmp_path: Path) -> None:
    bodies = {f"m{number}.gguf": model_bytes(100_000, number) for number in range(3)}
    hub.add(REPO, bodies)
    kit = make_kit(hub, tmp_path / "models", b"")
    kit.downloader._max_active = 1
    jobs = [kit.downloader.add(REPO, name) for name in bodies]
    kit.downloader.move(jobs[2].job_id, before=jobs[0].job_id)
    assert [job.job_id for job in kit.downloader.jobs()] == [
        jobs[2].job_id,
        jobs[0].job_id,
        jobs[1].job_id,
    ]
    kit.downloader.resume_interrupted()
    deadline = time.monotonic() + 20
    while kit.downloader.jobs() and time.monotonic() < deadline:
        time.sleep(0.05)
    asked = [one.path.rsplit("/", 1)[-1] for one in hub.file_gets]
    assert asked == ["m2.gguf", "m0.gguf", "m1.gguf"]
    kit.downloader.close()


def test_the_same_file_asked_for_twice_is_one_download(kit: Kit) -> None:
    first = kit.downloader.add(REPO, FILE)
    assert kit.downloader.add(REPO, FILE) == first
    kit.assert_installed(kit.pull())
    assert kit.pull().phase == "installed"
    assert kit.hub.served_bytes == len(kit.body)


def test_a_speed_limit_is_kept(kit: Kit) -> None:
    kit.downloader.speed.set(2_000_000)
    started = time.monotonic()
    kit.assert_installed(kit.pull())
    assert time.monotonic() - started > 0.5 * SIZE / 2_000_000


def test_a_model_in_parts_is_complete_only_with_all_of_them(
    hub: HostileHub, tmp_path: Path
) -> None:
    parts = write_split(tmp_path / "source", "big-Q8_0", 3)
    hub.add(REPO, {f"Q8_0/{part.name}": part.read_bytes() for part in parts})
    kit = make_kit(hub, tmp_path / "models", b"")
    hub.faults.extend([Fault(""), Fault("status", value=404)])
    last = kit.pull(f"Q8_0/{parts[0].name}")
    assert last.phase == "failed"
    kit.assert_nothing_installed()
    before = len(hub.file_gets)
    last = kit.again().pull(f"Q8_0/{parts[1].name}")
    assert last.phase == "installed"
    assert len(hub.file_gets) - before == 2  # part 1 is not fetched again
    model = kit.store.find(last.installed_id)
    assert [file.path.read_bytes() for file in model.files] == [one.read_bytes() for one in parts]


def test_only_the_damaged_part_is_fetched_again(hub: HostileHub, tmp_path: Path) -> None:
    parts = write_split(tmp_path / "source", "big-Q8_0", 2)
    hub.add(REPO, {part.name: part.read_bytes() for part in parts})
    kit = make_kit(hub, tmp_path / "models", b"")
    hub.faults.extend([Fault(""), *[Fault("corrupt", at=5)] * 2])
    assert kit.pull(parts[0].name).phase == "failed"
    before = len(hub.file_gets)
    assert kit.again().pull(parts[0].name).phase == "installed"
    assert [one.path.rsplit("/", 1)[-1] for one in hub.file_gets[before:]] == [parts[1].name]


def test_no_room_is_found_before_the_first_byte(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.library.disk.free_bytes", lambda folder: 1000)
    last = kit.pull()
    assert last.phase == "failed"
    assert "disk space" in last.error
    assert kit.hub.file_gets == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EFBIG, "cannot hold a file this big"),
        (errno.EROFS, "read-only"),
        (errno.EACCES, "cannot be written"),
        (errno.EIO, "unplugged"),
    ],
)
def test_a_disk_that_fails_in_the_middle_keeps_the_part(
    kit: Kit, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    arrived = PartFile.arrived

    def fail(self: PartFile, segment: int, n_bytes: int) -> None:
        if self.received_bytes > 1_000_000:
            raise OSError(code, os.strerror(code))
        arrived(self, segment, n_bytes)

    monkeypatch.setattr(PartFile, "arrived", fail)
    last = kit.pull()
    assert last.phase == "failed"
    assert words in last.error
    assert last.bytes_done > 1_000_000
    monkeypatch.setattr(PartFile, "arrived", arrived)
    kit.assert_installed(kit.again().pull())


def test_a_part_damaged_on_disk_is_mended_where_it_is_damaged(
    hub: HostileHub, tmp_path: Path
) -> None:
    body = model_bytes(3 * SEGMENT_BYTES)
    hub.add(REPO, {FILE: body})
    kit = make_kit(hub, tmp_path / "models", body)
    hub.faults.append(Fault("drop", at=2 * SEGMENT_BYTES + 1000))
    hub.always = Fault("status", value=500)
    assert kit.pull().phase == "failed"
    (part,) = kit.store.partial.glob("*.part")
    with part.open("r+b") as file:
        file.seek(SEGMENT_BYTES + 77)
        file.write(b"\0" * 4096)
    hub.always = None
    before = hub.served_bytes
    kit.assert_installed(kit.again().pull())
    rest = len(body) - 2 * SEGMENT_BYTES - 1000
    assert hub.served_bytes - before <= rest + SEGMENT_BYTES + (2 << 20)


def test_a_map_that_promises_too_much_is_not_believed(kit: Kit) -> None:
    kit.hub.faults.append(Fault("drop", at=2_000_000))
    kit.hub.always = Fault("status", value=500)
    assert kit.pull().phase == "failed"
    (part,) = kit.store.partial.glob("*.part")
    os.truncate(part, 500_000)
    kit.hub.always = None
    kit.assert_installed(kit.again().pull())


def test_leftovers_of_other_times_are_cleared_away(kit: Kit) -> None:
    old = time.time() - 30 * 86_400
    for name in ("a" * 64 + ".part", "a" * 64 + ".map", "b" * 64 + ".bad", "import-x.part"):
        path = kit.store.partial / name
        path.write_bytes(b"x")
        os.utime(path, (old, old))
    (kit.store.partial / ("c" * 64 + ".bad")).write_bytes(b"kept a week")
    assert kit.again().leftovers() == ["c" * 64 + ".bad"]


def test_another_process_is_waited_for(kit: Kit) -> None:
    job = kit.downloader.add(REPO, FILE)
    lock = kit.store.partial / f"{job.job_id}.lock"
    lock.write_text(json.dumps({"pid": os.getppid(), "started": _started(os.getppid())}))
    assert not OwnerLock(lock).try_acquire()
    kit.downloader.start(job.job_id)
    time.sleep(0.3)
    assert kit.downloader.progress(job.job_id).phase == "elsewhere"
    with pytest.raises(LibraryError, match="Another Garret"):
        kit.downloader.discard(job.job_id)
    kit.downloader.add(REPO, FILE)
    kit.downloader.start(job.job_id)
    lock.unlink()
    deadline = time.monotonic() + 20
    while not kit.downloader.progress(job.job_id).is_final and time.monotonic() < deadline:
        time.sleep(0.05)
    kit.assert_installed(kit.downloader.progress(job.job_id))


def _started(pid: int) -> float:
    return psutil.Process(pid).create_time()


def command(hub: HostileHub, home: Path, *extra: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app", "models", "pull", f"{REPO}/{FILE}", *extra],
        env={**os.environ, "GARRET_HOME": str(home), "HF_ENDPOINT": hub.endpoint},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_killed_at_half_it_goes_on_at_half(hub: HostileHub, tmp_path: Path) -> None:
    body = model_bytes(80 << 20)
    hub.add(REPO, {FILE: body})
    hub.speed_bytes_s = 60 << 20
    running = command(hub, tmp_path)
    deadline = time.monotonic() + 60
    while hub.served_bytes < len(body) // 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    time.sleep(0.3)
    served = hub.served_bytes
    assert len(body) // 2 <= served < len(body)
    hub.speed_bytes_s = 0
    again = command(hub, tmp_path)
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert "Installed" in out
    assert hub.served_bytes - served <= len(body) - served + (16 << 20)
    (file,) = (tmp_path / "models").rglob("*.gguf")
    assert file.read_bytes() == body
    assert not list((tmp_path / "models" / ".partial").iterdir())


def test_two_processes_make_one_download(hub: HostileHub, tmp_path: Path) -> None:
    body = model_bytes(8 << 20)
    hub.add(REPO, {FILE: body})
    hub.speed_bytes_s = 8 << 20
    both = [command(hub, tmp_path), command(hub, tmp_path)]
    answers = [one.communicate(timeout=60) for one in both]
    assert [one.returncode for one in both] == [0, 0], answers
    assert hub.served_bytes == len(body)
    assert len(list((tmp_path / "models").rglob("*.gguf"))) == 1


def test_damage_on_the_wire_is_one_sentence_on_the_command_line(
    hub: HostileHub, tmp_path: Path
) -> None:
    hub.add(REPO, {FILE: model_bytes(SIZE)})
    hub.always = Fault("corrupt", at=SIZE // 2)
    running = command(hub, tmp_path)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert err.startswith("garret: ")
    assert "damaged" in err
    assert "Traceback" not in err
    assert not list((tmp_path / "models").rglob("*.gguf"))


def test_interrupting_the_command_keeps_the_part(hub: HostileHub, tmp_path: Path) -> None:
    hub.add(REPO, {FILE: model_bytes(SIZE)})
    hub.always = Fault("stall", at=1_000_000)
    running = command(hub, tmp_path)
    deadline = time.monotonic() + 30
    while hub.served_bytes < 1_000_000 and time.monotonic() < deadline:
        time.sleep(0.02)
    time.sleep(0.2)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=20)
    assert running.returncode == 130
    assert "goes on" in err
    hub.always = None
    again = command(hub, tmp_path)
    again.communicate(timeout=60)
    assert again.returncode == 0
    assert hub.served_bytes == size_on_hub(hub)


def size_on_hub(hub: HostileHub) -> int:
    body = hub.repos[REPO].files[FILE]
    assert isinstance(body, bytes)
    return len(body)


def test_the_downloader_of_a_fresh_folder_has_no_jobs(hub: HostileHub, kit: Kit) -> None:
    assert Downloader(kit.store, Hub(hub.endpoint), HURRY).jobs() == []


def test_only_a_part_with_bytes_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ext4 flushes a file that was cut to nothing whenever it is closed: gigabytes, and a wait."""
    cut: list[Path] = []
    truncate = os.truncate

    def record(path: Path, size: int) -> None:
        cut.append(path)
        truncate(path, size)

    monkeypatch.setattr(os, "truncate", record)
    path = tmp_path / "x.part"
    PartFile(path, SIZE, "0" * 64).close()
    assert not cut
    path.write_bytes(b"from another file")
    PartFile(path, SIZE, "1" * 64).close()
    assert cut == [path]
    assert path.stat().st_size == 0
