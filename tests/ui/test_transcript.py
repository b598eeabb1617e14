"""The transcript as a reader meets it: streamed equals read at once, and places are kept."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PySide6.QtCore import QCoreApplication, QEvent, QPoint, QPointF, Qt
from PySide6.QtGui import QMouseEvent
from PySide6.QtTest import QTest
from pytestqt.qtbot import QtBot

from app.core.messages import TextPart, ThinkingPart
from app.ui.theme import Theme
from app.ui.transcript.cells import CODE_LINES, CodeCell, ProseCell, SectionCell, markdown_cells
from app.ui.transcript.code_view import CodeView
from app.ui.transcript.finder import editor_of
from app.ui.transcript.formulas import Formulas
from app.ui.transcript.look import make_look
from app.ui.transcript.messages import MessageItem
from app.ui.transcript.prose_view import ProseView
from app.ui.transcript.thinking_view import ThinkingView
from app.ui.transcript.transcript import Transcript
from tests.ui.test_blocks import CORPUS

LONG = "\n\n".join(f"Paragraph {n} with some words in it to fill a line or two." for n in range(60))


def answer(text: str, number: int = 2) -> MessageItem:
    return MessageItem(number, "assistant", (TextPart(text),), author="Model")


def shown(transcript: Transcript) -> list[str]:
    """The HTML of every document on screen, in order: text, structure and formats."""
    found = []
    for _owner, view in transcript.views():
        editor = editor_of(view)
        if editor is not None:
            found.append(editor.document().toHtml())
    return found


def turn() -> None:
    QCoreApplication.processEvents()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)


def stream(transcript: Transcript, text: str, cuts: list[int]) -> None:
    item = answer("")
    transcript.begin_answer(item)
    edges = [0, *cuts, len(text)]
    for start, end in pairwise(edges):
        transcript.append_text(item.id, text[start:end])
        transcript.flush()
    transcript.end_answer(answer(text))


@given(st.data())
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_streamed_documents_equal_those_rendered_at_once(
    transcript: Transcript, data: st.DataObject
) -> None:
    parts = data.draw(st.lists(st.sampled_from(CORPUS), min_size=1, max_size=3))
    text = "\n\n".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=14)))
    transcript.resize(800, 6_000)
    transcript.set_messages([])
    stream(transcript, text, cuts)
    streamed = shown(transcript)
    transcript.set_messages([answer(text)])
    assert streamed == shown(transcript)


def test_link_definitions_that_come_last_are_resolved(transcript: Transcript) -> None:
    text = "See [the docs][d] for more.\n\nMore text.\n\n[d]: https://example.org/docs\n"
    stream(transcript, text, list(range(0, len(text), 7)))
    assert any("https://example.org/docs" in html for html in shown(transcript))


def test_the_end_stays_in_view_while_an_answer_grows(transcript: Transcript) -> None:
    transcript.set_messages([answer(LONG, 1)])
    item = answer("", 2)
    transcript.begin_answer(item)
    bar = transcript.verticalScrollBar()
    for number in range(30):
        transcript.append_text(2, f"Line {number}.\n\n")
        transcript.flush()
        assert bar.value() == bar.maximum()
    transcript.end_answer(answer("done", 2))


def test_a_reader_who_scrolled_up_is_left_alone(transcript: Transcript) -> None:
    transcript.set_messages([answer(LONG, 1)])
    turn()
    transcript.begin_answer(answer("", 2))
    bar = transcript.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    turn()
    before = [(view.y(), editor_of(view).toPlainText()) for _o, view in transcript.views()
              if editor_of(view) is not None and view.isVisible()]  # fmt: skip
    for number in range(20):
        transcript.append_text(2, f"Line {number}.\n\n")
        transcript.flush()
    after = [(view.y(), editor_of(view).toPlainText()) for _o, view in transcript.views()
             if editor_of(view) is not None and view.isVisible()]  # fmt: skip
    assert before[0] in after
    assert not transcript.is_following
    assert transcript.to_end_button.isVisible()
    transcript.to_end_button.click()
    assert bar.value() == bar.maximum()
    transcript.end_answer(answer("done", 2))


def test_few_views_live_however_long_the_chat(transcript: Transcript) -> None:
    transcript.set_messages([answer(LONG, number) for number in range(400)])
    bar = transcript.verticalScrollBar()
    for step in range(20):
        bar.setValue(bar.maximum() * step // 20)
        turn()
        assert 0 < transcript.live_count <= 60


def test_the_place_is_kept_when_the_window_grows(transcript: Transcript) -> None:
    transcript.set_messages([answer(LONG, number) for number in range(30)])
    bar = transcript.verticalScrollBar()
    bar.setValue(bar.maximum() // 2)
    turn()
    top = next(
        editor_of(view).toPlainText()[:40]
        for _owner, view in transcript.views()
        if editor_of(view) is not None and view.geometry().bottom() > 0
    )
    transcript.resize(500, 600)
    turn()
    again = next(
        editor_of(view).toPlainText()[:40]
        for _owner, view in transcript.views()
        if editor_of(view) is not None and view.geometry().bottom() > 0
    )
    assert again == top


def test_code_is_copied_whole_though_it_is_drawn_in_parts(
    transcript: Transcript, qtbot: QtBot
) -> None:
    code = "\n".join(f"line {n}" for n in range(CODE_LINES * 2 + 10))
    transcript.set_messages([answer(f"```python\n{code}\n```")])
    turn()
    heads = [cell for cell in transcript.cells_of(2) if isinstance(cell, CodeCell)]
    assert len(heads) == 3
    assert transcript.whole_code(2, heads[0]) == code


def test_finding_marks_and_walks_through_every_hit(transcript: Transcript) -> None:
    transcript.set_messages([answer(f"needle {n}\n\n{LONG}", n) for n in range(12)])
    transcript.find_words("Needle")
    assert transcript.find_place() == (12, 12)
    transcript.find_step(1)
    assert transcript.find_place() == (1, 12)
    marked = [
        editor
        for _owner, view in transcript.views()
        if (editor := editor_of(view)) is not None and editor.extraSelections()
    ]
    assert marked
    transcript.find_words("")
    assert transcript.find_place() == (0, 0)


def test_finding_parses_only_where_it_goes(transcript: Transcript) -> None:
    text = "".join(f"Paragraph {n} with a needle{n}.\n\n" for n in range(4_000))
    transcript.set_messages([answer(text)])
    before = sum(isinstance(cell, SectionCell) for cell in transcript.all_cells())
    transcript.find_words("needle1234")
    assert transcript.find_place() == (1, 1)
    after = sum(isinstance(cell, SectionCell) for cell in transcript.all_cells())
    assert before - 4 <= after
    (view,) = [
        editor
        for _owner, view in transcript.views()
        if (editor := editor_of(view)) is not None and editor.extraSelections()
    ]
    assert view.extraSelections()[0].cursor.selectedText() == "needle1234"


def test_a_code_block_has_a_scroll_bar_only_with_room_for_it(transcript: Transcript) -> None:
    transcript.set_messages([answer("```py\n" + "x" * 70 + "\ny\n```")])
    for width in (800, 700, 640, 600, 560, 500, 420):
        transcript.resize(width, 600)
        turn()
        (view,) = [v for _owner, v in transcript.views() if isinstance(v, CodeView)]
        bar = view.text.horizontalScrollBar()
        bar_height = bar.height() if bar.isVisible() else 0
        lines = 2 * view.text.fontMetrics().lineSpacing()
        assert view.text.height() >= lines + bar_height


def test_long_reasoning_is_written_on_and_only_its_end_kept(
    transcript: Transcript, qtbot: QtBot
) -> None:
    transcript.set_options(show_thinking=True, show_speed=True)
    transcript.begin_answer(answer(""))
    for n in range(40):
        transcript.append_thinking(2, f"Step {n}. " + "word " * 200 + "\n")
        transcript.flush()
    (view,) = [v for _owner, v in transcript.views() if isinstance(v, ThinkingView)]
    assert view.browser is not None
    shown = view.browser.toPlainText()
    assert shown.startswith("… ")
    assert "Step 39." in shown
    assert len(shown) < 26_000
    assert view.browser.document().blockCount() > 10  # a block for each line: little is laid out


def test_thinking_keeps_the_stored_duration(transcript: Transcript) -> None:
    transcript.begin_answer(answer(""))
    transcript.append_thinking(2, "hm")
    transcript.append_text(2, "yes")
    parts = (ThinkingPart("hm", 3.25), TextPart("yes"))
    transcript.end_answer(MessageItem(2, "assistant", parts))
    assert "duration_s=3.25" in repr(transcript.cells_of(2)[0])


def test_a_growing_list_rewrites_only_its_own_cell(theme: Theme, qtbot: QtBot) -> None:
    view = ProseView(make_look(theme))
    qtbot.addWidget(view)
    first = markdown_cells("One.\n\nTwo **b**\n\n- a\n- b")[0]
    second = markdown_cells("One.\n\nTwo **b**\n\n- a\n- b\n- c\n\nEnd.")[0]
    assert isinstance(first, ProseCell)
    view.set_value(first)
    view.set_value(second)
    fresh = ProseView(make_look(theme))
    qtbot.addWidget(fresh)
    fresh.set_value(second)
    assert view.browser.document().toHtml() == fresh.browser.document().toHtml()


@pytest.mark.filterwarnings("ignore:path is deprecated")
def test_formulas_are_drawn_and_bad_ones_stay_text(theme: Theme, qtbot: QtBot) -> None:
    formulas = Formulas()
    transcript = Transcript(theme, None, formulas)
    transcript.resize(700, 500)
    qtbot.addWidget(transcript)
    transcript.show()
    with qtbot.waitSignal(formulas.drawn, timeout=15_000):
        transcript.set_messages([answer("Good: $x^2$, bad: $\\frac{$ end")])
    html = shown(transcript)[0]
    assert "garret-formula:" in html
    assert "frac{" in html
    formulas.close()
    turn()


def test_presentation_and_zoom_keep_the_transcript_whole(
    transcript: Transcript, theme: Theme
) -> None:
    transcript.set_messages([answer(LONG)])
    theme.zoom_by(2)
    turn()
    assert transcript.live_count > 0
    theme.reset_zoom()


@pytest.mark.parametrize("name", ["send", "stop", "copy", "new-chat", "garret"])
def test_icons_are_there(name: str) -> None:
    folder = Path(__file__).parents[2] / "resources" / "icons"
    assert "<svg" in (folder / f"{name}.svg").read_text(encoding="utf-8")


def test_marking_runs_across_paragraphs_and_code(transcript: Transcript) -> None:
    transcript.set_messages([answer("First words.\n\n```py\nx = 1\n```\n\nLast words here.")])
    turn()
    editors = [e for _owner, view in transcript.views() if (e := editor_of(view)) is not None]
    first, last = editors[0].viewport(), editors[-1].viewport()
    QTest.mousePress(first, Qt.MouseButton.LeftButton, pos=QPoint(1, 8))
    move = QMouseEvent(
        QEvent.Type.MouseMove,
        QPointF(first.mapFromGlobal(last.mapToGlobal(QPoint(600, 12)))),
        QPointF(last.mapToGlobal(QPoint(600, 12))),
        Qt.MouseButton.NoButton,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    QCoreApplication.sendEvent(first, move)
    assert transcript.selected_text() == "First words.\nx = 1\nLast words here."
    QTest.mousePress(first, Qt.MouseButton.LeftButton, pos=QPoint(1, 8))
    assert "Last" not in transcript.selected_text()


def test_line_numbers_and_wrapping_hold_for_every_part_of_a_block(transcript: Transcript) -> None:
    code = "\n".join(f"value_{number} = {'x' * 150}" for number in range(150))
    text = f"```python\n{code}\n```"
    transcript.set_messages([MessageItem(1, "assistant", (TextPart(text),))])
    transcript.verticalScrollBar().setValue(0)
    first = next(v for _owner, v in transcript.views() if isinstance(v, CodeView))
    height, left = first.height(), first.text.x()
    first._numbers.click()
    assert first.text.x() > left
    first._wrap.click()
    assert first.height() > height
    transcript.scroll_to_end()
    last = [v for _owner, v in transcript.views() if isinstance(v, CodeView)][-1]
    assert last is not first
    assert last.text.x() == first.text.x() > left
    assert last.text.lineWrapMode() == last.text.LineWrapMode.WidgetWidth
