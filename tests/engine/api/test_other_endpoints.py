"""Responses, completions, embeddings, Ollama's API, and what generates nothing."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from app.core.events import Timings, Usage
from app.engine.types import Finished
from tests.engine.api.harness import chat_body, client, data_of, get, post, run
from tests.scripted_engine import ScriptedModel, ScriptedService

FUNCTION = {
    "type": "function",
    "name": "read_file",
    "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
}
CALL = '<tool_call>\n{"name": "read_file", "arguments": {"path": "a.py"}}\n</tool_call>'


# -- responses ------------------------------------------------------------------------------


def test_a_whole_response() -> None:
    response = post(ScriptedModel("Hello."), "/v1/responses", {"input": "Hi"}).json()
    assert response["object"] == "response"
    assert response["status"] == "completed"
    assert response["output"][0]["content"][0]["text"] == "Hello."
    assert response["usage"]["input_tokens_details"] == {"cached_tokens": 3}


def test_a_response_stream_has_every_event_and_counts_them() -> None:
    events = data_of(post(ScriptedModel("Hi"), "/v1/responses", {"input": "x", "stream": True}))
    assert [event["type"] for event in events] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert events[2]["item"]["content"] == []
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == "Hi"
    assert events[-1]["response"]["usage"]["output_tokens"] == 2


def test_a_streamed_call_of_a_function_in_a_namespace() -> None:
    tools = [
        {"type": "namespace", "name": "mcp__fs", "tools": [FUNCTION]},
        {"type": "web_search"},
    ]
    asked = {"input": "x", "stream": True, "tools": tools, "tool_choice": "auto"}
    events = data_of(post(ScriptedModel(CALL), "/v1/responses", asked))
    kinds = [event["type"] for event in events]
    assert "response.function_call_arguments.delta" in kinds
    done = next(e for e in events if e["type"] == "response.function_call_arguments.done")
    assert json.loads(done["arguments"]) == {"path": "a.py"}
    item = next(e for e in events if e["type"] == "response.output_item.done")["item"]
    assert (item["type"], item["name"], item["namespace"]) == (
        "function_call",
        "read_file",
        "mcp__fs",
    )


def test_a_custom_tool_gets_its_one_text() -> None:
    model = ScriptedModel(
        '<tool_call>\n{"name": "patch", "arguments": {"input": "*** x"}}\n</tool_call>'
    )
    asked = {"input": "x", "tools": [{"type": "custom", "name": "patch"}]}
    for stream in (False, True):
        answer = post(model, "/v1/responses", {**asked, "stream": stream})
        whole = data_of(answer)[-1]["response"] if stream else answer.json()
        assert whole["output"][0]["type"] == "custom_tool_call"
        assert whole["output"][0]["input"] == "*** x"


def test_input_items_become_the_conversation() -> None:
    model = ScriptedModel()
    items = [
        {
            "type": "message",
            "role": "developer",
            "content": [{"type": "input_text", "text": "Dev."}],
        },
        {"role": "user", "content": "Read"},
        {"type": "reasoning", "summary": [], "encrypted_content": "x"},
        {
            "type": "function_call",
            "id": "fc",
            "call_id": "c1",
            "name": "read_file",
            "arguments": '{"path":"a"}',
        },
        {"type": "function_call_output", "call_id": "c1", "output": "print(1)"},
        {"type": "item_of_tomorrow"},
    ]
    asked = {"input": items, "instructions": "Inst.", "tools": [FUNCTION], "store": False}
    assert post(model, "/v1/responses", asked).status_code == 200
    text = model.prompt_text()
    assert text.index("Inst.") < text.index("Dev.") < text.index("Read<|")
    assert "print(1)" in text


def test_previous_response_id_continues_and_unknown_ones_are_404() -> None:
    async def work() -> None:
        model = ScriptedModel("First.", "Second.")
        async with client(model) as http:
            first = (await http.post("/v1/responses", json={"input": "One?"})).json()
            follow = {"input": "Two?", "previous_response_id": first["id"]}
            second = (await http.post("/v1/responses", json=follow)).json()
            assert second["previous_response_id"] == first["id"]
            text = model.prompt_text()
            assert text.index("One?") < text.index("First.") < text.index("Two?")
            got = await http.get(f"/v1/responses/{first['id']}")
            assert got.json()["output"][0]["content"][0]["text"] == "First."
            assert (await http.delete(f"/v1/responses/{first['id']}")).json()["deleted"]
            again = await http.post("/v1/responses", json=follow)
            assert again.status_code == 404
            assert again.json()["error"]["code"] == "previous_response_not_found"
            unstored = await http.post("/v1/responses", json={"input": "x", "store": False})
            assert (await http.get(f"/v1/responses/{unstored.json()['id']}")).status_code == 404

    run(work)


def test_a_response_that_was_cut_is_incomplete() -> None:
    model = ScriptedModel(["x", Finished("length", Usage(), Timings())])
    response = post(model, "/v1/responses", {"input": "x", "max_output_tokens": 16}).json()
    assert response["status"] == "incomplete"
    assert response["incomplete_details"] == {"reason": "max_output_tokens"}


def test_text_format_and_forced_tools_reach_the_grammar() -> None:
    model = ScriptedModel('{"a": 1}')
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    form = {"format": {"type": "json_schema", "name": "x", "schema": schema}}
    assert post(model, "/v1/responses", {"input": "x", "text": form}).status_code == 200
    assert model.requests[0].grammar is not None
    forced = {"type": "function", "name": "read_file"}
    post(model, "/v1/responses", {"input": "x", "tools": [FUNCTION], "tool_choice": forced})
    assert model.prompt_text().endswith('{"name": "read_file", "arguments": ')


def test_a_silent_response_stream_gets_real_ping_events(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.api.sse.PING_S", 0.05)
    response = post(ScriptedModel([0.3, "a"]), "/v1/responses", {"input": "x", "stream": True})
    assert "event: ping\ndata: {" in response.text


@pytest.mark.parametrize("fields", [{"input": []}, {"input": None}, {"input": [1]}, {}])
def test_a_response_without_input_is_a_400(fields: dict[str, Any]) -> None:
    assert post(ScriptedModel(), "/v1/responses", fields).status_code == 400


# -- completions and embeddings -------------------------------------------------------------


def test_a_raw_completion_and_its_stream() -> None:
    model = ScriptedModel("world")
    whole = post(model, "/v1/completions", {"prompt": "Hello ", "logprobs": 1}).json()
    assert whole["choices"][0]["text"] == "world"
    assert whole["choices"][0]["logprobs"]["tokens"] == list("world")
    assert model.prompt_text() == "Hello "
    assert model.requests[0].max_tokens == 16
    events = data_of(post(model, "/v1/completions", {"prompt": ["a", "b"], "stream": True}))
    texts = {0: "", 1: ""}
    for event in events[:-1]:
        texts[event["choices"][0]["index"]] += event["choices"][0]["text"]
    assert texts == {0: "world", 1: "world"}


@pytest.mark.parametrize("prompt", [None, [], [[1, -1]], [999_999], 5, [["x"]]])
def test_a_bad_prompt_is_a_400(prompt: Any) -> None:
    assert post(ScriptedModel(), "/v1/completions", {"prompt": prompt}).status_code == 400


def test_embeddings_have_length_one() -> None:
    model = ScriptedModel()
    model.vectors = [[3.0, 4.0]]
    body = post(model, "/v1/embeddings", {"input": ["a", "b"]}).json()
    assert [entry["embedding"] for entry in body["data"]] == [[0.6, 0.8], [0.6, 0.8]]
    packed = post(model, "/v1/embeddings", {"input": "a", "encoding_format": "base64"}).json()
    raw = base64.b64decode(packed["data"][0]["embedding"])
    assert struct.unpack("<2f", raw) == pytest.approx((0.6, 0.8))


def test_a_chat_model_makes_no_embeddings() -> None:
    response = post(ScriptedModel(), "/v1/embeddings", {"input": "a"})
    assert response.status_code == 400
    assert "embedding" in response.json()["error"]["message"]


# -- ollama ---------------------------------------------------------------------------------


def test_ollama_discovery() -> None:
    service = ScriptedService(ScriptedModel())
    assert get(service, "/api/version").json()["version"]
    assert get(service, "/api/tags").json()["models"][0]["name"] == "scripted"
    shown = post(service, "/api/show", {"model": "scripted:latest"}).json()
    assert "tools" in shown["capabilities"]
    missing = post(service, "/api/show", {"model": "x"})
    assert missing.status_code == 404
    assert isinstance(missing.json()["error"], str)


def test_ollama_chat_streams_json_lines_by_default() -> None:
    response = post(ScriptedModel("Hi"), "/api/chat", chat_body(model="scripted"))
    lines = [json.loads(line) for line in response.text.splitlines()]
    assert "".join(line["message"]["content"] for line in lines) == "Hi"
    assert lines[-1]["done"] is True
    assert lines[-1]["eval_count"] == 2
    tools = [{"type": "function", "function": {"name": "read_file", "parameters": {}}}]
    asked = chat_body(tools=tools, stream=False, options={"temperature": 0})
    whole = post(ScriptedModel(CALL), "/api/chat", asked).json()
    assert whole["message"]["tool_calls"][0]["function"]["arguments"] == {"path": "a.py"}


# -- the rest -------------------------------------------------------------------------------


def test_models_by_name() -> None:
    service = ScriptedService(ScriptedModel(model_id="owner/name-GGUF"))
    assert get(service, "/v1/models").json()["data"][0]["meta"]["n_ctx"] == 100_000
    assert get(service, "/v1/models/owner/name-GGUF").json()["id"] == "owner/name-GGUF"
    assert get(service, "/v1/models/owner%2Fname-GGUF").status_code == 200
    assert get(service, "/v1/models/none").status_code == 404


def test_the_signs_of_life_clients_look_for() -> None:
    async def work() -> list[int]:
        async with client(ScriptedModel()) as http:
            return [(await http.head(path)).status_code for path in ("/", "/api/hello")]

    assert run(work) == [200, 200]


def test_tokenize_there_and_back() -> None:
    model = ScriptedModel()
    plain = post(model, "/tokenize", {"content": "a<|im_end|>"}).json()
    assert len(plain["tokens"]) == 11
    special = post(model, "/tokenize", {"content": "a<|im_end|>", "parse_special": True}).json()
    assert special["count"] == 2
    back = post(model, "/detokenize", {"tokens": special["tokens"]}).json()
    assert back["content"] == "a<|im_end|>"
    assert post(model, "/tokenize", {"content": 5}).status_code == 400


def test_metrics_are_prometheus_text() -> None:
    text = get(ScriptedModel(), "/metrics").text
    assert "# TYPE garret_requests_total counter\ngarret_requests_total 3\n" in text
