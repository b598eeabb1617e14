from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.client import sse
from app.client.sse import SseDecoder, SseEvent


def decode(*chunks: bytes) -> list[SseEvent]:
    decoder = SseDecoder()
    return [event for chunk in chunks for event in decoder.feed(chunk)]


def test_comments_ids_and_unknown_fields_are_skipped() -> None:
    assert decode(b": ping\n\nid: 4\nretry: 3\ndata: a\n\n") == [SseEvent("a")]


def test_named_event_with_several_data_lines() -> None:
    assert decode(b"event: ping\ndata: a\ndata:b\n\n") == [SseEvent("a\nb", "ping")]


def test_unicode_line_separators_inside_data_do_not_split() -> None:
    text = "x\u2028y\u0085z"
    assert decode(f"data: {text}\n\n".encode()) == [SseEvent(text)]


def test_unfinished_event_is_not_dispatched() -> None:
    assert decode(b"data: a\n") == []


def test_endless_event_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    with pytest.raises(ValueError, match="too large"):
        decode(b"data: " + b"x" * 200)
    with pytest.raises(ValueError, match="too large"):
        decode(*[b"data: xxxxxxxx\n"] * 50)


@given(st.lists(st.text(alphabet="ab:é\u2028 ", max_size=8), max_size=6), st.data())
def test_any_cut_of_the_bytes_gives_the_same_events(texts: list[str], data: st.DataObject) -> None:
    ending = data.draw(st.sampled_from(["\n", "\r\n"]))
    raw = "".join(f"data: {text}{ending}{ending}" for text in texts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=8)))
    pieces = [raw[a:b] for a, b in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert [event.data for event in decode(*pieces)] == texts
