from __future__ import annotations

from app.client.wire import messages_to_wire, request_to_wire
from app.core.messages import (
    AttachmentPart,
    Message,
    TextPart,
    ThinkingPart,
    ToolCallPart,
    ToolResultPart,
)
from app.core.ports import ToolSpec, TurnRequest


def test_history_with_calls_and_results() -> None:
    history = [
        Message.of("system", "s"),
        Message("user", (TextPart("look"), AttachmentPart("a.py", "text/plain", "x = 1"))),
        Message(
            "assistant",
            (ThinkingPart("hm"), TextPart("ok"), ToolCallPart("c1", "read_file", '{"p": 1}')),
        ),
        Message("tool", (ToolResultPart("c1", "read_file", "text"),)),
    ]
    wire = messages_to_wire(history)
    assert [message["role"] for message in wire] == ["system", "user", "assistant", "tool"]
    assert wire[1]["content"].startswith('look\n\n[File: "a.py"]\nx = 1\n')
    assert wire[2]["tool_calls"][0]["function"] == {"name": "read_file", "arguments": '{"p": 1}'}
    assert wire[2]["reasoning_content"] == "hm"
    assert wire[3] == {"role": "tool", "tool_call_id": "c1", "content": "text"}


def test_same_history_gives_the_same_bytes() -> None:
    history = [Message.of("user", "a"), Message.of("assistant", "b")]
    assert messages_to_wire(history) == messages_to_wire(list(history))


def test_foreign_engines_get_no_extensions() -> None:
    request = TurnRequest(
        model="m",
        messages=[Message.of("user", "x")],
        tools=[ToolSpec("t", "d", {"type": "object"})],
        tool_choice="t",
        sampling={"temperature": 0.5},
        extra={"seed": 3},
    )
    body = request_to_wire(request, progress=False)
    assert "return_progress" not in body
    assert body["tool_choice"] == {"type": "function", "function": {"name": "t"}}
    assert (body["temperature"], body["seed"]) == (0.5, 3)
    assert request_to_wire(request, progress=True)["return_progress"] is True
