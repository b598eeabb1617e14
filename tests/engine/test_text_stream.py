from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from app.engine.text_stream import TextStream


def _stream(parts: list[bytes], stop: tuple[str, ...]) -> tuple[str, str | None]:
    stream = TextStream(stop)
    text = "".join(stream.feed(part) for part in parts)
    return text + stream.finish(), stream.stop_text


def _cut(data: bytes, points: list[int]) -> list[bytes]:
    edges = [0, *sorted(point % (len(data) + 1) for point in points), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.text("ab#\né🙂", max_size=40), st.lists(st.integers(0, 200), max_size=12))
def test_every_split_of_the_bytes_gives_the_same_text(text: str, points: list[int]) -> None:
    stop = ("##", "ab#a", "\n\n")
    data = text.encode()
    assert _stream(_cut(data, points), stop) == _stream([data], stop)


@given(st.text("ab#", max_size=30), st.lists(st.integers(0, 200), max_size=12))
def test_the_first_stop_string_ends_the_text(text: str, points: list[int]) -> None:
    got, stopped = _stream(_cut(text.encode(), points), ("#a",))
    assert got == text.split("#a")[0]
    assert (stopped == "#a") == ("#a" in text)


def test_a_partial_character_is_held_back_and_ends_as_a_replacement() -> None:
    stream = TextStream()
    assert stream.feed("é".encode()[:1]) == ""
    assert stream.feed("é".encode()[1:]) == "é"
    assert stream.feed(b"\xf0\x9f") == ""
    assert stream.finish() == "\ufffd"


def test_only_a_possible_beginning_of_a_stop_string_is_held_back() -> None:
    stream = TextStream(("STOP",))
    assert stream.feed(b"say ST") == "say "
    assert stream.feed(b"AR") == "STAR"
    assert stream.feed(b"STOP and more") == ""
    assert stream.stop_text == "STOP"
    assert stream.feed(b"nothing") == ""
    assert stream.finish() == ""
