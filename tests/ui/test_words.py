"""Numbers as people read them."""

from __future__ import annotations

import pytest

from app.core.events import PromptProgress
from app.ui.chat_list import ChatEntry, day_name, rows_of
from app.ui.completion import word_before
from app.ui.file_verbs import safe_name
from app.ui.speedometer import Speedometer
from app.ui.transcript.user_view import fold
from app.ui.words import (
    duration_words,
    reading_words,
    short_count,
    size_words,
    speed_words,
)

DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.42, "0.4 s"), (3.0, "3 s"), (59.6, "1 min"), (185, "3 min 5 s"), (3_900, "1 h 5 min")],
)
def test_durations(seconds: float, words: str) -> None:
    assert duration_words(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"), [(98_362_432, "98 MB"), (46_400_000_000, "46.4 GB"), (999, "999 B")]
)
def test_sizes_are_decimal(size: int, words: str) -> None:
    assert size_words(size) == words


def test_counts_and_speeds() -> None:
    assert [short_count(n) for n in (999, 1_000, 12_400, 128_000)] == ["999", "1k", "12.4k", "128k"]
    assert speed_words(4.14) == "4.1 tokens/s"
    assert speed_words(38.4) == "38 tokens/s"


def test_reading_says_share_time_left_and_what_was_reused() -> None:
    progress = PromptProgress(12_150, 11_900, 12_400, 9.0)
    assert reading_words(progress) == ("Reading 12,400 tokens: 97 %, 9 s left (11,900 reused)")
    assert reading_words(PromptProgress(0, 0, 300, 0.0)) == "Reading 300 tokens: 0 %"


def test_chats_are_grouped_by_day_with_pinned_first() -> None:
    now = 1_800_000_000.0
    entries = [
        ChatEntry(1, "pinned", now - 90 * DAY_S, True),
        ChatEntry(2, "", now),
        ChatEntry(3, "old", now - 3 * DAY_S),
    ]
    rows = rows_of(entries, now, frozenset({3}))
    assert [row.title for row in rows] == [
        "Pinned", "pinned", "Today", "New chat", "This week", "old",
    ]  # fmt: skip
    assert [row.is_busy for row in rows if row.chat_id] == [False, False, True]
    assert day_name(now - DAY_S, now) == "Yesterday"


def test_a_speed_is_told_twice_a_second_at_most() -> None:
    meter = Speedometer()
    told = [meter.add(4, n * 0.05) for n in range(60)]
    figures = [speed for speed in told if speed is not None]
    assert 3 <= len(figures) <= 6
    assert all(abs(speed - 20.0) < 1.0 for speed in figures)


def test_long_questions_are_folded_and_short_ones_are_not() -> None:
    assert fold("short") == "short"
    folded = fold("line\n" * 100)
    assert folded.endswith(" …")
    assert folded.count("\n") < 30


def test_the_word_before_the_cursor() -> None:
    assert word_before("say /rev", 8) == ("/rev", 4)
    assert word_before("", 0) == ("", 0)


def test_file_names_are_safe_everywhere() -> None:
    assert safe_name("a/b: c?  d") == "a_b_ c_ d"
    assert safe_name("…") == "_"
    assert safe_name("") == "chat"
