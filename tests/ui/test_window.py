"""What a user sees and does in the window, with an engine that answers from a script."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QMimeData, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QDialog,
    QLabel,
    QLineEdit,
    QPlainTextEdit,
    QTextEdit,
)
from pytestqt.qtbot import QtBot

from app.core.control import ModelInfo
from app.core.engine_view import EngineView
from app.core.errors import BadModelFile, EngineDied, OutOfMemory
from app.core.events import PromptProgress, TextDelta, ThinkingDelta
from app.ui.chat_switcher import ChatSwitcher
from app.ui.details_popover import Popover
from app.ui.file_verbs import export_target
from app.ui.ports import ChatOptions
from app.ui.theme import Theme
from app.ui.transcript.cells import CodeCell, NoticeCell, ProgressCell, ThinkingCell
from app.ui.transcript.finder import editor_of
from app.ui.tune_dialog import TuneDialog
from tests.fakes import FakeEngine, FakeEngineControl
from tests.ui.conftest import Opened, in_qt_loop, until

OpenWindow = Callable[..., Any]
pytestmark = pytest.mark.qt_log_ignore("This plugin (does not )?support", extend=True)


def texts(opened: Opened) -> list[str]:
    return [item.text for item in opened.window.chat_page.transcript.messages()]


def idle(opened: Opened) -> bool:
    return not opened.window.chats.is_answering and len(texts(opened)) >= 2


def type_and_send(opened: Opened, words: str) -> None:
    box = opened.window.chat_page.composer.text
    box.setPlainText(words)
    QTest.keyClick(box, Qt.Key.Key_Return)


@in_qt_loop
async def test_enter_sends_and_the_answer_streams_in(open_window: OpenWindow) -> None:
    async with open_window(FakeEngine(FakeEngine.words("Hello **there** friend.", 0.01))) as opened:
        assert opened.window.chat_page.is_empty
        type_and_send(opened, "Say hello.")
        await until(lambda: opened.window.chats.is_answering)
        assert opened.window.chat_page.composer.current_text == ""
        await until(lambda: idle(opened))
        assert texts(opened) == ["Say hello.", "Hello **there** friend."]
        stored = await opened.storage.chats.list()
        assert [chat.title for chat in stored] == ["Say hello."]


@in_qt_loop
async def test_shift_enter_breaks_the_line(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        box = opened.window.chat_page.composer.text
        box.setPlainText("one")
        box.moveCursor(box.textCursor().MoveOperation.End)
        height = box.height()
        QTest.keyClick(box, Qt.Key.Key_Return, Qt.KeyboardModifier.ShiftModifier)
        QTest.keyClicks(box, "two")
        assert box.toPlainText() == "one\ntwo"
        assert box.height() > height
        assert opened.window.chat_page.is_empty


@in_qt_loop
async def test_escape_stops_and_keeps_what_was_written(open_window: OpenWindow) -> None:
    engine = FakeEngine([TextDelta("Part of it"), 30.0])
    async with open_window(engine) as opened:
        type_and_send(opened, "Long story, please.")
        transcript = opened.window.chat_page.transcript
        await until(lambda: "Part" in str(transcript.all_cells()))
        opened.window.actions_by_name["stop"].trigger()
        await until(lambda: idle(opened))
        assert texts(opened)[1] == "Part of it"
        notices = [c for c in transcript.all_cells() if isinstance(c, NoticeCell)]
        assert [notice.sentence for notice in notices] == ["Stopped."]


@in_qt_loop
async def test_reading_progress_is_told_in_words(open_window: OpenWindow) -> None:
    progress = PromptProgress(7_688, 500, 12_400, 20.0)
    async with open_window(FakeEngine([progress, 30.0])) as opened:
        type_and_send(opened, "Read this.")
        transcript = opened.window.chat_page.transcript
        await until(lambda: ProgressCell(progress) in transcript.all_cells())
        labels = [label.text() for label in transcript.findChildren(QLabel)]
        assert "Reading 12,400 tokens: 62 %, 13 s left (500 reused)" in labels
        opened.window.chats.stop()
        await until(lambda: not opened.window.chats.is_answering)


@in_qt_loop
async def test_thinking_is_folded_and_timed(open_window: OpenWindow) -> None:
    script = [ThinkingDelta("Let me see."), 0.05, *FakeEngine.words("Yes.")]
    async with open_window(FakeEngine(script)) as opened:
        type_and_send(opened, "Is it so?")
        await until(lambda: idle(opened))
        cells = opened.window.chat_page.transcript.all_cells()
        thought = next(cell for cell in cells if isinstance(cell, ThinkingCell))
        assert thought.text == "Let me see."
        assert not thought.is_running


@in_qt_loop
async def test_an_engine_that_dies_leaves_a_notice_and_the_next_question_works(
    open_window: OpenWindow,
) -> None:
    error = EngineDied("The engine stopped while answering.", "It has been started again.")
    engine = FakeEngine([TextDelta("Half"), error], FakeEngine.words("Whole."))
    async with open_window(engine) as opened:
        type_and_send(opened, "First?")
        await until(lambda: idle(opened))
        transcript = opened.window.chat_page.transcript
        notice = next(c for c in transcript.all_cells() if isinstance(c, NoticeCell))
        assert notice.sentence == "The engine stopped while answering."
        assert texts(opened)[1] == "Half"
        type_and_send(opened, "Second?")
        await until(lambda: len(texts(opened)) == 4 and not opened.window.chats.is_answering)
        assert texts(opened)[3] == "Whole."


@in_qt_loop
async def test_answering_again_makes_a_sibling_and_the_switch_goes_back(
    open_window: OpenWindow,
) -> None:
    engine = FakeEngine(FakeEngine.words("One."), FakeEngine.words("Two."))
    async with open_window(engine) as opened:
        type_and_send(opened, "Which?")
        await until(lambda: idle(opened))
        opened.window.actions_by_name["regenerate"].trigger()
        await until(lambda: texts(opened)[1:] == ["Two."] and idle(opened))
        second = opened.window.chat_page.transcript.messages()[1]
        assert (second.index, second.count) == (1, 2)
        opened.window.chats.select_sibling(second.id, -1)
        await until(lambda: texts(opened)[1:] == ["One."])


@in_qt_loop
async def test_editing_a_question_asks_anew_and_keeps_the_old(open_window: OpenWindow) -> None:
    engine = FakeEngine(FakeEngine.words("Red."), FakeEngine.words("Blue."))
    async with open_window(engine) as opened:
        type_and_send(opened, "Colour of fire?")
        await until(lambda: idle(opened))
        opened.window.actions_by_name["edit_last"].trigger()
        composer = opened.window.chat_page.composer
        assert composer.current_text == "Colour of fire?"
        type_and_send(opened, "Colour of water?")
        await until(lambda: texts(opened) == ["Colour of water?", "Blue."] and idle(opened))
        question = opened.window.chat_page.transcript.messages()[0]
        assert (question.index, question.count) == (1, 2)


@in_qt_loop
async def test_a_message_sent_meanwhile_waits_and_is_answered_next(
    open_window: OpenWindow,
) -> None:
    engine = FakeEngine(FakeEngine.words("a b c d e f", 0.05), FakeEngine.words("Next."))
    async with open_window(engine) as opened:
        type_and_send(opened, "First")
        await until(lambda: opened.window.chats.is_answering)
        type_and_send(opened, "Second")
        transcript = opened.window.chat_page.transcript
        await until(lambda: any(item.state == "queued" for item in transcript.messages()))
        await until(lambda: len(texts(opened)) == 4 and idle(opened))
        assert texts(opened) == ["First", "a b c d e f", "Second", "Next."]


@in_qt_loop
async def test_an_answer_goes_on_while_another_chat_is_open(open_window: OpenWindow) -> None:
    engine = FakeEngine(FakeEngine.words("one two three four five six", 0.05))
    async with open_window(engine) as opened:
        type_and_send(opened, "Count.")
        await until(lambda: opened.window.chats.is_answering and len(texts(opened)) == 2)
        first = opened.window.chats.chat_id
        opened.window.new_chat()
        assert opened.window.chat_page.is_empty
        opened.window.chats.open_chat(first)
        await until(lambda: len(texts(opened)) == 2)
        await until(lambda: idle(opened))
        assert texts(opened)[1] == "one two three four five six"


@in_qt_loop
async def test_a_draft_survives_a_new_window(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        type_and_send(opened, "Hello")
        await until(lambda: idle(opened))
        opened.window.chat_page.composer.set_text("not sent yet")
    async with open_window() as again:
        await until(lambda: again.window.chat_page.composer.current_text == "not sent yet")
        await until(lambda: texts(again) == ["Hello", "Hello there."])


@in_qt_loop
async def test_engine_states_are_told_inline_with_a_remedy(open_window: OpenWindow) -> None:
    control = FakeEngineControl(EngineView("idle"))
    async with open_window(control=control) as opened:
        strip = opened.window.chat_page.strip
        assert strip.isVisible()
        assert strip.accessibleName() == "No model is loaded."
        opened.window.set_engine_view(EngineView("loading", loading_id="x", load_fraction=0.5))
        assert "50 %" in strip.accessibleName()
        strip.button.click()
        await until(lambda: control.asked == ["cancel"])
        for error, remedy, asked in (
            (OutOfMemory("Not enough memory.", "Choose a smaller model."), "Try", "smaller"),
            (EngineDied("The engine crashed.", "Start it again."), "Start", "start"),
        ):
            phase = "idle" if isinstance(error, OutOfMemory) else "failed"
            opened.window.set_engine_view(EngineView(phase, error=error))
            assert strip.accessibleName() == str(error)
            assert strip.button.text().startswith(remedy)
            strip.button.click()
            await until(lambda asked=asked: asked in control.asked)
        opened.window.set_engine_view(EngineView("idle", error=BadModelFile("Not a GGUF.")))
        assert strip.button.text() == "Choose another model"
        opened.window.set_engine_view(EngineView("ready", ModelInfo("x", n_ctx=10)))
        assert not strip.isVisible()


@in_qt_loop
async def test_search_shows_snippets_and_opens_at_the_message(open_window: OpenWindow) -> None:
    engine = FakeEngine(FakeEngine.words("The aardvark eats ants."))
    async with open_window(engine) as opened:
        type_and_send(opened, "Tell me about an animal.")
        await until(lambda: idle(opened))
        opened.window.new_chat()
        sidebar = opened.window.sidebar
        sidebar.search.setText("aardvark")
        await until(lambda: sidebar.model.rowCount() == 1 and sidebar.model.row(0).snippet)
        row = sidebar.model.row(0)
        assert "aardvark" in row.snippet
        sidebar.chat_chosen.emit(row.chat_id, row.message_id)
        await until(lambda: len(texts(opened)) == 2)


@in_qt_loop
async def test_trash_can_be_undone(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        type_and_send(opened, "Keep me.")
        await until(lambda: idle(opened))
        opened.window.actions_by_name["trash"].trigger()
        toast = opened.window.toast
        await until(toast.isVisible)
        assert opened.window.chat_page.is_empty
        toast.button.click()
        await until(lambda: len(texts(opened)) == 2)


@in_qt_loop
async def test_presentation_mode_hides_the_chrome_and_comes_back(
    open_window: OpenWindow, theme: Theme
) -> None:
    async with open_window() as opened:
        before = theme.text_font().pointSizeF()
        opened.window.actions_by_name["present"].trigger()
        assert not opened.window.menuBar().isVisible()
        assert not opened.window.sidebar.isVisible()
        assert theme.text_font().pointSizeF() > before * 1.4
        opened.window.actions_by_name["reset_view"].trigger()
        assert opened.window.menuBar().isVisible()
        assert opened.window.sidebar.isVisible()
        assert theme.text_font().pointSizeF() == before


@in_qt_loop
async def test_light_and_dark_switch_a_living_window(open_window: OpenWindow, theme: Theme) -> None:
    engine = FakeEngine(FakeEngine.words("Text and\n\n```python\nx = 1\n```\n"))
    async with open_window(engine) as opened:
        type_and_send(opened, "Hi")
        await until(lambda: idle(opened))
        light = opened.window.grab().toImage().pixelColor(600, 200).lightness()
        theme.set_scheme("dark")
        await asyncio.sleep(0.05)
        dark = opened.window.grab().toImage().pixelColor(600, 200).lightness()
        assert dark < 100 < light
        cells = opened.window.chat_page.transcript.all_cells()
        assert any(isinstance(cell, CodeCell) for cell in cells)


@in_qt_loop
async def test_every_command_has_words_and_no_key_is_given_twice(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        seen: dict[str, str] = {}
        for name, action in opened.window.actions_by_name.items():
            assert action.text(), name
            for keys in action.shortcuts():
                text = keys.toString()
                assert text not in seen, f"{text}: {name} and {seen.get(text)}"
                seen[text] = name


def test_void_qt_calls_do_not_eat_references_to_none(qtbot: QtBot) -> None:
    label = QLabel()
    qtbot.addWidget(label)
    before = sys.getrefcount(None)
    for number in range(2_000):
        label.setEnabled(number % 2 == 0)
        label.setFixedHeight(20 + number % 3)
    assert abs(sys.getrefcount(None) - before) < 200


@in_qt_loop
async def test_a_big_paste_becomes_a_file_and_travels_with_the_message(
    open_window: OpenWindow,
) -> None:
    async with open_window() as opened:
        composer = opened.window.chat_page.composer
        data = QMimeData()
        data.setText("x = 1\n" * 2_000)
        composer.text.insertFromMimeData(data)
        assert composer.current_text == ""
        assert [part.name for part in composer.files.parts] == ["paste-1.txt"]
        type_and_send(opened, "Explain this file.")
        await until(lambda: idle(opened))
        assert "x = 1" in opened.engine.requests[0].messages[-1].text


@in_qt_loop
async def test_files_are_attached_or_refused_with_a_sentence(
    open_window: OpenWindow, tmp_path: Path
) -> None:
    good, bad = tmp_path / "good.py", tmp_path / "bad.bin"
    good.write_text("print(1)\n")
    bad.write_bytes(b"\x00\x01")
    async with open_window() as opened:
        composer = opened.window.chat_page.composer
        composer.add_files([good, bad])
        assert [part.name for part in composer.files.parts] == ["good.py"]
        assert opened.window.toast.words == "“bad.bin” is not a text file."


@in_qt_loop
async def test_up_recalls_what_was_asked(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        type_and_send(opened, "The first question")
        await until(lambda: idle(opened))
        await until(lambda: opened.window.chats.branch)
        box = opened.window.chat_page.composer.text
        QTest.keyClick(box, Qt.Key.Key_Up)
        assert box.toPlainText() == "The first question"
        QTest.keyClick(box, Qt.Key.Key_Down)
        assert box.toPlainText() == ""


@in_qt_loop
async def test_a_saved_prompt_is_completed_after_a_slash(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        await opened.storage.prompts.save("review", "Review this code:", "finds bugs")
        composing = opened.window.composing
        composing.reload_prompts()
        await until(lambda: composing._prompts)
        box = opened.window.chat_page.composer.text
        QTest.keyClicks(box, "/re")
        assert composing.completion.isVisible()
        QTest.keyClick(box, Qt.Key.Key_Return)
        assert box.toPlainText() == "Review this code:"
        assert opened.window.chat_page.is_empty


@in_qt_loop
async def test_instructions_and_sampling_reach_the_engine(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        opened.window.chats.set_tuning("Answer in rhyme.", {"temperature": 0.2})
        type_and_send(opened, "Hi")
        await until(lambda: idle(opened))
        request = opened.engine.requests[0]
        assert request.messages[0].text == "Answer in rhyme."
        assert request.sampling["temperature"] == 0.2
        seed = request.sampling["seed"]  # chosen, so that it can be told and used again
        await until(lambda: opened.window.chats.branch)
        assert opened.window.chats.branch[-1].details.seed == seed
        opened.window.composing.tune()
        dialog = opened.window.findChild(TuneDialog)
        assert dialog.instructions.toPlainText() == "Answer in rhyme."
        assert dialog.values() == {"temperature": 0.2}
        dialog.reject()


@in_qt_loop
async def test_tokens_to_send_are_counted_while_typing(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        opened.window.chat_page.composer.set_text("some words to count")
        tokens = opened.window.chat_page.composer.tokens
        await until(lambda: tokens.text().startswith("sends "))


@in_qt_loop
async def test_the_switcher_lists_chats_and_goes_there(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        type_and_send(opened, "Where is it?")
        await until(lambda: idle(opened))
        opened.window.new_chat()
        opened.window.actions_by_name["switch_chat"].trigger()
        switcher = opened.window.findChild(ChatSwitcher)
        await until(lambda: switcher.model.rowCount() == 1)
        QTest.keyClick(switcher.field, Qt.Key.Key_Return)
        await until(lambda: len(texts(opened)) == 2)


@in_qt_loop
async def test_dialogs_open_without_blocking(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        for name in ("keys", "about", "prompts", "tune"):
            opened.window.actions_by_name[name].trigger()
            await asyncio.sleep(0.02)
            for dialog in opened.window.findChildren(QDialog):
                dialog.reject()
        opened.window.composing.show_context()
        await asyncio.sleep(0.02)
        for popover in opened.window.findChildren(Popover):
            popover.close()


@in_qt_loop
async def test_icon_buttons_have_spoken_names(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        type_and_send(opened, "Hi")
        await until(lambda: idle(opened))
        for button in opened.window.findChildren(QAbstractButton):
            if isinstance(button.parent(), QLineEdit):
                continue  # Qt's own: the field is named, its clear button is not focusable
            if not button.text() and button.isVisible():
                assert button.accessibleName() or button.toolTip(), button.objectName()


@in_qt_loop
async def test_a_full_context_asks_what_to_do_and_cuts_nothing(open_window: OpenWindow) -> None:
    engine = FakeEngine(FakeEngine.words("word " * 80), context=500)
    async with open_window(engine) as opened:
        type_and_send(opened, "First " + "words " * 40)
        await until(lambda: idle(opened))
        await until(lambda: opened.window.chats.branch)
        type_and_send(opened, "Second " + "words " * 120)
        room = opened.window.chat_page.room
        await until(room.isVisible)
        assert len(texts(opened)) == 2
        assert opened.window.chat_page.composer.current_text.startswith("Second")
        room.buttons["drop_oldest"].click()
        await until(lambda: len(texts(opened)) >= 4 and idle(opened))
        assert "Second" in engine.requests[-1].messages[-1].text


@in_qt_loop
async def test_chat_settings_take_effect_at_once(open_window: OpenWindow, theme: Theme) -> None:
    script = [ThinkingDelta("Let me see."), *FakeEngine.words("Yes.")]
    async with open_window(FakeEngine(script)) as opened:
        type_and_send(opened, "Is it so?")
        await until(lambda: idle(opened))
        transcript = opened.window.chat_page.transcript
        assert not any("Let me see." in e.toPlainText() for e in editors(opened))
        opened.window.set_options(ChatOptions(enter_sends=False, show_thinking=True))
        assert any("Let me see." in e.toPlainText() for e in editors(opened))
        assert transcript.live_count > 0
        box = opened.window.chat_page.composer.text
        box.setPlainText("one")
        QTest.keyClick(box, Qt.Key.Key_Return)
        assert "\n" in box.toPlainText()
        QTest.keyClick(box, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
        await until(lambda: len(texts(opened)) == 4 and idle(opened))


def editors(opened: Opened) -> list[QTextEdit | QPlainTextEdit]:
    views = [view for _owner, view in opened.window.chat_page.transcript.views()]
    return [editor for view in views if (editor := editor_of(view)) is not None]


@in_qt_loop
async def test_the_window_is_titled_after_its_chat(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        type_and_send(opened, "What is a monad?")
        await until(lambda: idle(opened))
        await until(lambda: opened.window.windowTitle() == "What is a monad?")


@in_qt_loop
async def test_other_pages_come_to_the_front_and_settings_stay_last(
    open_window: OpenWindow,
) -> None:
    async with open_window() as opened:
        page = QLabel("page")
        opened.window.add_page("settings", "Settings", "settings", page)
        opened.window.add_page("models", "Models", "model", QLabel("models"), "Ctrl+2")
        opened.window.sidebar.page_chosen.emit("settings")
        assert opened.window.page == "settings"
        names = [
            opened.window.sidebar._pages.itemAt(at).widget().text()
            for at in range(opened.window.sidebar._pages.count())
        ]
        assert names == ["Models", "Settings"]
        opened.window.new_chat()
        assert opened.window.page == "chat"


@in_qt_loop
async def test_chats_go_to_a_file_and_come_back(open_window: OpenWindow, tmp_path: Path) -> None:
    target, form = export_target(tmp_path / "all", "Garret, with every branch (*.json)")
    assert (target.name, form) == ("all.json", "json")
    async with open_window() as opened:
        type_and_send(opened, "Remember the milk.")
        await until(lambda: idle(opened))
        files = opened.window.verbs._files
        await files._export(tmp_path / "one.md", "Markdown (*.md)", opened.window.chats.chat_id)
        assert "Remember the milk." in (tmp_path / "one.md").read_text(encoding="utf-8")
        await files._export(tmp_path / "all", "Garret, with every branch (*.json)", None)
        await files.take_in(target)
        assert opened.window.toast.words == "0 chats added. 1 were here already."


@in_qt_loop
async def test_archived_and_trashed_chats_can_be_found_again(open_window: OpenWindow) -> None:
    async with open_window() as opened:
        type_and_send(opened, "Old matter")
        await until(lambda: idle(opened))
        sidebar, chat_id = opened.window.sidebar, opened.window.chats.chat_id
        sidebar.verb_chosen.emit("archive", chat_id)
        await until(lambda: sidebar.model.rowCount() == 0)
        opened.window.actions_by_name["archived"].trigger()
        await until(lambda: sidebar.model.rowCount() == 2)
        assert sidebar.model.row(1).chat_id == chat_id
        sidebar.verb_chosen.emit("unarchive", chat_id)
        await until(lambda: sidebar.model.rowCount() == 1)
        opened.window.actions_by_name["archived"].trigger()
        await until(lambda: sidebar.model.index_of(chat_id).isValid())
        assert sidebar.place == "active"
