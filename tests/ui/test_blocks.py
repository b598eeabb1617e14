"""Streaming cuts Markdown exactly where reading it at once does."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ui.transcript.blocks import Block, StreamSplitter, parse_blocks
from app.ui.transcript.sections import sections

CORPUS = [
    "Hello **world**, this is `code`.\n\nSecond paragraph\nwith a soft break.\n",
    "# Title\n\nText\n\n## Sub\ntext right below\n\nSetext\n======\n\nmore\n---\n",
    "- one\n- two\n  - nested\n  - again\n\n    paragraph in item\n- three\n\nafter\n",
    "1. first\n2. second\n\n3. third\n\n   ```python\n   x = 1\n   ```\n\nEnd.\n",
    "- [x] done\n- [ ] open\n",
    "Look:\n```python\ndef f():\n\n    return 1\n```\nand so on\n",
    "````md\n```\ninner\n```\n````\n",
    "~~~\ncode\n~~~\n~~~ js\nopen and never closed\n",
    "  ```\n  indented fence\n    more\n  ```\n",
    "| a | b |\n|---|:-:|\n| 1 | 2 |\n| 3 | 4 |\n\ntext\n| x |\n|---|\n| y |\n",
    "> quote\nlazy line\n> more\n\n> other\n>> nested\n",
    "Math $x^2$ inline\n\n$$\na + b\n$$\n\n\\[\n# not a heading\n\\]\n\nend\n",
    "$$\n# heading?\n$$\nafter\n",
    "a\n***\nb\n- - -\nc\n",
    "    indented code\n\n    more of it\n\nparagraph\n    not code\n",
    "See[^1] and[^note].\n\n[^1]: First.\n\n[^note]: Second\n    continued\n\nText after.\n",
    "- a\n---x\n- b\n",
    "para\n2. not a list\n\n2. a list\n",
    "```\n\n\n```\n\n```c\nint x;\n```\n",
    "中文段落。\n\n- 列表\n\nعربي\n\n👩‍👩‍👧 emoji\n",
    "-\n\n  foo\n\n*\n* b\n",
    "text\n```\nunclosed with `` inside\n``\n",
    "Line with trailing backslash\\\nnext\n\n\n\n\nfar\n",
]


def streamed(pieces: list[str]) -> list[Block]:
    splitter = StreamSplitter()
    committed: list[Block] = []
    tail: list[Block] = []
    for piece in pieces:
        splitter.feed(piece)
        done, tail = splitter.take()
        committed += done
    return committed + tail


def settle(blocks: list[Block]) -> list[tuple[str, str, str]]:
    return [(block.kind, block.source, block.info) for block in blocks]


@pytest.mark.parametrize("text", CORPUS)
def test_character_by_character_is_the_same_at_every_prefix(text: str) -> None:
    splitter = StreamSplitter()
    committed: list[Block] = []
    for at, char in enumerate(text):
        splitter.feed(char)
        done, tail = splitter.take()
        committed += done
        expected = settle(parse_blocks(text[: at + 1]))
        got = settle(committed + tail)
        if splitter._fence is not None and expected and expected[-1][0] == "code":
            # inside a fence a last line of only fence characters is held back until it is whole
            assert got[:-1] == expected[:-1]
            continue
        assert got == expected, text[: at + 1]


@given(st.data())
@settings(max_examples=80, deadline=None)
def test_random_splits_of_random_mixtures_end_the_same(data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.sampled_from(CORPUS), min_size=1, max_size=4))
    text = data.draw(st.sampled_from(["", "\n", "\n\n"])).join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=12)))
    edges = [0, *cuts, len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    assert settle(streamed(pieces)) == settle(parse_blocks(text))


@given(st.text(alphabet="ab#`~-*>|:$\\[](){}1. \n\t", max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_soup_of_markers_ends_the_same(text: str) -> None:
    assert settle(streamed(list(text))) == settle(parse_blocks(text))


def test_sections_of_a_long_text_parse_to_the_same_blocks() -> None:
    closed = [text for text in CORPUS if "never closed" not in text and "unclosed" not in text]
    text = "\n\n".join(closed * 20)
    cut = sections(text)
    assert len(cut) > 3
    assert "".join(section.text for section in cut) == text
    apart = [block for section in cut for block in parse_blocks(section.text)]
    assert settle(apart) == settle(parse_blocks(text))


def test_a_long_list_is_cut_between_items_and_keeps_its_numbers() -> None:
    text = "\n".join(f"{n}. item number {n} with some words" for n in range(1, 301))
    parts = parse_blocks(text)
    assert len(parts) > 1
    assert parts[0].start == 1
    second = parts[1]
    assert second.start is not None
    assert second.source.startswith(f"{second.start}. ")
