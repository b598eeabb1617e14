"""Old files open for ever."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from app.core.errors import StorageError
from app.core.messages import AttachmentPart, TextPart, ThinkingPart
from app.storage.database import connect
from app.storage.migrations import STEPS, migrate, schema_version
from app.storage.storage import Storage, open_storage
from tests.storage.stored import FILE, with_storage

V1 = Path(__file__).parent.parent / "data" / "storage" / "schema_v1.sql"


def write_version(path: Path, version: int) -> None:
    """The fixture of version 1, brought to `version` by the steps of their time."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(V1.read_text(encoding="utf-8"))
        connection.row_factory = sqlite3.Row
        migrate(connection, version)
        assert schema_version(connection) == version


def schema_of(path: Path) -> list[tuple[str, str]]:
    with closing(connect(path)) as connection:
        rows = connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name")
        return [(row["name"], row["sql"]) for row in rows]


@pytest.mark.parametrize("version", range(1, len(STEPS) + 1))
def test_every_older_version_opens_with_everything_in_it(tmp_path: Path, version: int) -> None:
    write_version(tmp_path / FILE, version)

    async def scenario(storage: Storage) -> None:
        (chat,) = await storage.chats.list()
        assert (chat.title, chat.pinned, chat.draft) == (
            "Bergs and fjords",
            True,
            "an unsent thought",
        )
        assert (chat.sampling, chat.tags, chat.folder_id) == ({"temperature": 0.2}, (), None)
        branch = await storage.messages.branch(chat.id)
        assert [message.id for message in branch] == [1, 2, 4, 5]
        assert branch[0].parts == (
            AttachmentPart("notes.txt", "text/plain", "glacier"),
            TextPart("What is a fjord? Größe?"),
        )
        assert branch[1].parts == (ThinkingPart("hm", 1.5), TextPart("A drowned valley."))
        assert branch[1].sibling_ids == (2, 3)
        assert branch[1].details.completion_tokens == 4
        assert (branch[3].state, branch[3].text) == ("stopped", "It was cut")
        assert branch[3].details.interrupted
        failed = await storage.messages.get(3)
        assert failed.details.error is not None
        assert failed.details.error["code"] == "engine_died"
        assert [c.title for c in await storage.chats.list("trash")] == ["Old and gone"]
        for words, message in (("glacier", 1), ("größe", 1), ("d_weig", 4), ("was cut", 5)):
            assert [hit.message_id for hit in await storage.search.find(words)] == [message]

    with_storage(tmp_path, scenario)


@pytest.mark.parametrize("version", range(1, len(STEPS)))
def test_an_upgraded_file_has_the_schema_of_a_new_one(tmp_path: Path, version: int) -> None:
    write_version(tmp_path / "old.sqlite3", version)
    with closing(connect(tmp_path / "old.sqlite3")) as connection:
        migrate(connection)
    with closing(connect(tmp_path / "new.sqlite3")) as connection:
        migrate(connection)
    assert schema_of(tmp_path / "old.sqlite3") == schema_of(tmp_path / "new.sqlite3")


def test_a_step_that_fails_leaves_the_version_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half (id INTEGER)")
        raise sqlite3.OperationalError("power cut")

    with closing(connect(tmp_path / FILE)) as connection:
        migrate(connection)
        monkeypatch.setattr("app.storage.migrations.STEPS", (*STEPS, broken))
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, len(STEPS) + 1)
        assert schema_version(connection) == len(STEPS)
        names = [row["name"] for row in connection.execute("SELECT name FROM sqlite_schema")]
        assert "half" not in names


def test_a_file_from_a_newer_garret_is_left_alone(tmp_path: Path) -> None:
    with closing(connect(tmp_path / FILE)) as connection:
        migrate(connection)
        connection.execute(f"PRAGMA user_version = {len(STEPS) + 1}")

    async def open_it() -> None:
        with pytest.raises(StorageError, match="newer version"):
            await open_storage(tmp_path / FILE)

    asyncio.run(open_it())
    with closing(connect(tmp_path / FILE)) as connection:
        assert schema_version(connection) == len(STEPS) + 1
