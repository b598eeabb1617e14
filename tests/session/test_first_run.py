"""From the starter to a good model: what is offered, and the change when it has come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from app.core.engine_view import ModelChoice
from app.core.errors import DownloadFailed, OutOfMemory
from app.core.settings import Settings
from app.library.catalogue import load_catalogue
from app.library.elsewhere import Found
from app.library.hardware import Hardware
from app.library.service import LibraryService, ModelRow
from app.session.first_run import FirstRun, Step, TakenOver
from tests.fakes import FakeSeat
from tests.hostile_hub import HostileHub
from tests.library.download_kit import FILE, REPO, Kit, make_kit, model_bytes
from tests.library.ggufs import write_tiny

GB = 1_000_000_000
ROW = ModelRow("k", "A good model", "Good.", "Q4", 200_000, "fits", 20.0, repo=REPO, file=FILE)


@pytest.fixture
def kit(tmp_path: Path) -> Iterator[Kit]:
    with HostileHub() as hub:
        body = model_bytes(200_000)
        hub.add(REPO, {FILE: body})
        kit = make_kit(hub, tmp_path / "models", body)
        yield kit
        kit.downloader.close()


def first_run(
    kit: Kit,
    seat: FakeSeat,
    found: tuple[Found, ...] = (),
    machine: Hardware | None = None,
) -> FirstRun:
    hardware = machine or load_catalogue().machine("mac-mini-m4-pro-64")
    library = LibraryService(kit.store, kit.downloader._hub, kit.downloader, hardware)
    return FirstRun(library, seat, Settings(), lambda: list(found))  # type: ignore[arg-type]


async def all_steps(flow: FirstRun, is_calm: Callable[[], bool]) -> list[Step]:
    async with aclosing(flow.follow(is_calm)) as steps:
        return [step async for step in steps]


def test_the_offer_names_one_model_its_size_context_and_time(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.session.first_run.free_bytes", lambda _folder: 900 * GB)
    offer = asyncio.run(first_run(kit, FakeSeat()).offer())
    assert offer is not None
    assert offer.row is not None
    assert offer.row.title == "Qwen3-Coder-Next"
    assert offer.context_tokens >= 32_768
    assert offer.minutes == pytest.approx(offer.row.size_bytes / 12.5e6 / 60, abs=1)
    assert kit.hub.seen == []  # looking costs no connection


def test_nothing_is_offered_to_somebody_who_has_a_model(kit: Kit, tmp_path: Path) -> None:
    kit.store.add_file(write_tiny(tmp_path / "real.gguf"))
    assert asyncio.run(first_run(kit, FakeSeat()).offer()) is None


def test_a_full_disk_leads_to_the_next_best_or_says_so(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.session.first_run.free_bytes", lambda _folder: 40 * GB)
    offer = asyncio.run(first_run(kit, FakeSeat()).offer())
    assert offer is not None
    assert offer.row is not None
    assert offer.row.size_bytes < 40 * GB
    assert "Qwen3-Coder-Next would be better, but needs" in offer.no_room
    monkeypatch.setattr("app.session.first_run.free_bytes", lambda _folder: 1 * GB)
    offer = asyncio.run(first_run(kit, FakeSeat()).offer())
    assert offer is not None
    assert offer.row is None
    assert "1 GB are free" in offer.too_small


def test_a_small_machine_is_told_kindly_what_would_be_possible(kit: Kit) -> None:
    tiny = Hardware("an old computer", 2 << 30, 1 << 30)
    offer = asyncio.run(first_run(kit, FakeSeat(), machine=tiny).offer())
    assert offer is not None
    assert offer.row is None
    assert offer.too_small.startswith("This computer has 2 GB of memory. The smallest model")


def test_models_of_other_programs_are_offered_largest_first_if_they_fit(kit: Kit) -> None:
    found = tuple(
        Found("Ollama", Path(f"/m/{name}"), name, size)
        for name, size in (("small", 2 * GB), ("huge", 900 * GB), ("good", 20 * GB))
    )
    offer = asyncio.run(first_run(kit, FakeSeat(), found).offer())
    assert offer is not None
    assert [one.title for one in offer.found] == ["good", "small"]


def test_the_download_takes_over_once_nobody_waits_for_an_answer(kit: Kit) -> None:
    seat = FakeSeat(choices=[ModelChoice("starter", "Starter", is_tiny=True)])
    flow = first_run(kit, seat)
    calm = [False, False, True]

    async def story() -> list[Step]:
        await flow.get(ROW)
        assert flow.awaited
        return await all_steps(flow, lambda: calm.pop(0))

    *progress, last = asyncio.run(story())
    assert progress
    assert isinstance(last, TakenOver)
    assert (last.problem, last.is_left_alone) == ("", False)
    assert seat.loaded == [last.model_id]
    assert calm == []
    assert flow.awaited == ""


def test_a_model_chosen_by_hand_meanwhile_stays(kit: Kit) -> None:
    seat = FakeSeat("mine", [ModelChoice("mine", "Mine")])
    flow = first_run(kit, seat)

    async def story() -> Step:
        await flow.get(ROW)
        return (await all_steps(flow, lambda: True))[-1]

    last = asyncio.run(story())
    assert isinstance(last, TakenOver)
    assert last.is_left_alone
    assert seat.loaded == []


def test_a_model_that_does_not_load_leaves_the_old_one_answering(kit: Kit) -> None:
    seat = FakeSeat()
    flow = first_run(kit, seat)

    async def story() -> TakenOver:
        model = await asyncio.to_thread(kit.store.add_file, kit.store.root / "new.gguf")
        seat.refuses[model.model_id] = OutOfMemory("It needs 48 GB.", "Close other programs.")
        return await flow.use(model.model_id, "New")

    write_tiny(kit.store.root / "new.gguf")
    taken = asyncio.run(story())
    assert "48 GB" in taken.problem
    assert seat.view.model is not None
    assert seat.view.model.model_id == "starter"


def test_without_a_network_the_wish_is_refused_in_a_sentence(kit: Kit) -> None:
    flow = first_run(kit, FakeSeat())
    kit.hub.__exit__()
    with pytest.raises(DownloadFailed, match="cannot be reached"):
        asyncio.run(flow.get(replace(ROW, repo="other/model-GGUF")))
    assert flow.awaited == ""


def test_a_cancelled_download_is_awaited_no_longer(kit: Kit) -> None:
    flow = first_run(kit, FakeSeat())
    kit.hub.speed_bytes_s = 50_000

    async def story() -> list[Step]:
        job_id = await flow.get(ROW)
        await asyncio.to_thread(kit.downloader.cancel, job_id)
        return await all_steps(flow, lambda: True)

    assert not any(isinstance(step, TakenOver) for step in asyncio.run(story()))
    assert flow.awaited == ""


def test_another_programs_model_is_used_where_it_lies(kit: Kit, tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "lm" / "theirs.gguf")
    seat = FakeSeat()
    flow = first_run(kit, seat)
    found = Found("LM Studio", path, "theirs", path.stat().st_size)
    taken = asyncio.run(flow.use_found(found))
    assert taken.problem == ""
    assert seat.loaded == [taken.model_id]
    assert kit.store.find(taken.model_id).is_reference
