"""Backups, damage and the full disk."""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import StorageDamaged, StorageFull
from app.core.messages import Message, TextPart
from app.storage.backup import DAY_S, KEEP_NEWEST, Backups, is_sound, worth_keeping
from app.storage.database import connect, marker_of
from app.storage.outbox import Rewrite
from app.storage.storage import Storage, open_storage
from app.storage.values import AnswerDetails
from tests.storage.stored import FILE, Clock, add_chat, with_storage


def test_maintenance_backs_up_once_a_day(tmp_path: Path) -> None:
    clock = Clock()

    async def scenario(storage: Storage) -> None:
        await add_chat(storage, "hello")
        await storage.maintain()
        await storage.maintain()
        assert len(storage.backups.list()) == 1
        clock.now += DAY_S
        await storage.maintain()
        first, second = storage.backups.list()
        assert first.made_at == pytest.approx(clock.now, abs=1)
        assert is_sound(first.path)
        assert is_sound(second.path)
        with closing(connect(first.path, read_only=True)) as copy:
            assert copy.execute("SELECT count(*) FROM messages").fetchone()[0] == 1

    with_storage(tmp_path, scenario, clock)


def test_a_backup_is_whole_while_others_write(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        chat_id = await add_chat(storage, "start")

        async def write() -> None:
            for number in range(60):
                await storage.messages.add(chat_id, None, Message.of("user", f"m{number} " * 500))

        writing = asyncio.create_task(write())
        for _ in range(3):
            backup = await storage.backups.make()
            assert is_sound(backup.path)
        await writing

    with_storage(tmp_path, scenario)


def test_old_backups_thin_out(tmp_path: Path) -> None:
    now = 1_800_000_000.0
    made = [now - day * DAY_S for day in range(400)]
    kept = sorted((now - when) / DAY_S for when in worth_keeping(made, now))
    assert kept[:7] == [0, 1, 2, 3, 4, 5, 6]
    assert 10 <= len(kept) <= 18
    assert max(kept) < 200


@given(st.lists(st.floats(0, 4e7, allow_nan=False), max_size=40))
def test_the_newest_backups_are_always_kept(ages: list[float]) -> None:
    now = 1_800_000_000.0
    made = [now - age for age in ages]
    kept = worth_keeping(made, now)
    assert set(sorted(made, reverse=True)[:KEEP_NEWEST]) <= kept <= set(made)


def test_backups_stay_within_their_size_but_never_below_two(tmp_path: Path) -> None:
    clock = Clock()

    async def scenario(storage: Storage) -> None:
        await add_chat(storage, "hello")
        backups = Backups(tmp_path / FILE, tmp_path / "small", clock, max_total_bytes=1)
        for _ in range(4):
            await backups.make()
            clock.now += DAY_S
        assert len(backups.list()) == 2

    with_storage(tmp_path, scenario, clock)


def damage(path: Path, seed: int, *, header: bool = False) -> None:
    """Overwrites pages of the file with noise."""
    noise = random.Random(seed)
    data = bytearray(path.read_bytes())
    if header:
        data[:100] = noise.randbytes(100)
    for _ in range(max(2, len(data) // 4096 // 4)):
        page = noise.randrange(1, len(data) // 4096) * 4096
        data[page : page + 4096] = noise.randbytes(4096)
    path.write_bytes(data)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_a_damaged_file_comes_back_from_the_backup(tmp_path: Path, seed: int, header: bool) -> None:
    async def before(storage: Storage) -> None:
        await add_chat(storage, *(f"backed up {number} " * 40 for number in range(40)))
        await storage.backups.make()
        await add_chat(storage, *(f"after it {number} " * 40 for number in range(40)))

    with_storage(tmp_path, before)
    damage(tmp_path / FILE, seed, header=header)

    async def notice() -> None:
        """Some damage shows only when the pages are read: the check finds it."""
        storage = await open_storage(tmp_path / FILE)
        if storage.recovery is None:
            with pytest.raises(StorageDamaged):
                await storage.maintain()
        with suppress(StorageDamaged):
            await storage.close()

    asyncio.run(notice())

    async def after(storage: Storage) -> None:
        chats = await storage.chats.list()
        assert "backed up 0" in " ".join(chat.title for chat in chats)
        (hit,) = [h for h in await storage.search.find('"backed up 39"') if h.message_id]
        branch = await storage.messages.branch(hit.chat_id)
        assert [m.text for m in branch] == [f"backed up {n} " * 40 for n in range(40)]
        await storage.maintain()
        assert not marker_of(tmp_path / FILE).exists()

    with_storage(tmp_path, after)
    assert list(tmp_path.glob("chats-damaged-*.sqlite3"))


def test_what_is_newer_than_the_backup_is_rescued_where_it_can_be_read(tmp_path: Path) -> None:
    async def before(storage: Storage) -> None:
        old = await add_chat(storage, "backed up")
        await storage.backups.make()
        branch = await storage.messages.branch(old)
        await storage.messages.add(old, branch[0].id, Message.of("assistant", "newer answer"))
        await add_chat(storage, "a newer chat")

    with_storage(tmp_path, before)
    marker_of(tmp_path / FILE).touch()  # the check found something; the rows still read

    async def after(storage: Storage) -> None:
        assert storage.recovery is not None
        assert storage.recovery.messages == 2
        assert "newest backup is back" in storage.recovery.sentence
        assert [c.title for c in await storage.chats.list()] == ["a newer chat", "backed up"]
        (hit,) = await storage.search.find("newer answer")
        branch = await storage.messages.branch(hit.chat_id)
        assert [m.text for m in branch] == ["backed up", "newer answer"]

    with_storage(tmp_path, after)


def test_without_a_backup_the_app_still_starts(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"no database at all" * 1000)

    async def scenario(storage: Storage) -> None:
        assert storage.recovery is not None
        assert storage.recovery.backup_made_at is None
        assert storage.recovery.kept_at.read_bytes().startswith(b"no database")
        assert await storage.chats.list() == []

    with_storage(tmp_path, scenario)


def test_a_vanished_file_comes_back_too(tmp_path: Path) -> None:
    async def before(storage: Storage) -> None:
        await add_chat(storage, "hello")
        await storage.backups.make()

    with_storage(tmp_path, before)
    (tmp_path / FILE).unlink()

    async def after(storage: Storage) -> None:
        assert storage.recovery is not None
        assert [c.title for c in await storage.chats.list()] == ["hello"]

    with_storage(tmp_path, after)


async def fill_up(storage: Storage) -> None:
    """From now on the file may not grow: SQLite then says what it says on a full disk."""

    def job(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    await storage.database.run_outside_transaction(job)


async def make_room(storage: Storage) -> None:
    def job(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA max_page_count = 1073741823")

    await storage.database.run_outside_transaction(job)


def test_a_full_disk_is_said_and_costs_nothing_once_there_is_room(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        chat_id = await add_chat(storage, "hello", "short")
        answer = (await storage.messages.branch(chat_id))[-1]
        await fill_up(storage)
        long = "x" * 100_000
        with pytest.raises(StorageFull) as caught:
            await storage.messages.add(chat_id, answer.id, Message.of("user", long))
        assert caught.value.remedy
        saved: list[int] = []
        storage.outbox.listeners.append(saved.append)
        rewrite = Rewrite(answer.id, (TextPart(long),), "complete", AnswerDetails())
        assert isinstance(await storage.outbox.save(rewrite), StorageFull)
        with pytest.raises(StorageFull):
            await storage.outbox.flush()
        assert [m.text for m in await storage.messages.branch(chat_id)] == ["hello", "short"]

        await make_room(storage)
        await storage.outbox.flush()
        assert saved == [answer.id]
        assert storage.outbox.is_empty
        assert (await storage.messages.get(answer.id)).text == long

    with_storage(tmp_path, scenario)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mode bits")
def test_chats_and_backups_are_for_the_user_alone(tmp_path: Path) -> None:
    modes: dict[str, int] = {}

    async def scenario(storage: Storage) -> None:
        await add_chat(storage, "hello")
        backup = await storage.backups.make()
        for path in (backup.path, *(tmp_path / f"{FILE}{end}" for end in ("", "-wal", "-shm"))):
            modes[path.name] = path.stat().st_mode & 0o777

    with_storage(tmp_path, scenario)
    assert set(modes.values()) == {0o600}
