"""The disk is full while an answer is written: said clearly, and nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox

from app.core.events import TextDelta, TurnEnded, Usage
from app.core.messages import AttachmentPart
from app.ui.transcript.cells import NoticeCell
from tests.fakes import FakeEngine
from tests.small_disk import fill, small_disk
from tests.ui.conftest import Opened, in_qt_loop, until

__all__ = ["small_disk"]
OpenWindow = Callable[..., Any]
pytestmark = pytest.mark.qt_log_ignore("This plugin (does not )?support", extend=True)
LONG = "z" * 300_000
FULL = "The disk is full, so the latest changes are not saved yet."


def send(opened: Opened, words: str) -> None:
    opened.window.chat_page.composer.set_text(words)
    QTest.keyClick(opened.window.chat_page.composer.text, Qt.Key.Key_Return)


def notices(opened: Opened) -> list[str]:
    cells = opened.window.chat_page.transcript.all_cells()
    return [cell.sentence for cell in cells if isinstance(cell, NoticeCell)]


def texts(opened: Opened) -> list[str]:
    return [item.text for item in opened.window.chat_page.transcript.messages()]


@in_qt_loop
async def test_an_answer_without_room_is_kept_and_stored_when_there_is_some(
    open_window: OpenWindow, small_disk: Path
) -> None:
    ended = TurnEnded("stop", Usage(10, 2, 4))
    engine = FakeEngine([TextDelta("Once "), 0.8, TextDelta(LONG), 1.0, ended])
    async with open_window(engine, None, small_disk) as opened:
        send(opened, "A long story, please.")
        await until(lambda: "Once" in str(opened.window.chat_page.transcript.all_cells()))
        ballast = await asyncio.to_thread(fill, small_disk)
        await until(lambda: notices(opened) == [FULL])
        await until(lambda: not opened.window.chats.is_answering)
        assert notices(opened) == [FULL]  # said on, though the answer is complete

        opened.window.close()
        (question,) = opened.window.findChildren(QMessageBox)
        assert "not saved yet" in question.text()
        question.button(QMessageBox.StandardButton.Cancel).click()
        assert opened.window.isVisible()

        chat_id = opened.window.chats.chat_id
        opened.window.chats.new_chat()
        opened.window.chats.open_chat(chat_id)
        await until(lambda: len(texts(opened)) == 2)
        assert texts(opened)[1] == f"Once {LONG}"  # not what the disk has
        assert notices(opened) == [FULL]

        await asyncio.to_thread(ballast.unlink)
        await until(lambda: notices(opened) == [])
        stored = (await opened.storage.messages.branch(chat_id))[-1]
        assert stored.message.text == f"Once {LONG}"
        assert stored.state == "complete"


@in_qt_loop
async def test_a_question_without_room_stays_in_the_composer(
    open_window: OpenWindow, small_disk: Path
) -> None:
    async with open_window(FakeEngine(), None, small_disk) as opened:
        composer = opened.window.chat_page.composer
        send(opened, "First.")
        await until(lambda: len(texts(opened)) == 2 and not opened.window.chats.is_answering)
        ballast = await asyncio.to_thread(fill, small_disk)
        composer.files.add(AttachmentPart("notes.txt", "text/plain", "x" * 9_000))
        send(opened, "Second.")
        await until(lambda: composer.current_text == "Second.")
        assert [part.name for part in composer.files.parts] == ["notes.txt"]
        assert "disk is full" in opened.window.toast.words
        assert len(texts(opened)) == 2

        await asyncio.to_thread(ballast.unlink)
        QTest.keyClick(composer.text, Qt.Key.Key_Return)
        await until(lambda: len(texts(opened)) == 4 and not opened.window.chats.is_answering)
        assert composer.current_text == ""
