"""Full-text search."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.core.messages import AttachmentPart, Message, TextPart
from app.storage.search import match_expression, read_marks
from app.storage.storage import Storage, open_storage
from app.storage.values import AnswerDetails
from tests.storage.stored import FILE, add_chat, with_storage


async def found(storage: Storage, query: str) -> list[str]:
    """The matched text of every hit, titles included."""
    hits = await storage.search.find(query)
    return [hit.snippet[start:end] for hit in hits for start, end in hit.spans[:1]]


def test_finds_parts_of_words_and_code_newest_first(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        old = await add_chat(storage, "def load_weights(path):\n    return None", title="Old")
        new = await add_chat(storage, "Why is Load_Weights slow?", title="New")
        hits = await storage.search.find("d_weig")
        assert [hit.chat_id for hit in hits] == [new, old]
        assert hits[1].snippet[slice(*hits[1].spans[0])] == "d_weig"
        assert (hits[0].role, hits[0].chat_title) == ("user", "New")
        assert await found(storage, "weights(path):") == ["weights(path):"]

    with_storage(tmp_path, scenario)


def test_all_words_must_occur_and_quotes_keep_them_together(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        await add_chat(storage, "one apple and two pears", title="t1")
        await add_chat(storage, "two apples", title="t2")
        assert len(await storage.search.find("two apple")) == 2
        assert len(await storage.search.find("apple pears")) == 1
        assert len(await storage.search.find('"two apple"')) == 1

    with_storage(tmp_path, scenario)


@pytest.mark.parametrize("query", ["qt", "Qt", "数据", "据", "if x", "x = 1"])
def test_finds_short_words_too(tmp_path: Path, query: str) -> None:
    async def scenario(storage: Storage) -> None:
        chat = await add_chat(storage, "if x = 1: 训练数据 and QT", title="t")
        await add_chat(storage, "nothing here", title="t")
        assert [hit.chat_id for hit in await storage.search.find(query)] == [chat]

    with_storage(tmp_path, scenario)


def test_titles_come_first(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        await add_chat(storage, "about parsers", title="Something")
        named = await add_chat(storage, "hello", title="Parser für Größen")
        hits = await storage.search.find("PARSER größen")
        assert [(hit.chat_id, hit.message_id) for hit in hits] == [(named, None)]
        assert hits[0].spans == ((0, 6), (11, 17))

    with_storage(tmp_path, scenario)


def test_attachments_are_searched_and_the_trash_is_not(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        chat = await storage.chats.create(title="t")
        parts = (AttachmentPart("notes.txt", "text/plain", "zebra crossing"), TextPart("see"))
        await storage.messages.add(chat.id, None, Message("user", parts))
        assert await found(storage, "zebra") == ["zebra"]
        assert await found(storage, "notes.txt") == ["notes.txt"]
        await storage.chats.trash(chat.id)
        assert await storage.search.find("zebra") == []
        await storage.chats.restore(chat.id)
        assert await found(storage, "zebra") == ["zebra"]

    with_storage(tmp_path, scenario)


def test_the_index_follows_an_answer_and_a_deletion(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        chat = await storage.chats.create(title="t")
        _, answer = await storage.messages.ask(
            chat.id, None, Message.of("user", "Hi"), AnswerDetails()
        )
        await storage.messages.rewrite(
            answer.id, [TextPart("heron")], state="streaming", details=AnswerDetails()
        )
        assert await storage.search.find("heron") == []  # indexed once, at the end
        await storage.messages.rewrite(
            answer.id, [TextPart("heron stork")], state="complete", details=AnswerDetails()
        )
        assert await found(storage, "stork") == ["stork"]
        await storage.messages.rewrite(
            answer.id, [TextPart("crane")], state="complete", details=AnswerDetails()
        )
        assert await storage.search.find("heron") == []
        await storage.messages.hide(answer.id)
        assert await storage.search.find("crane") == []
        await storage.messages.unhide(answer.id)
        await storage.chats.trash(chat.id)
        await storage.chats.purge(older_than_s=0)

        def leftovers(connection: object) -> int:
            sql = "SELECT count(*) FROM message_terms"
            return int(connection.execute(sql).fetchone()[0])  # type: ignore[attr-defined]

        assert await storage.database.read(leftovers) == 0

    with_storage(tmp_path, scenario)


def test_an_interrupted_answer_is_searchable_after_the_restart(tmp_path: Path) -> None:
    async def first() -> None:
        storage = await open_storage(tmp_path / FILE)
        chat = await storage.chats.create(title="t")
        _, answer = await storage.messages.ask(
            chat.id, None, Message.of("user", "Hi"), AnswerDetails()
        )
        await storage.messages.rewrite(
            answer.id, [TextPart("cormorant")], state="streaming", details=AnswerDetails()
        )
        storage.database.close()

    asyncio.run(first())

    async def scenario(storage: Storage) -> None:
        assert await found(storage, "cormorant") == ["cormorant"]

    with_storage(tmp_path, scenario)


def test_no_query_breaks_the_search(tmp_path: Path) -> None:
    async def scenario(storage: Storage) -> None:
        await add_chat(storage, 'quote " star * minus - NEAR(a b) AND OR {x} : ^ \x00 end')
        hostile = [
            '"',
            '""',
            '" "',
            "*",
            "NEAR(",
            "a AND",
            "text:x",
            "-",
            "^x",
            "'",
            "\x00",
            "%",
            "_",
        ]
        for query in [*hostile, "", "   ", "a" * 10_000, '"a', "AND OR NOT", "\ue000\ue001"]:
            await storage.search.find(query)
        assert len(await storage.search.find("near(a")) >= 1

    with_storage(tmp_path, scenario)


@given(st.text(max_size=40))
@settings(max_examples=200, deadline=None)
def test_an_expression_is_only_quoted_phrases(query: str) -> None:
    expression = match_expression(query)
    if expression is not None:
        bare = expression.replace('""', "")
        assert bare.count('"') % 2 == 0
        outside = [piece for piece in bare.split('"')[::2] if piece]
        assert set(outside) <= {" AND "}


def test_marks_become_spans() -> None:
    assert read_marks("a\ue000bc\ue001d\n") == ("abcd", ((1, 3),))
    assert read_marks("\ue000x") == ("x", ((0, 1),))
    assert read_marks("\ue001x\ue000\ue001") == ("x", ())
