"""Monstrous texts are cut without looking at every line, and nothing of them is lost."""

from __future__ import annotations

from app.core.messages import TextPart
from app.ui.transcript.blocks import parse_blocks
from app.ui.transcript.cells import (
    Cell,
    CodeCell,
    NoticeCell,
    ProseCell,
    SectionCell,
    section_cells,
    whole_code,
)
from app.ui.transcript.chapters import MOST_FENCES, chapters, is_monstrous
from app.ui.transcript.live import LiveAnswer
from app.ui.transcript.markdown import parse_source
from app.ui.transcript.messages import MessageItem, answer_cells, message_cells
from app.ui.transcript.sections import sections
from scripts.hostile_markdown import texts

PARAGRAPHS = "".join(f"Paragraph {n} says something.\n\n" for n in range(30_000))


def expanded(cells: list[Cell]) -> list[Cell]:
    """What is drawn once the reader has been everywhere."""
    found: list[Cell] = []
    for cell in cells:
        found += expanded(section_cells(cell)) if isinstance(cell, SectionCell) else [cell]
    return found


def words(text: str) -> str:
    """What a reader sees of one block."""
    tokens = parse_source(text)
    return " ".join(
        child.content for token in tokens for child in token.children or () if child.content
    )


def test_chapters_are_the_text_and_few() -> None:
    assert is_monstrous(PARAGRAPHS)
    found = list(chapters(PARAGRAPHS))
    assert "".join(chapter.text for chapter in found) == PARAGRAPHS
    assert all(chapter.text.startswith("Paragraph") for chapter in found)
    assert len(found) < 60


def test_a_chapter_becomes_sections_and_those_cells() -> None:
    cells = answer_cells(PARAGRAPHS)
    finer = section_cells(cells[0]) if isinstance(cells[0], SectionCell) else []
    assert len(finer) > 5
    assert all(isinstance(cell, SectionCell) for cell in finer)
    first = expanded(finer)[0]
    assert isinstance(first, ProseCell)
    assert first.blocks[0].source == "Paragraph 0 says something."


def test_a_long_fence_becomes_slices_that_are_copied_whole() -> None:
    code = "\n".join(f"line {n}" for n in range(20_000))
    cells = answer_cells(f"Before.\n\n```py\n{code}\n```\n\nAfter.\n")
    slices = [c for c in cells if isinstance(c, SectionCell) and c.section.is_code]
    assert len(slices) > 5
    assert sum(c.section.text.count("\n") + 1 for c in slices) == 20_000
    assert slices[1].section.first_line == slices[0].section.text.count("\n") + 1
    assert [c.section.is_last for c in slices] == [False] * (len(slices) - 1) + [True]
    drawn = [*cells[:1], *section_cells(slices[0]), *cells[2:]]  # the others were never near
    first = next(cell for cell in drawn if isinstance(cell, CodeCell))
    assert whole_code(drawn, first) == code


def test_the_head_of_a_table_goes_with_every_chapter() -> None:
    text = "| a | b |\n|---|---|\n" + "| 1 | 2 |\n" * 13_000
    found = list(chapters(text))
    assert len(found) > 2
    assert all(chapter.text.startswith("| a | b |\n|---|---|\n| 1") for chapter in found)
    assert sum(chapter.text.count("| 1 | 2 |") for chapter in found) == 13_000


def test_too_many_fences_are_shown_as_text_and_said_so() -> None:
    text = "```\n" * (MOST_FENCES + 1)
    cells = message_cells(MessageItem(1, "assistant", (TextPart(text),)))
    notice = next(cell for cell in cells if isinstance(cell, NoticeCell))
    assert "20,000 code fences" in notice.sentence
    assert sum(c.section.text.count("```") for c in cells if isinstance(c, SectionCell)) > 20_000


def test_blank_text_is_nothing() -> None:
    assert sections("\n" * 1_000_000) == []
    assert sections(" " * 1_000_000) == []


def test_no_hostile_text_makes_many_cells_at_once() -> None:
    for name, text in texts().items():
        cells = answer_cells(text.replace("\r", ""))
        assert len(cells) <= 700, name
        for cell in (cells[0], cells[-1]) if cells else ():
            if isinstance(cell, SectionCell):
                assert len(section_cells(cell)) <= 500, name


def test_what_is_nested_too_deep_is_kept_as_text() -> None:
    assert "deep inside" in words("> " * 40 + "deep inside")
    nested = "\n".join("  " * n + f"- item {n}" for n in range(40))
    assert "item 39" in " ".join(words(block.source) for block in parse_blocks(nested))


def test_a_long_list_in_one_item_is_cut_too() -> None:
    text = "- outer\n" + "".join(f"  - inner {n}\n" for n in range(1_000)) + "- last\n"
    parts = parse_blocks(text)
    assert len(parts) > 8
    assert max(part.source.count("\n") for part in parts) < 200
    assert sum(part.source.count("inner") for part in parts) == 1_000
    assert parts[-1].source == "- last"


def test_a_streamed_monster_ends_as_if_it_had_come_at_once() -> None:
    hostile = texts()
    for name in ("flat list", "long table", "quote lines", "unbalanced fences", "code of tabs"):
        text = hostile[name][:24_000]
        live = LiveAnswer()
        for at in range(0, len(text), 1_500):
            live.add_text(text[at : at + 1_500])
            live.cells()
        streamed, at_once = expanded(live.finish()), expanded(answer_cells(text))
        if name == "code of tabs":  # nothing was forced: the same code, one block
            assert [c.code for c in streamed if isinstance(c, CodeCell)] == [
                c.code for c in at_once if isinstance(c, CodeCell)
            ]
        else:
            assert streamed == at_once, name


def test_rows_that_stream_in_keep_their_head() -> None:
    live = LiveAnswer()
    live.add_text("| a | b |\n|---|---|\n")
    for n in range(400):
        live.add_text(f"| {n} | x |\n")
        cells = live.cells()
        assert all(type(cell).__name__ == "TableCell" for cell in cells), n
