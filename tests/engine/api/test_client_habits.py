"""What clients do besides asking plainly: references, allowed tools, pages, pictures in results."""

from __future__ import annotations

import base64
import re
from typing import Any

import anthropic
import pytest

from app.engine.api.openai_input import LEFT_OUT
from tests.engine.api.harness import USER_KEY, chat_body, client, data_of, post, run
from tests.engine.api.live import serving
from tests.scripted_engine import CHATML_TEMPLATE, ScriptedModel, ScriptedService

PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
REASONING = ["<think>because</think>Yes."]
# shows the reasoning of the history, as templates of thinking models do inside a tool loop
SHOWS_REASONING = CHATML_TEMPLATE.replace(
    "+ m.content", "+ (m.reasoning_content | default('')) + m.content"
)


def chat_tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def response_tool(name: str) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": {"type": "object"}}


# -- responses ------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_stored_items_may_be_repeated_by_their_ids(*, stream: bool) -> None:
    model = ScriptedModel("First answer.", "Second.")

    async def work() -> tuple[int, int]:
        async with client(model) as http:
            first = await http.post("/v1/responses", json={"input": "One?", "stream": stream})
            response = data_of(first)[-1]["response"] if stream else first.json()
            user = {"role": "user", "content": "One?"}
            reference = {"type": "item_reference", "id": response["output"][0]["id"]}
            asked = {"input": [user, reference, {"role": "user", "content": "Two?"}]}
            found = (await http.post("/v1/responses", json=asked)).status_code
            await http.delete(f"/v1/responses/{response['id']}")
            return found, (await http.post("/v1/responses", json=asked)).status_code

    assert run(work) == (200, 404)
    assert "assistant\nFirst answer.<|im_end|>\n<|im_start|>user\nTwo?" in model.prompt_text()


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_comes_back_from_clients_that_keep_it_sealed(*, stream: bool) -> None:
    model = ScriptedModel(REASONING, "Done.", template=SHOWS_REASONING)
    asked = {"input": "Why?", "include": ["reasoning.encrypted_content"], "stream": stream}
    first = post(model, "/v1/responses", asked)
    output = (data_of(first)[-1]["response"] if stream else first.json())["output"]
    assert [item["type"] for item in output] == ["reasoning", "message"]
    kept = {k: v for k, v in output[0].items() if k != "content"}
    again = [{"role": "user", "content": "Why?"}, kept, output[1]]
    post(model, "/v1/responses", {"input": [*again, {"role": "user", "content": "So?"}]})
    assert "assistant\nbecause" in model.prompt_text().replace("<think>", "")


@pytest.mark.parametrize("seal", ["", "x", "garret:", "garret:%%", "garret:/w==", 5, None])
def test_a_broken_seal_is_no_reasoning(seal: object) -> None:
    item = {"type": "reasoning", "summary": [], "encrypted_content": seal}
    body = {"input": [{"role": "user", "content": "a"}, item, {"role": "user", "content": "b"}]}
    assert post(ScriptedModel("x"), "/v1/responses", body).status_code == 200


@pytest.mark.parametrize(
    "field", [{"background": True}, {"conversation": "c"}, {"prompt": {"id": "p"}}]
)
def test_what_would_change_the_question_is_refused(field: dict[str, Any]) -> None:
    answer = post(ScriptedModel(), "/v1/responses", {"input": "x", **field})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == next(iter(field))


def test_a_response_says_what_was_reused_as_the_other_shapes_do() -> None:
    for stream in (False, True):
        answer = post(ScriptedModel("Hi"), "/v1/responses", {"input": "x", "stream": stream})
        body = data_of(answer)[-1]["response"] if stream else answer.json()
        timings, usage = body["timings"], body["usage"]
        assert timings["cache_n"] == usage["input_tokens_details"]["cached_tokens"] == 3
        assert timings["cache_n"] + timings["prompt_n"] == usage["input_tokens"]


