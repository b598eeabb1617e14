"""Every way a server can fail ends with the right file, or with a sentence and a resumable part."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.library.download.downloader import Downloader
from app.library.download.part import SEGMENT_BYTES
from app.library.hub import Hub
from app.library.store import Store
from tests.hostile_hub import Fault, HostileHub
from tests.library.download_kit import FILE, HURRY, REPO, Kit, make_kit, model_bytes

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


RECOVERED = {
    "drop at 0": [Fault("drop", at=0)],
    "drop after 1 byte": [Fault("drop", at=1)],
    "drop in the middle": [Fault("drop", at=1_500_000)],
    "drop before the last byte": [Fault("drop", at=SIZE - 1)],
    "many drops": [Fault("drop", at=700_000), Fault("drop", at=1), Fault("drop", at=900_000)],
    "reset": [Fault("reset")],
    "stall after headers": [Fault("stall", at=0)],
    "stall before headers": [Fault("stall_headers")],
    "stall in the body": [Fault("stall", at=1_000_000)],
    "one byte at a time": [Fault("trickle", at=1_000_000)],
    "short body": [Fault("short", value=1000)],
    "200 to a range": [Fault("drop", at=1_000_000), Fault("ignore_range")],
    "206 from elsewhere": [Fault("drop", at=1_000_000), Fault("wrong_start")],
    "206 of another size": [Fault("drop", at=1_000_000), Fault("wrong_total")],
    "206 without a size": [Fault("drop", at=1_000_000), Fault("star")],
    "multipart": [Fault("drop", at=1_000_000), Fault("multipart")],
    "416": [Fault("drop", at=1_000_000), Fault("unsatisfiable")],
    "compressed once": [Fault("gzip")],
    "another etag once": [Fault("etag")],
    "500": [Fault("status", value=500)],
    "503 with a wait": [Fault("status", value=(503, {"Retry-After": "0"}))],
    "408": [Fault("status", value=408)],
    "429": [Fault("status", value=(429, {"Retry-After": "0"}))],
    "429 with a negative wait": [Fault("status", value=(429, {"Retry-After": "-5"}))],
    "429 with nonsense": [Fault("status", value=(429, {"Retry-After": "soon"}))],
    "429 without a wait": [Fault("status", value=429)],
    "a login page once": [Fault("html")],
    "too long": [Fault("overlong")],
    "endless": [Fault("endless")],
    "first byte wrong": [Fault("corrupt", at=0)],
    "a middle byte wrong": [Fault("corrupt", at=SIZE // 2)],
    "last byte wrong": [Fault("corrupt", at=SIZE - 200)],
}


@pytest.mark.parametrize("faults", RECOVERED.values(), ids=RECOVERED.keys())
def test_a_passing_fault_is_recovered_from(kit: Kit, faults: list[Fault]) -> None:
    kit.hub.faults.extend(faults)
    kit.assert_installed(kit.pull())
    assert not kit.hub.faults


@pytest.mark.parametrize("faults", RECOVERED.values(), ids=RECOVERED.keys())
def test_a_passing_fault_behind_a_redirect_is_recovered_from(kit: Kit, faults: list[Fault]) -> None:
    kit.hub.redirect = True
    kit.hub.faults.extend(faults)
    kit.assert_installed(kit.pull())


def test_a_drop_costs_only_what_was_in_flight(kit: Kit) -> None:
    kit.hub.faults.extend([Fault("drop", at=2_000_000), Fault("drop", at=500_000)])
    kit.assert_installed(kit.pull())
    assert kit.hub.served_bytes == len(kit.body)
    assert [one.range for one in kit.hub.file_gets] == ["", "bytes=2000000-", "bytes=2500000-"]


def test_expired_address_is_resolved_again(kit: Kit) -> None:
    kit.hub.redirect = True
    kit.hub.faults.extend([Fault("drop", at=1_000_000), Fault("status", value=403)])
    kit.assert_installed(kit.pull())
    assert kit.hub.served_bytes == len(kit.body)


ENDED = {
    "always a login page": (Fault("html"), "something else"),
    "always compressed": (Fault("gzip"), "compressed"),
    "always another etag": (Fault("etag"), "another one"),
    "always 500": (Fault("status", value=500), "problem"),
    "always dropped at once": (Fault("drop", at=0), "closed the connection"),
    "never anything": (Fault("stall_headers"), "stopped sending"),
    "404": (Fault("status", value=(404, {"X-Error-Code": "EntryNotFound"})), "no longer"),
    "404 without a code": (Fault("status", value=404), "no longer"),
    "version gone": (Fault("status", value=(404, {"X-Error-Code": "RevisionNotFound"})), "pinned"),
    "401": (Fault("status", value=401), "does not let us"),
    "403 gated": (Fault("status", value=(403, {"X-Error-Code": "GatedRepo"})), "terms"),
    "418": (Fault("status", value=418), "status 418"),
    "circle": (Fault("loop"), "circles"),
    "to a file": (Fault("redirect", value="file:///etc/passwd"), "not allowed"),
    "to another http host": (Fault("redirect", value="http://example.com/x"), "not allowed"),
    "to a private address": (Fault("redirect", value="http://10.0.0.1/x"), "not allowed"),
    "to the cloud's metadata": (Fault("redirect", value="http://169.254.169.254/"), "not allowed"),
    "with a password": (Fault("redirect", value="https://u:p@example.com/x"), "not allowed"),
    "nowhere": (Fault("redirect", value=""), "circles"),
}


@pytest.mark.parametrize(("fault", "words"), ENDED.values(), ids=ENDED.keys())
def test_a_lasting_fault_is_a_sentence_and_the_job_can_go_on(
    kit: Kit, fault: Fault, words: str
) -> None:
    kit.hub.faults.append(Fault("drop", at=1_000_000))
    kit.hub.always = fault
    last = kit.pull()
    assert last.phase == "failed"
    assert words in last.error
    assert last.remedy
    kit.assert_nothing_installed()
    assert [job.state for job in kit.downloader.jobs()] == ["failed"]
    kit.hub.always = None
    before = kit.hub.served_bytes
    kit.assert_installed(kit.again().pull())
    assert kit.hub.served_bytes - before == len(kit.body) - last.bytes_done


WRONG_FOR_EVER = {
    "range ignored": Fault("ignore_range"),
    "wrong part": Fault("wrong_start"),
    "wrong size": Fault("wrong_total"),
}


@pytest.mark.parametrize("fault", WRONG_FOR_EVER.values(), ids=WRONG_FOR_EVER.keys())
def test_a_server_without_ranges_still_delivers_whole_files(kit: Kit, fault: Fault) -> None:
    kit.hub.faults.append(Fault("drop", at=1_000_000))
    kit.hub.always = fault
    kit.assert_installed(kit.pull())


@pytest.mark.parametrize("at", [0, SIZE // 2, SIZE - 200])
def test_bytes_that_stay_wrong_are_never_installed(kit: Kit, at: int) -> None:
    kit.hub.always = Fault("corrupt", at=at)
    last = kit.pull()
    assert last.phase == "failed"
    assert "damaged" in last.error
    kit.assert_nothing_installed()
    assert sorted(name.rsplit(".", 1)[1] for name in kit.leftovers()) == ["bad", "json"]
    kit.hub.always = None
    last = kit.again().pull()
    assert last.phase == "installed"


def test_only_the_damaged_segment_is_fetched_again(hub: HostileHub, tmp_path: Path) -> None:
    body = model_bytes(5 * SEGMENT_BYTES)
    hub.add(REPO, {FILE: body})
    kit = make_kit(hub, tmp_path / "models", body, replace(HURRY, max_connections=1))
    hub.faults.extend([Fault("corrupt", at=SEGMENT_BYTES + 5)])
    kit.assert_installed(kit.pull())
    assert hub.served_bytes <= len(body) + 2 * SEGMENT_BYTES + (4 << 20)


def test_an_endless_body_does_not_fill_the_disk(kit: Kit) -> None:
    kit.hub.always = Fault("endless")
    kit.assert_installed(kit.pull())


def test_waits_are_shown_capped_and_can_be_cancelled(kit: Kit) -> None:
    kit.hub.always = Fault("status", value=(429, {"Retry-After": "999999"}))

    async def story() -> None:
        job = await asyncio.to_thread(kit.downloader.add, REPO, FILE)
        kit.downloader.start(job.job_id)
        async with asyncio.timeout(10):
            async for progress in kit.downloader.watch(job.job_id):
                if progress.phase == "waiting":
                    assert 0 < progress.wait_s <= HURRY.rate_limit_cap_s
                    assert "wait" in progress.note
                    break
        await asyncio.to_thread(kit.downloader.cancel, job.job_id)
        assert kit.downloader.progress(job.job_id).phase == "cancelled"

    asyncio.run(story())


def test_a_date_to_wait_for_is_understood(kit: Kit) -> None:
    when = email.utils.formatdate(time.time() + 0.2, usegmt=True)
    kit.hub.faults.append(Fault("status", value=(429, {"Retry-After": when})))
    kit.assert_installed(kit.pull())


def test_the_token_goes_to_the_hub_and_nowhere_else(hub: HostileHub, tmp_path: Path) -> None:
    body = model_bytes(SIZE)
    hub.add(REPO, {FILE: body})
    hub.redirect = True
    kit = make_kit(hub, tmp_path / "models", body)
    kit.downloader._hub._token = "hf_canary"
    kit.assert_installed(kit.pull())
    assert {one.authorization for one in hub.seen if one.origin == "hub"} == {"Bearer hf_canary"}
    assert {one.authorization for one in hub.seen if one.origin == "cdn"} == {""}


def test_without_a_token_none_is_sent(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_from_the_environment")
    kit.assert_installed(kit.pull())
    assert {one.authorization for one in kit.hub.seen} == {""}


def test_the_pinned_version_wins_over_a_moved_branch(kit: Kit) -> None:
    kit.hub.faults.append(Fault("drop", at=1_000_000))
    kit.hub.always = Fault("status", value=500)
    assert kit.pull().phase == "failed"
    moved = model_bytes(SIZE, seed=2)
    kit.hub.repos[REPO].commit = "f" * 40
    kit.hub.repos[REPO].files[FILE] = moved
    kit.hub.always = None
    last = kit.again().pull()
    assert last.phase == "failed"
    assert "no longer" in last.error
    kit.assert_nothing_installed()


def test_a_model_whose_header_is_hostile_is_not_installed(hub: HostileHub, tmp_path: Path) -> None:
    body = b"GGUF\x03\0\0\0" + b"\xff" * 100_000
    hub.add(REPO, {FILE: body})
    kit = make_kit(hub, tmp_path / "models", body)
    kit.store = Store(kit.store.root)  # with the real throw-away process
    kit.downloader = Downloader(kit.store, Hub(hub.endpoint), HURRY)
    last = kit.pull()
    assert last.phase == "failed"
    assert FILE in last.error
    kit.assert_nothing_installed()


def test_a_slow_connection_gets_company(hub: HostileHub, tmp_path: Path) -> None:
    body = model_bytes(6 * SEGMENT_BYTES)
    hub.add(REPO, {FILE: body})
    hub.speed_bytes_s = 32 << 20
    kit = make_kit(hub, tmp_path / "models", body, replace(HURRY, adapt_s=0.2))
    seen = 0

    async def story() -> None:
        nonlocal seen
        job = await asyncio.to_thread(kit.downloader.add, REPO, FILE)
        async with asyncio.timeout(60):
            async for progress in kit.downloader.download(job.job_id):
                seen = max(seen, progress.connections)
        kit.assert_installed(progress)

    asyncio.run(story())
    assert seen >= 2
    assert hub.served_bytes <= len(body) + (16 << 20)
