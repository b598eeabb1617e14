from __future__ import annotations

from typing import Any

import pytest

from app.client.turn import TurnReader
from app.core.errors import EngineDied
from app.core.events import (
    PromptProgress,
    TextDelta,
    ThinkingDelta,
    Timings,
    ToolCallDelta,
    ToolCallReady,
    TurnEnded,
    TurnEvent,
    Usage,
)
from app.core.messages import ToolCallPart


def read(*chunks: dict[str, Any] | None) -> list[TurnEvent]:
    reader = TurnReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def test_text_usage_timings_and_progress_in_order() -> None:
    events = read(
        {"choices": [], "prompt_progress": {"total": 9, "cache": 4, "processed": 6, "time_ms": 50}},
        delta(role="assistant", content=None),
        delta(content="Hi"),
        delta(finish="stop"),
        {
            "choices": [],
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 1,
                "prompt_tokens_details": {"cached_tokens": 4},
            },
            "timings": {"cache_n": 4, "prompt_n": 5, "prompt_ms": 10, "predicted_n": 1},
        },
        None,
    )
    assert events == [
        PromptProgress(6, 4, 9, 0.05),
        TextDelta("Hi"),
        TurnEnded("stop", Usage(9, 1, 4), Timings(4, 5, 10.0, 1, 0.0)),
    ]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_under_either_name_is_thinking(name: str) -> None:
    assert read(delta(**{name: "hm"})) == [ThinkingDelta("hm")]


def test_tool_call_in_pieces_becomes_one_ready_call() -> None:
    def call(**fields: Any) -> dict[str, Any]:
        return delta(tool_calls=[{"index": 0, **fields}])

    events = read(
        call(id="c1", function={"name": "read_file", "arguments": ""}),
        call(function={"arguments": '{"a"'}),
        call(function={"arguments": ":1}"}),
        delta(finish="tool_calls"),
        None,
    )
    assert events[0] == ToolCallDelta(0, "c1", "read_file", "")
    assert events[-2] == ToolCallReady(0, ToolCallPart("c1", "read_file", '{"a":1}'))
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].finish_reason == "tool_calls"


def test_whole_calls_without_index_and_id_stay_apart() -> None:
    events = read(
        delta(
            finish="stop",
            tool_calls=[
                {"function": {"name": "a", "arguments": "{}"}},
                {"function": {"name": "b", "arguments": "{}"}},
            ],
        ),
        None,
    )
    ready = [event.call for event in events if isinstance(event, ToolCallReady)]
    assert [call.name for call in ready] == ["a", "b"]
    assert len({call.call_id for call in ready}) == 2
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].finish_reason == "tool_calls"


def test_end_mark_without_a_reason_is_an_end() -> None:
    events = read(delta(content="whole"), None)
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].finish_reason == "stop"


def test_stream_that_breaks_off_is_a_death_not_an_answer() -> None:
    reader = TurnReader()
    list(reader.feed(delta(content="half")))
    with pytest.raises(EngineDied):
        list(reader.end())


def test_an_end_mark_alone_is_a_death() -> None:
    with pytest.raises(EngineDied):
        read(None)


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": None},
        {"choices": ["x"]},
        {"choices": [{"delta": None}]},
        {"choices": [{"delta": {"tool_calls": "x", "content": 3}}], "usage": 3, "timings": []},
    ],
)
def test_malformed_chunks_say_nothing(chunk: dict[str, Any]) -> None:
    assert read(chunk) == []