def test_a_custom_tools_text_is_also_streamed() -> None:
    call = '<tool_call>\n{"name": "patch", "arguments": {"input": "*** Begin"}}\n</tool_call>'
    tools = [{"type": "custom", "name": "patch"}]
    body = {"input": "x", "tools": tools, "stream": True}
    events = data_of(post(ScriptedModel(call), "/v1/responses", body))
    kinds = [event["type"] for event in events]
    at = kinds.index("response.custom_tool_call_input.delta")
    assert kinds[at + 1 : at + 3] == [
        "response.custom_tool_call_input.done",
        "response.output_item.done",
    ]
    assert events[at]["delta"] == events[at + 1]["input"] == "*** Begin"
    assert [event["sequence_number"] for event in events] == list(range(len(events)))


# -- tools ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses"])
def test_only_the_allowed_tools_can_be_called(path: str) -> None:
    chat = path.endswith("completions")
    tools = [(chat_tool if chat else response_tool)(name) for name in ("a", "b", "c")]
    listed = [{"type": "function", "function": {"name": "b"}}] if chat else [response_tool("b")]
    inner = {"mode": "required", "tools": listed}
    choice = {"type": "allowed_tools", **({"allowed_tools": inner} if chat else inner)}
    model = ScriptedModel("x")
    body = {**(chat_body() if chat else {"input": "x"}), "tools": tools, "tool_choice": choice}
    assert post(model, path, body).status_code == 200
    grammar = model.requests[-1].grammar
    assert grammar is not None
    assert 'b\\"' in grammar.gbnf
    assert 'a\\"' not in grammar.gbnf
    assert '"name": "a"' in model.prompt_text().replace('\\"', '"')  # the prompt stays as it was


@pytest.mark.parametrize(
    "inner", [[1], {}, {"mode": "required"}, {"tools": []}, {"tools": [{"name": "z"}, 3, None]}]
)
def test_allowed_tools_without_any_are_a_400(inner: object) -> None:
    choice = {"type": "allowed_tools", "allowed_tools": inner}
    body = chat_body(tools=[chat_tool("a")], tool_choice=choice)
    assert post(ScriptedModel(), "/v1/chat/completions", body).status_code == 400


@pytest.mark.parametrize(
    ("fields", "thinks"),
    [
        ({}, ""),
        ({"enable_thinking": False}, "False"),
        ({"thinking": {"type": "disabled"}}, "False"),
        ({"thinking": {"type": "enabled"}}, "True"),
        ({"reasoning": {"effort": "none"}}, "False"),
        ({"reasoning": {"enabled": False}}, "False"),
        ({"reasoning": {"effort": "high"}}, ""),
        ({"reasoning": "yes", "thinking": 5}, ""),
        ({"enable_thinking": False, "chat_template_kwargs": {"enable_thinking": True}}, "True"),
    ],
)
def test_the_switch_of_thinking_in_every_spelling(fields: dict[str, Any], thinks: str) -> None:
    model = ScriptedModel("x", template="[{{ enable_thinking }}]{{ messages[-1].content }}")
    assert post(model, "/v1/chat/completions", chat_body("q", **fields)).status_code == 200
    assert model.prompt_text() == f"[{thinks}]q"


def test_results_without_ids_belong_to_the_calls_in_their_order() -> None:
    calls = [{"function": {"name": name, "arguments": {}}} for name in ("a", "b")]
    template = (
        "{% for m in messages %}{{ m.role }}:{% for c in m.tool_calls or [] %}"
        "{{ c.function.name }}{{ c.function.arguments | tojson }}={{ c.id }},{% endfor %}"
        "{{ m.tool_call_id or '' }}{{ m.content }};{% endfor %}{{ tools | tojson if tools }}"
    )
    model = ScriptedModel("x", template=template)
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "tool_name": "a", "content": "-A"},
        {"role": "tool", "tool_name": "b", "content": "-B"},
        {"role": "tool", "content": "-C"},
    ]
    body = {"messages": messages, "tools": [chat_tool("a"), chat_tool("b")], "stream": False}
    assert post(model, "/api/chat", body).status_code == 200
    said = model.prompt_text()
    ids = re.findall(r"[ab]\{\}=(\w+),", said)
    assert len(set(ids)) == 2
    assert f"tool:{ids[0]}-A;tool:{ids[1]}-B;" in said


