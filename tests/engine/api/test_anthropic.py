"""POST /v1/messages: shapes, events, tools, and what Claude Code sends."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from app.core.errors import EngineDied
from app.core.events import Timings, Usage
from app.engine.types import Finished
from tests.engine.api.harness import get, post
from tests.scripted_engine import ScriptedModel, ScriptedService

PATH = "/v1/messages"
TOOL = {
    "name": "read_file",
    "description": "Reads.",
    "input_schema": {"type": "object", "properties": {"path": {"type": "string"}}},
}
CALL = 'Look.\n<tool_call>\n{"name": "read_file", "arguments": {"path": "a.py"}}\n</tool_call>'


def body(text: str = "Hi", **fields: Any) -> dict[str, Any]:
    return {"max_tokens": 50, "messages": [{"role": "user", "content": text}], **fields}


def events_of(response: httpx.Response) -> list[tuple[str, Any]]:
    assert response.status_code == 200, response.text
    found = []
    for block in response.text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "data" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def test_a_whole_message() -> None:
    message = post(ScriptedModel("Hello."), PATH, body()).json()
    assert message["type"] == "message"
    assert message["content"] == [{"type": "text", "text": "Hello."}]
    assert message["stop_reason"] == "end_turn"
    usage = message["usage"]
    assert usage["cache_read_input_tokens"] == 3
    assert usage["output_tokens"] == 6


def test_the_events_of_a_stream_in_their_order() -> None:
    events = events_of(post(ScriptedModel("Hi"), PATH + "?beta=true", body(stream=True)))
    assert all(name == data["type"] for name, data in events)
    assert [name for name, _ in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert events[0][1]["message"]["usage"]["input_tokens"] > 0
    assert events[-2][1]["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert events[-2][1]["usage"]["output_tokens"] == 2


def test_a_tool_call_in_one_piece_and_streamed() -> None:
    message = post(ScriptedModel(CALL), PATH, body(tools=[TOOL])).json()
    assert message["stop_reason"] == "tool_use"
    assert message["content"][1]["type"] == "tool_use"
    assert message["content"][1]["input"] == {"path": "a.py"}
    events = events_of(post(ScriptedModel(CALL), PATH, body(tools=[TOOL], stream=True)))
    starts = [d["content_block"]["type"] for n, d in events if n == "content_block_start"]
    assert starts == ["text", "tool_use"]
    partial = [
        d["delta"]["partial_json"]
        for n, d in events
        if n == "content_block_delta" and d["delta"]["type"] == "input_json_delta"
    ]
    assert json.loads("".join(partial)) == {"path": "a.py"}
    assert events[-2][1]["delta"]["stop_reason"] == "tool_use"


def test_a_conversation_with_results_goes_into_the_prompt() -> None:
    model = ScriptedModel()
    turns = [
        {"role": "user", "content": [{"type": "text", "text": "Read a.py"}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "x"},
                {"type": "text", "text": "Sure."},
                {"type": "tool_use", "id": "t1", "name": "read_file", "input": {"path": "a.py"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "print(1)"}],
                    "cache_control": {"type": "ephemeral"},
                },
                {"type": "text", "text": "Go on."},
            ],
        },
        {"role": "system", "content": "A reminder."},
    ]
    system = [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2; cch=abcde;"},
        {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral"}},
    ]
    response = post(model, PATH, body(messages=turns, system=system, tools=[TOOL]))
    assert response.status_code == 200
    text = model.prompt_text()
    assert "billing" not in text
    assert text.startswith("<|im_start|>system\nYou are Claude Code.")
    assert "print(1)" in text
    assert text.index("print(1)") < text.index("Go on.") < text.index("A reminder.")


def test_the_changing_billing_line_costs_no_prefix() -> None:
    model = ScriptedModel()
    for noise in ("aaaaa", "bbbbb"):
        system = f"x-anthropic-billing-header: cch={noise};\nYou help."
        post(model, PATH, body(system=system))
    assert model.requests[0].prompt.tokens == model.requests[1].prompt.tokens


def test_what_claude_code_sends_besides_is_accepted() -> None:
    extra = {
        "thinking": {"type": "adaptive", "display": "omitted"},
        "context_management": {"edits": []},
        "output_config": {"effort": "high"},
        "metadata": {"user_id": "u"},
        "tools": [TOOL, {"type": "web_search_20250305", "name": "web_search"}],
    }
    response = post(ScriptedModel(), PATH + "?beta=true", body(**extra))
    assert response.status_code == 200


def test_a_deferred_tool_is_described_where_it_was_found_and_not_in_front() -> None:
    model = ScriptedModel(CALL)
    deferred = {**TOOL, "defer_loading": True}
    other = {"name": "ToolSearch", "input_schema": {"type": "object"}}
    turns = [
        {"role": "user", "content": "Find it"},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "t", "name": "ToolSearch", "input": {}}],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "t",
                    "content": [{"type": "tool_reference", "tool_name": "read_file"}],
                }
            ],
        },
    ]
    message = post(model, PATH, body(messages=turns, tools=[other, deferred])).json()
    front, _, rest = model.prompt_text().partition("Find it")
    assert "read_file" not in front
    assert '"name": "read_file"' in rest
    assert message["stop_reason"] == "tool_use"


def test_stop_reasons() -> None:
    def reason(finished: Finished) -> tuple[str, str | None]:
        message = post(ScriptedModel(["x", finished]), PATH, body(stop_sequences=["END"])).json()
        return message["stop_reason"], message["stop_sequence"]

    assert reason(Finished("stop", Usage(), Timings(), (), "END")) == ("stop_sequence", "END")
    assert reason(Finished("length", Usage(), Timings())) == ("max_tokens", None)


def test_thinking_blocks_come_only_when_asked_for() -> None:
    model = ScriptedModel("<think>\nHm.\n</think>\n\nFour.")
    asked = post(model, PATH, body(thinking={"type": "enabled", "budget_tokens": 1024})).json()
    assert [block["type"] for block in asked["content"]] == ["thinking", "text"]
    assert asked["content"][0]["thinking"] == "Hm."
    silent = post(model, PATH, body()).json()
    assert silent["content"] == [{"type": "text", "text": "Four."}]


def test_a_prefilled_answer_is_continued() -> None:
    model = ScriptedModel(" are red.")
    turns = [{"role": "user", "content": "Poem"}, {"role": "assistant", "content": "Roses"}]
    assert post(model, PATH, body(messages=turns)).json()["content"][0]["text"] == " are red."
    assert model.prompt_text().endswith("<|im_start|>assistant\nRoses")


def test_forced_tools_begin_with_the_call() -> None:
    model = ScriptedModel('{"path": "a.py"}}\n</tool_call>')
    forced = {"type": "tool", "name": "read_file"}
    message = post(model, PATH, body(tools=[TOOL], tool_choice=forced)).json()
    assert model.prompt_text().endswith('<tool_call>\n{"name": "read_file", "arguments": ')
    assert model.requests[0].grammar is not None
    assert message["content"][0]["input"] == {"path": "a.py"}
    assert message["stop_reason"] == "tool_use"
    any_tool = post(
        ScriptedModel('read_file", "arguments": {}}'),
        PATH,
        body(tools=[TOOL], tool_choice={"type": "any"}),
    )
    assert any_tool.json()["stop_reason"] == "tool_use"


def test_a_json_schema_is_enforced() -> None:
    model = ScriptedModel('{"title": "x"}')
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
    config = {"format": {"type": "json_schema", "schema": schema}}
    assert post(model, PATH, body(output_config=config)).status_code == 200
    assert model.requests[0].grammar is not None


@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"messages": []}, 400, "invalid_request_error"),
        ({"messages": None}, 400, "invalid_request_error"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "invalid_request_error"),
        ({"model": "nope"}, 404, "not_found_error"),
        ({"tool_choice": {"type": "tool", "name": "x"}}, 400, "invalid_request_error"),
        ({"tools": [{"input_schema": {}}]}, 400, "invalid_request_error"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image", "source": {}}]}]},
            400,
            "invalid_request_error",
        ),
    ],
)
def test_errors_have_anthropics_shape(fields: dict[str, Any], status: int, kind: str) -> None:
    response = post(ScriptedModel(), PATH, {**body(), **fields})
    assert response.status_code == status
    assert response.json()["type"] == "error"
    assert response.json()["error"]["type"] == kind


def test_a_prompt_that_does_not_fit_names_both_numbers() -> None:
    response = post(ScriptedModel(n_ctx=30), PATH, body("x" * 200, stream=True))
    assert response.status_code == 400
    message = response.json()["error"]["message"]
    assert message.startswith("prompt is too long: ")
    assert "30" in message


def test_a_failure_in_mid_stream_is_an_error_event() -> None:
    model = ScriptedModel(["a", EngineDied("It broke.", "Ask again.")])
    events = events_of(post(model, PATH, body(stream=True)))
    assert events[-1][0] == "error"
    assert events[-1][1]["error"]["type"] == "api_error"


def test_silence_is_filled_with_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.api.sse.PING_S", 0.05)
    events = events_of(post(ScriptedModel([0.3, "a"]), PATH, body(stream=True)))
    assert ("ping", {"type": "ping"}) in events


def test_counting_asks_no_model_and_equals_the_usage() -> None:
    model = ScriptedModel()
    count = post(model, PATH + "/count_tokens?beta=true", body(tools=[])).json()["input_tokens"]
    assert model.requests == []
    usage = post(model, PATH, body()).json()["usage"]
    assert count == usage["input_tokens"] + usage["cache_read_input_tokens"]


def test_claudes_own_names_mean_the_loaded_model_and_so_does_the_alias() -> None:
    for name in ("claude-haiku-4-5", "claude-local", "claude-local-scripted", ""):
        assert post(ScriptedModel(), PATH, body(model=name)).status_code == 200, name


def test_the_model_list_has_anthropics_shape_for_its_clients() -> None:
    service = ScriptedService(ScriptedModel())
    listed = get(service, "/v1/models?limit=1000", **{"anthropic-version": "2023-06-01"}).json()
    assert listed["data"][0]["type"] == "model"
    assert any(entry["id"].startswith("claude") for entry in listed["data"])
    assert listed["has_more"] is False
    one = get(service, "/v1/models/claude-local-scripted", **{"anthropic-version": "2023-06-01"})
    assert one.json()["display_name"] == "scripted"
