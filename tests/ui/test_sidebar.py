"""Folders, tags and long lists in the sidebar; what an action costs; where the model reads from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from PySide6.QtWidgets import QInputDialog

from app.core.events import TextDelta, Timings, TurnEnded, Usage
from app.core.messages import Message
from app.session.context import RereadCost
from app.ui.chat_items import reread_words
from app.ui.label_controller import tags_of
from app.ui.reuse_guard import is_dear
from app.ui.sidebar_filter import ChatFilter
from app.ui.transcript.cells import RoomCell
from app.ui.transcript.room_view import RoomView
from tests.fakes import FakeEngine
from tests.ui.conftest import Opened, in_qt_loop, until

OpenWindow = Callable[..., Any]
pytestmark = pytest.mark.qt_log_ignore("This plugin (does not )?support", extend=True)


async def a_chat(opened: Opened, title: str, *words: str) -> int:
    chat = await opened.storage.chats.create(title=title)
    parent = None
    for number, text in enumerate(words):
        role = "assistant" if number % 2 else "user"
        parent = (await opened.storage.messages.add(chat.id, parent, Message.of(role, text))).id
    return chat.id


def listed(opened: Opened) -> list[str]:
    model = opened.window.sidebar.model
    rows = [model.row(at) for at in range(model.rowCount())]
    return [row.title for row in rows if row.chat_id is not None]


@in_qt_loop
async def test_a_chat_moves_into_a_folder_and_the_folder_is_listed(
    open_window: OpenWindow,
) -> None:
    async with open_window() as opened:
        kept = await a_chat(opened, "Recipes", "Bread?")
        await a_chat(opened, "Taxes", "How much?")
        sidebar = opened.window.sidebar
        sidebar.new_folder_wanted.emit(kept)
        dialog = opened.window.findChild(QInputDialog)
        dialog.setTextValue("Kitchen & garden")
        dialog.accept()
        await until(lambda: sidebar.filter.folders)
        folder = sidebar.filter.folders[0]
        words = [action.text() for action in sidebar.filter.build_menu().actions()]
        assert "Kitchen && garden\t1" in words
        sidebar.filter.filter_chosen.emit(ChatFilter(folder_id=folder.id))
        await until(lambda: listed(opened) == ["Recipes"])
        assert sidebar.filter.words == "Kitchen & garden"
        sidebar.move_wanted.emit(kept, None)
        await until(lambda: listed(opened) == [])
        sidebar.filter.verb_chosen.emit("delete_folder")
        await until(lambda: sorted(listed(opened)) == ["Recipes", "Taxes"])


@in_qt_loop
async def test_tags_are_typed_with_commas_and_narrow_the_list(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        chat_id = await a_chat(opened, "Taxes", "How much?")
        await a_chat(opened, "Recipes", "Bread?")
        sidebar = opened.window.sidebar
        sidebar.tags_wanted.emit(chat_id)
        await until(lambda: opened.window.findChild(QInputDialog))
        dialog = opened.window.findChild(QInputDialog)
        dialog.setTextValue("#money, 2026 ,")
        dialog.accept()
        await until(lambda: dict(sidebar.filter.tags) == {"money": 1, "2026": 1})
        sidebar.filter.filter_chosen.emit(ChatFilter(tag="money"))
        await until(lambda: listed(opened) == ["Taxes"])


def test_tags_of_what_people_type() -> None:
    assert tags_of(" #a, b  c ,, # ") == ["a", "b  c"]


@in_qt_loop
async def test_a_long_list_is_read_page_by_page(open_window: OpenWindow) -> None:
    async with open_window() as opened:

        def fill(connection: Any) -> None:
            connection.executemany(
                "INSERT INTO chats (uid, title, created_at, updated_at) VALUES (?, ?, ?, ?)",
                [(f"u{number}", f"Chat {number}", 1.0, float(number)) for number in range(450)],
            )

        await opened.storage.database.write(fill)
        opened.window.sidebar_control.refresh()
        await until(lambda: len(listed(opened)) == 200)
        bar = opened.window.sidebar.list.verticalScrollBar()
        for count in (400, 450):
            await until(
                lambda count=count: bar.setValue(bar.maximum()) or len(listed(opened)) == count
            )
        assert listed(opened)[-1] == "Chat 0"


def test_seconds_decide_what_is_dear_and_tokens_where_no_speed_is_known() -> None:
    assert is_dear(RereadCost(900, 6.0))
    assert not is_dear(RereadCost(9_000, 2.0))
    assert is_dear(RereadCost(9_000, None))
    assert not is_dear(RereadCost(900, None))


def test_a_model_that_cannot_forget_is_said_to_reread_more_at_worst() -> None:
    assert reread_words(RereadCost(800, 2.0, 800)).endswith("800 tokens again, about 2 s.")
    words = reread_words(RereadCost(800, 2.0, 8_000))
    assert "800 tokens again, about 2 s; at worst 8,000 (20 s)" in words


@in_qt_loop
async def test_an_edit_before_a_summary_tells_its_cost_first(open_window: OpenWindow) -> None:
    slow = Timings(prompt_n=10, prompt_ms=1_000.0, predicted_n=1, predicted_ms=1.0)
    said = [TextDelta("Yes."), TurnEnded("stop", Usage(10, 1, 0), slow)]
    async with open_window(FakeEngine(said, said, said)) as opened:
        chat_id = await a_chat(opened, "Long", "first " * 200, "a", "second " * 200, "b", "third")
        branch = await opened.storage.messages.branch(chat_id)
        await opened.storage.messages.start_context(branch[4].id, "They talked.")
        opened.window.chats.open_chat(chat_id)
        page = opened.window.chat_page
        await until(lambda: len(page.transcript.messages()) == 5)
        assert RoomCell(4, "They talked.") in page.transcript.all_cells()
        opened.window.chats.send("More?")
        await until(lambda: len(opened.window.chats.branch) == 7)
        page.composer.begin_edit(branch[2].id, "second, but other")
        page.composer.text.submitted.emit()
        await until(page.cost.isVisible)
        assert page.cost.words.startswith("The model will have to read")
        assert len(page.transcript.messages()) == 7
        page.cost.buttons[""].click()
        assert page.composer.current_text == "second, but other"
        page.composer.text.submitted.emit()
        await until(page.cost.isVisible)
        page.cost.buttons["go"].click()
        await until(lambda: not opened.window.chats.is_answering)
        await until(lambda: len(opened.window.chats.branch) == 4)
        assert "first first" in opened.engine.requests[-1].messages[0].text


@in_qt_loop
async def test_the_divider_opens_to_show_the_summary(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        chat_id = await a_chat(opened, "Short", "one", "two", "three")
        branch = await opened.storage.messages.branch(chat_id)
        await opened.storage.messages.start_context(branch[2].id, "One and two.")
        opened.window.chats.open_chat(chat_id)
        transcript = opened.window.chat_page.transcript
        await until(lambda: transcript.findChild(RoomView))
        view = transcript.findChild(RoomView)
        height = view.height()
        view.button.click()
        assert view.browser.toPlainText() == "One and two."
        assert view.height() > height
