"""A conversation against a scripted engine."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from app.core.errors import EngineDied, StorageFull
from app.core.events import TextDelta, ThinkingDelta, ToolCallReady, TurnEnded, Usage
from app.core.messages import AttachmentPart, Message, TextPart, ThinkingPart, ToolCallPart
from app.session.chat import ChatSession
from app.session.events import AnswerEnded, AnswerProgress, AnswerStarted, MessageStored, NotSaved
from app.storage.storage import Storage
from tests.fakes import FakeEngine
from tests.session.sessions import ended, with_session


def test_send_stores_the_question_first_and_the_answer_at_the_end(tmp_path: Path) -> None:
    async def scenario(session: ChatSession, storage: Storage) -> None:
        events = [event async for event in session.send("Hi")]
        assert isinstance(events[0], MessageStored)
        assert isinstance(events[1], AnswerStarted)
        assert all(isinstance(event, AnswerProgress) for event in events[2:-1])
        assert isinstance(events[-1], AnswerEnded)
        branch = await session.branch()
        assert [(m.role, m.text, m.state) for m in branch] == [
            ("user", "Hi", "complete"),
            ("assistant", "Hello there.", "complete"),
        ]
        assert events[-1].message.parts == branch[-1].parts
        assert branch[-1].details.completion_tokens == 2
        assert branch[-1].details.model == "fake"

    with_session(tmp_path, FakeEngine(), scenario)


def test_a_second_question_sends_the_first_turn_as_history(tmp_path: Path) -> None:
    engine = FakeEngine()

    async def scenario(session: ChatSession, storage: Storage) -> None:
        await storage.chats.update(session.chat_id, system_prompt="Be brief.")
        await ended(session.send("One", [AttachmentPart("a.py", "text/plain", "x = 1\n")]))
        await ended(session.send("Two"))
        first, second = engine.requests
        assert [m.role for m in second.messages] == ["system", "user", "assistant", "user"]
        assert list(second.messages[:2]) == list(first.messages)
        assert "x = 1" in second.messages[1].text

    with_session(tmp_path, engine, scenario)


def test_a_stopped_answer_keeps_what_was_written(tmp_path: Path) -> None:
    engine = FakeEngine([TextDelta("Half an"), 60.0])

    async def scenario(session: ChatSession, storage: Storage) -> None:
        last = None
        async for event in session.send("Hi"):
            last = event
            if isinstance(event, AnswerProgress):
                await session.stop()
        assert isinstance(last, AnswerEnded)
        assert (last.message.state, last.message.text) == ("stopped", "Half an")
        assert engine.closed == 1
        assert not session.is_answering
        assert (await session.branch())[-1].state == "stopped"

    with_session(tmp_path, engine, scenario)


@pytest.mark.parametrize("after", [MessageStored, AnswerStarted, AnswerProgress])
def test_closing_the_generator_anywhere_leaves_nothing_streaming(
    tmp_path: Path, after: type[object]
) -> None:
    engine = FakeEngine([TextDelta("Half"), 60.0])

    async def scenario(session: ChatSession, storage: Storage) -> None:
        async with aclosing(session.send("Hi")) as events:
            async for event in events:
                if isinstance(event, after):
                    break
        branch = await session.branch()
        assert [m.state for m in branch] == ["complete", "stopped"]
        assert branch[-1].text == ("Half" if after is AnswerProgress else "")
        assert not session.is_answering

    with_session(tmp_path, engine, scenario)


def test_cancelling_the_task_at_any_moment_leaves_nothing_streaming(tmp_path: Path) -> None:
    async def scenario(session: ChatSession, storage: Storage) -> None:
        for delay_s in [0.0, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.02, 0.05]:
            task = asyncio.create_task(ended(session.send("Hi")))
            await asyncio.sleep(delay_s)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            states = {m.state for m in await storage.messages.all(session.chat_id)}
            assert "streaming" not in states
            assert not session.is_answering

    with_session(tmp_path, FakeEngine([TextDelta("Half"), 60.0]), scenario)


def test_an_engine_error_ends_the_answer_as_failed_and_keeps_its_text(tmp_path: Path) -> None:
    error = EngineDied("The engine stopped.", "Ask again.", signal=9)

    async def scenario(session: ChatSession, storage: Storage) -> None:
        last = await ended(session.send("Hi"))
        stored = (await session.branch())[-1]
        for message in (last.message, stored):
            assert (message.state, message.text) == ("failed", "Some words")
            assert message.details.error is not None
            assert message.details.error["code"] == "engine_died"

    with_session(tmp_path, FakeEngine([TextDelta("Some words"), error]), scenario)


def test_a_bug_in_the_engine_surfaces_and_the_text_is_still_stored(tmp_path: Path) -> None:
    async def scenario(session: ChatSession, storage: Storage) -> None:
        with pytest.raises(ZeroDivisionError):
            await ended(session.send("Hi"))
        stored = (await session.branch())[-1]
        assert (stored.state, stored.text) == ("failed", "Some words")

    with_session(tmp_path, FakeEngine([TextDelta("Some words"), ZeroDivisionError()]), scenario)


def test_a_stream_without_an_end_is_a_failure(tmp_path: Path) -> None:
    async def scenario(session: ChatSession, storage: Storage) -> None:
        assert (await ended(session.send("Hi"))).message.state == "failed"

    with_session(tmp_path, FakeEngine([TextDelta("Some")]), scenario)


def test_a_streaming_answer_is_on_disk_while_it_grows(tmp_path: Path) -> None:
    async def scenario(session: ChatSession, storage: Storage) -> None:
        async with aclosing(session.send("Hi")) as events:
            async for event in events:
                if isinstance(event, AnswerProgress):
                    break
            for _ in range(200):  # the reader is not reading: the disk must not wait for it
                stored = (await session.branch())[-1]
                if stored.text == "One two":
                    break
                await asyncio.sleep(0.01)
            assert (stored.text, stored.state) == ("One two", "streaming")

    script = [TextDelta("One"), 0.05, TextDelta(" two"), 60.0]
    with_session(tmp_path, FakeEngine(script), scenario)


def test_parts_keep_the_order_in_which_they_came(tmp_path: Path) -> None:
    call = ToolCallPart("c1", "read_file", "{}")
    script = [
        ThinkingDelta("Let me "),
        ThinkingDelta("see."),
        TextDelta("I look."),
        ToolCallReady(0, call),
        TextDelta("Done."),
        TurnEnded("stop", Usage()),
    ]

    async def scenario(session: ChatSession, storage: Storage) -> None:
        parts = (await ended(session.send("Hi"))).message.parts
        assert isinstance(parts[0], ThinkingPart)
        assert parts[0].text == "Let me see."
        assert parts[0].duration_s is not None
        assert parts[1:] == (TextPart("I look."), call, TextPart("Done."))

    with_session(tmp_path, FakeEngine(script), scenario)


def test_regenerate_adds_a_sibling_and_asks_the_same_prompt(tmp_path: Path) -> None:
    engine = FakeEngine(FakeEngine.words("First."), FakeEngine.words("Second."))

    async def scenario(session: ChatSession, storage: Storage) -> None:
        first = (await ended(session.send("Hi"))).message
        second = (await ended(session.regenerate(first.id))).message
        assert second.sibling_ids == (first.id, second.id)
        assert engine.requests[0].messages == engine.requests[1].messages
        assert (await session.branch())[-1].text == "Second."
        shown = await session.select_sibling(first.id)
        assert shown[-1].text == "First."

    with_session(tmp_path, engine, scenario)


def test_edit_asks_anew_beside_the_old_question_and_keeps_its_files(tmp_path: Path) -> None:
    engine = FakeEngine()
    file = AttachmentPart("a.py", "text/plain", "x = 1")

    async def scenario(session: ChatSession, storage: Storage) -> None:
        await ended(session.send("Hi", [file]))
        question = (await session.branch())[0]
        await ended(session.edit(question.id, "Ho"))
        branch = await session.branch()
        assert branch[0].parts == (file, TextPart("Ho"))
        assert branch[0].sibling_ids[0] == question.id
        assert len(await storage.messages.all(session.chat_id)) == 4
        with pytest.raises(ValueError, match="own messages"):
            await ended(session.edit(branch[1].id, "No"))

    with_session(tmp_path, engine, scenario)


def test_a_second_answer_at_the_same_time_is_refused(tmp_path: Path) -> None:
    async def scenario(session: ChatSession, storage: Storage) -> None:
        async with aclosing(session.send("Hi")) as events:
            await anext(events)
            with pytest.raises(RuntimeError, match="already"):
                await ended(session.send("Ho"))
        assert len(await storage.messages.all(session.chat_id)) == 2

    with_session(tmp_path, FakeEngine(), scenario)


def test_a_queued_message_leaves_the_queue_with_its_own_question(tmp_path: Path) -> None:
    async def scenario(session: ChatSession, storage: Storage) -> None:
        first = await storage.queue.add(session.chat_id, Message.of("user", "One"))
        await storage.queue.add(session.chat_id, Message.of("user", "Two"))
        await storage.chats.update(session.chat_id, draft="not yet")
        await ended(session.send("One", queued_id=first.id))
        assert [q.message.text for q in await storage.queue.list(session.chat_id)] == ["Two"]
        assert (await storage.chats.get(session.chat_id)).draft == "not yet"

    with_session(tmp_path, FakeEngine(), scenario)


def test_a_full_disk_does_not_stop_the_answer_and_loses_none_of_it(tmp_path: Path) -> None:
    async def scenario(session: ChatSession, storage: Storage) -> None:
        def limit(pages: int | None) -> Callable[[sqlite3.Connection], None]:
            def job(connection: sqlite3.Connection) -> None:
                used = connection.execute("PRAGMA page_count").fetchone()[0]
                connection.execute(f"PRAGMA max_page_count = {pages or used}")

            return job

        kinds: list[type[object]] = []
        async for event in session.send("Hi"):
            kinds.append(type(event))
            if isinstance(event, AnswerStarted):
                await storage.database.run_outside_transaction(limit(None))
            if isinstance(event, AnswerEnded):
                whole = event.message
        assert kinds.count(NotSaved) == 1
        assert kinds[-1] is AnswerEnded
        assert whole.text == "z" * 300_000
        assert (await session.branch())[-1].text != whole.text
        with pytest.raises(StorageFull):  # said before anything is sent; the text stays typed
            await ended(session.send("More"))

        await storage.database.run_outside_transaction(limit(1_000_000))
        await storage.outbox.flush()
        stored = (await session.branch())[-1]
        assert (stored.text, stored.state) == (whole.text, "complete")

    chunks = [step for _ in range(30) for step in (TextDelta("z" * 10_000), 0.01)]
    with_session(tmp_path, FakeEngine([*chunks, TurnEnded("stop", Usage())]), scenario)
