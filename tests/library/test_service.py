"""The window's facade: rows that only have to be drawn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.library.catalogue import load_catalogue
from app.library.service import LibraryService
from tests.hostile_hub import Fault, HostileHub
from tests.library.download_kit import FILE, REPO, Kit, make_kit, model_bytes
from tests.library.ggufs import write_tiny


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    with HostileHub() as hub:
        body = model_bytes(200_000)
        hub.add(REPO, {FILE: body})
        kit = make_kit(hub, tmp_path / "models", body)
        yield kit
        kit.downloader.close()


@pytest.fixture
def service(kit: Kit) -> LibraryService:
    machine = load_catalogue().machine("mac-mini-m4-pro-64")
    return LibraryService(kit.store, kit.downloader._hub, kit.downloader, machine)


def test_recommended_rows_come_with_reason_size_and_speed(service: LibraryService) -> None:
    first, *others = service.recommended_rows()
    assert first.key == "qwen3-coder-next:UD-Q4_K_XL"
    assert first.verdict == "fits"
    assert first.plan is not None
    assert first.speed > 30
    assert first.revision
    assert others
    other = service.recommended_rows("cpu-16")[0]
    assert other.key == "qwen3.5-4b:Q4_K_M"
    assert ("cpu-16", "no graphics card, 16 GB memory") in service.machines()


def test_a_searched_row_becomes_an_installed_one(kit: Kit, service: LibraryService) -> None:
    (row,) = service.search("model")
    assert (row.verdict, row.estimated, row.file) == ("fits", True, FILE)
    job_id = service.queue(row)
    (waiting,) = service.download_rows()
    assert (waiting.job_id, waiting.size_bytes) == (job_id, len(kit.body))

    async def story() -> str:
        async for progress in service.download(job_id):
            last = progress
        return last.installed_id

    model_id = asyncio.run(story())
    (installed,) = service.installed_rows()
    assert installed.installed_id == model_id
    assert installed.plan is not None
    assert service.download_rows() == []
    spec = service.plan(model_id)
    assert spec is not None
    assert spec.model_path.endswith(FILE)


def test_a_missing_disk_is_said_in_its_row(service: LibraryService, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "usb" / "a.gguf")
    service.store.add_file(path, copy=False)
    path.unlink()
    (row,) = service.installed_rows()
    assert "missing" in row.problem


def test_dropped_things_are_imported_as_what_they_are(
    service: LibraryService, tmp_path: Path
) -> None:
    (copied,) = service.import_path(write_tiny(tmp_path / "a.gguf"))
    stick = service.export(copied.model_id, tmp_path / "usb")
    (again,) = service.import_path(stick)
    assert again == copied
    write_tiny(tmp_path / "lm" / "maker" / "name" / "b.gguf", extra="b")
    (referenced,) = service.import_path(tmp_path / "lm")
    assert referenced.is_reference


def test_start_resumes_and_names_what_a_power_cut_damaged(
    kit: Kit, service: LibraryService, tmp_path: Path
) -> None:
    model = kit.store.add_file(write_tiny(tmp_path / "a.gguf"))
    assert service.start() == []
    record = kit.store.root / ".records" / f"{model.model_id}.json"
    text = record.read_text().replace('"unsettled_boot": ""', '"unsettled_boot": "before"')
    record.write_text(text)
    model.path.write_bytes(model.path.read_bytes()[:-8] + b"\0" * 8)
    (problem,) = service.start()
    assert "damaged" in problem


def test_a_closer_look_replaces_the_guess_by_the_header(kit: Kit, service: LibraryService) -> None:
    (guess,) = service.search("model")
    exact = service.look_closer(guess)
    assert (guess.estimated, exact.estimated) == (True, False)
    assert exact.plan is not None
    assert exact.plan.shape.n_ctx == 1024
    assert kit.hub.served_bytes <= len(kit.body)


def test_models_and_unfinished_downloads_move_together(
    kit: Kit, service: LibraryService, tmp_path: Path
) -> None:
    copied = kit.store.add_file(write_tiny(tmp_path / "a.gguf"))
    kit.hub.always = Fault("stall", at=150_000)
    job_id = service.queue(service.search("model")[0])
    service.downloader.start(job_id)
    deadline = time.monotonic() + 5
    while service.downloader.progress(job_id).bytes_done < 100_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    service.move_to(tmp_path / "disk")
    kit.hub.always = None
    kit.hub.seen.clear()
    assert kit.store.find(copied.model_id).path.is_relative_to(tmp_path / "disk")

    async def story() -> str:
        async for progress in service.download(job_id):
            last = progress
        return last.phase

    assert asyncio.run(story()) == "installed"
    assert kit.hub.served_bytes <= len(kit.body) - 90_000
    assert kit.store.find("model-q4_k_m").path.is_relative_to(tmp_path / "disk")
    assert not [path for path in (tmp_path / "models").rglob("*") if path.suffix == ".part"]