# -- pictures and files ---------------------------------------------------------------------


def test_a_picture_in_a_tools_result_does_not_end_the_conversation() -> None:
    model = ScriptedModel("x")
    call = {"id": "c", "type": "function", "function": {"name": "a", "arguments": "{}"}}
    results: list[tuple[str, dict[str, Any]]] = [
        (
            "/v1/chat/completions",
            chat_body(tools=[chat_tool("a")])
            | {
                "messages": [
                    {"role": "user", "content": "x"},
                    {"role": "assistant", "tool_calls": [call]},
                    {"role": "tool", "tool_call_id": "c", "content": [PICTURE]},
                ]
            },
        ),
        (
            "/v1/responses",
            {
                "input": [
                    {"role": "user", "content": "x"},
                    {"type": "function_call", "call_id": "c", "name": "a", "arguments": "{}"},
                    {
                        "type": "function_call_output",
                        "call_id": "c",
                        "output": [{"type": "input_image", "image_url": "data:"}],
                    },
                ]
            },
        ),
        (
            "/v1/messages",
            {
                "max_tokens": 5,
                "messages": [
                    {"role": "user", "content": "x"},
                    {
                        "role": "assistant",
                        "content": [{"type": "tool_use", "id": "c", "name": "a", "input": {}}],
                    },
                    {
                        "role": "user",
                        "content": [
                            {
                                "type": "tool_result",
                                "tool_use_id": "c",
                                "content": [{"type": "image", "source": {"type": "base64"}}],
                            }
                        ],
                    },
                ],
            },
        ),
    ]
    for path, body in results:
        assert post(model, path, body).status_code == 200, path
        assert LEFT_OUT in model.prompt_text(), path


@pytest.mark.parametrize("kind", ["input_image", "input_file", "input_audio"])
def test_a_picture_or_file_from_the_user_is_a_400(kind: str) -> None:
    part = {"type": kind, "file_data": base64.b64encode(b"x").decode()}
    body = {"input": [{"role": "user", "content": [part, {"type": "input_text", "text": "q"}]}]}
    assert post(ScriptedModel(), "/v1/responses", body).status_code == 400


# -- lists of models ------------------------------------------------------------------------


def test_the_anthropic_sdk_pages_through_the_models_to_the_end() -> None:
    service = ScriptedService(*(ScriptedModel(model_id=f"m{n}") for n in range(3)))
    with serving(service) as url:
        sdk = anthropic.Anthropic(base_url=url, api_key=USER_KEY, max_retries=0)
        names = [model.id for model in sdk.models.list(limit=2)]
        last = sdk.models.list(limit=2, before_id=names[-1])
        sdk.close()
    assert names == ["m0", "m1", "m2", *(f"claude-local-m{n}" for n in range(3))]
    assert [model.id for model in last.data] == names[-3:-1]


# -- completions ----------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
def test_the_usage_of_several_prompts_counts_each_once(*, stream: bool) -> None:
    body = {"prompt": ["abcd", "efghij"], "n": 2, "stream": stream}
    answer = post(
        ScriptedModel("xy"), "/v1/completions", body | {"stream_options": {"include_usage": True}}
    )
    usage = (data_of(answer)[-2] if stream else answer.json())["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (10, 8)
    assert usage["prompt_tokens_details"] == {"cached_tokens": 6}


def test_offsets_of_log_probabilities_go_on_through_a_stream() -> None:
    body = {"prompt": "x", "logprobs": 1, "stream": True}
    chunks = data_of(post(ScriptedModel(["ab", "cd"]), "/v1/completions", body))[:-1]
    offsets = [n for chunk in chunks for n in chunk["choices"][0]["logprobs"]["text_offset"]]
    assert offsets == [0, 1, 2, 3]


@pytest.mark.parametrize("field", [{"best_of": 3}, {"echo": True, "logprobs": 1}, {"suffix": "x"}])
def test_what_a_completion_cannot_do_is_a_400(field: dict[str, Any]) -> None:
    assert post(ScriptedModel(), "/v1/completions", {"prompt": "x", **field}).status_code == 400
