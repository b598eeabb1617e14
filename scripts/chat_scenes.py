"""More states of the chat page for the picture gallery: room, costs, folders, files, details."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from PySide6.QtCore import QPoint
from PySide6.QtWidgets import QApplication, QWidget

from app.core.events import TextDelta, Timings, TurnEnded, Usage
from app.core.messages import Message
from app.storage.values import StoredMessage
from app.ui.sidebar_filter import ChatFilter
from app.ui.transcript.cells import NoticeCell
from app.ui.transcript.code_view import CodeView
from app.ui.transcript.room_view import RoomView
from scripts.scene_texts import ANSWER, LONG_CODE, QUESTION

if TYPE_CHECKING:
    from scripts.scenes import Stage


async def pause(seconds: float) -> None:
    """Lets the window work."""
    await asyncio.sleep(seconds)


async def chat(stage: Stage) -> None:
    """A finished answer."""
    await answer(stage, QUESTION, ANSWER)


async def answer(stage: Stage, question: str, text: str) -> None:
    """One question, answered with figures."""
    timings = Timings(1_622, 218, 410.0, 412, 412 * 1_000 / 38.4)
    ended = TurnEnded("stop", Usage(1_840, 412, 1_622), timings)
    await stage.ask(question, TextDelta(text), ended)


async def talk(stage: Stage, title: str, *texts: str) -> list[StoredMessage]:
    """A stored chat, oldest message first."""
    chat = await stage.storage.chats.create(title=title)
    parent = None
    for number, text in enumerate(texts):
        message = Message.of("assistant" if number % 2 else "user", text)
        parent = (await stage.storage.messages.add(chat.id, parent, message)).id
    return await stage.storage.messages.branch(chat.id)


async def summarised(stage: Stage) -> None:
    """Where the model reads from, with the summary it reads instead."""
    branch = await talk(
        stage,
        "A long talk",
        "What is a heap?",
        "A tree in a list.",
        "And a trie?",
        "A tree of letters.",
    )
    summary = "We spoke about heaps (a tree kept in a list) and why they make good queues."
    await stage.storage.messages.start_context(branch[2].id, summary)
    stage.window.chats.open_chat(branch[0].chat_id)
    await pause(0.4)
    view = stage.window.chat_page.transcript.findChild(RoomView)
    if isinstance(view, RoomView):
        view.button.click()
    await pause(0.2)


async def making_room(stage: Stage) -> None:
    """A summary is being written."""
    stage.window.chat_page.show_transcript()
    await answer(stage, QUESTION, ANSWER[:400])
    stage.window.chats._drawing._show_making_room(64)
    await pause(0.2)


async def context_full(stage: Stage) -> None:
    """The choice when there is no room."""
    await chat(stage)
    sentence = "This message needs 9,140 tokens; 1,024 are left in a context of 8,192."
    stage.window.chat_page.room.ask(sentence)
    stage.window.chat_page.composer.set_text("And what about this file?")
    await pause(0.2)


async def cost(stage: Stage) -> None:
    """What an action will cost."""
    await chat(stage)
    words = "The model will have to read 12,400 tokens again, about 31 s."
    stage.window.chat_page.cost.ask(words)
    await pause(0.2)


async def code_modes(stage: Stage) -> None:
    """Line numbers and wrapped lines."""
    await answer(stage, "And how do I measure it?", LONG_CODE)
    for view in stage.window.chat_page.transcript.findChildren(CodeView):
        view._numbers.click()
        view._wrap.click()
    await pause(0.3)


async def folders(stage: Stage) -> QWidget | None:
    """Folders and tags."""
    for title in ("Bread", "Taxes 2026", "A parser in Rust", "Holiday plans"):
        await talk(stage, title, title)
    work = await stage.storage.labels.create_folder("Work")
    await stage.storage.labels.create_folder("Home")
    chats = await stage.storage.chats.list()
    await stage.storage.chats.update(chats[0].id, folder_id=work.id, pinned=True)
    await stage.storage.labels.set_tags(chats[1].id, ["rust", "later"])
    stage.window.sidebar_control.refresh()
    await pause(0.4)
    menu = stage.window.sidebar.filter.build_menu()
    menu.popup(stage.window.sidebar.filter.mapToGlobal(QPoint(0, 24)))
    await pause(0.2)
    return menu


async def in_folder(stage: Stage) -> None:
    """One folder in the sidebar."""
    (await folders(stage) or stage.window).close()
    found = await stage.storage.labels.folders()
    work = next(folder for folder in found if folder.name == "Work")
    stage.window.sidebar.filter.filter_chosen.emit(ChatFilter(folder_id=work.id))
    await pause(0.4)


async def completion(stage: Stage) -> None:
    """Files after an @."""
    folder = stage.home / "project"
    for name in ("main.py", "maintenance.md", "src/domain.py", "README.md"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x = 1\n")
    stage.window.composing.files._folder = lambda: str(folder)
    stage.window.chat_page.composer.set_text("Explain @mai")
    await pause(0.6)
    stage.window.composing.completion._on_text()
    await pause(0.2)


async def details(stage: Stage) -> QWidget | None:
    """How an answer came about."""
    await answer(stage, QUESTION, ANSWER)
    before = set(QApplication.topLevelWidgets())
    item = stage.window.chat_page.transcript.messages()[-1]
    stage.window.verbs.show_details(item)
    await pause(0.2)
    return next(iter(set(QApplication.topLevelWidgets()) - before), None)


async def not_saved(stage: Stage) -> None:
    """The disk is full while an answer streams."""
    stage.hold(QUESTION, TextDelta(ANSWER[:300]))
    await pause(0.4)
    transcript = stage.window.chat_page.transcript
    note = NoticeCell(
        "warning",
        "The disk is full, so the latest changes are not saved yet.",
        "Free some space; Garret saves them as soon as there is room.",
    )
    transcript.set_note_under(transcript.messages()[-1].id, note)
    await pause(0.3)


async def trash(stage: Stage) -> None:
    """A chat is in the trash; it can be taken back."""
    await chat(stage)
    stage.window.actions_by_name["trash"].trigger()
    await pause(0.4)


CHAT_SCENES: dict[str, Callable[[Stage], Awaitable[QWidget | None]]] = {
    scene.__name__: scene
    for scene in (
        summarised, making_room, context_full, cost, code_modes, folders, in_folder, completion,
        details, not_saved, trash,
    )
}  # fmt: skip
