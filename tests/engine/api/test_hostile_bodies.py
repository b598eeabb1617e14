"""Mutated request bodies: every one is answered or refused, none breaks a handler."""

from __future__ import annotations

import copy
import random
from typing import Any

import httpx
import pytest

from tests.engine.api.harness import client, run
from tests.scripted_engine import ScriptedModel

TOOL = {
    "name": "f",
    "description": "d",
    "parameters": {"type": "object", "properties": {"a": {"type": "string", "pattern": "^x+$"}}},
    "input_schema": {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}},
}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": "x"}'}}
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}}
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "scripted",
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "t"}]},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ],
        "tools": [{"type": "function", "function": TOOL}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "temperature": 0.5,
        "logit_bias": {"5": 1},
        "stop": ["x"],
        "stream": True,
        "stream_options": {"include_usage": True},
        "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
        "chat_template_kwargs": {"enable_thinking": False},
    },
    "/v1/messages": {
        "model": "scripted",
        "max_tokens": 5,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "t"}]},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "content": [{"type": "tool_reference", "tool_name": "f"}],
                    }
                ],
            },
        ],
        "tools": [{**TOOL, "defer_loading": True}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "thinking": {"type": "enabled", "budget_tokens": 5},
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        "stop_sequences": ["x"],
    },
    "/v1/messages/count_tokens": {
        "messages": [{"role": "user", "content": "x"}],
        "tools": [TOOL],
        "system": "s",
    },
    "/v1/responses": {
        "input": [
            {
                "type": "message",
                "role": "developer",
                "content": [{"type": "input_text", "text": "x"}],
            },
            {"role": "user", "content": "x"},
            {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "x"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [{"text": "x"}]},
        ],
        "instructions": "i",
        "tools": [
            {"type": "function", **TOOL},
            {"type": "namespace", "name": "n", "tools": [{"type": "function", **TOOL}]},
            {"type": "custom", "name": "p"},
        ],
        "tool_choice": "required",
        "text": {"format": {"type": "json_schema", "schema": SCHEMA}},
        "reasoning": {"effort": "low"},
        "include": ["message.output_text.logprobs"],
        "stream": True,
    },
    "/v1/completions": {"prompt": ["a", "b"], "n": 1, "logprobs": 1, "echo": True},
    "/v1/embeddings": {"input": ["a"], "encoding_format": "float", "dimensions": 1},
    "/api/chat": {
        "model": "scripted:latest",
        "messages": [{"role": "user", "content": "x", "images": []}],
        "options": {"temperature": 1, "stop": ["x"], "num_predict": 3},
        "format": SCHEMA,
        "think": True,
        "tools": [{"type": "function", "function": TOOL}],
    },
    "/api/show": {"model": "scripted"},
    "/tokenize": {"content": "x", "with_pieces": True},
    "/detokenize": {"tokens": [1, 2]},
    "/control/configure": {"share": True, "user_keys": ["a"], "models": {}},
}
ROUNDS = 40
ODD: list[Any] = [
    *(None, True, False, 0, -1, 1.5, 1e308, 2**70, "", "x", "é\u202e\x00", "<|im_end|>", [], {}),
    *([[]], [None], ["x"], {"type": "x"}, {"type": None}, [{"type": "text"}], {"a": {"b": []}}),
    *({"$ref": "#"}, {"type": "object", "properties": 5}, {"enum": [{}]}, "\ue000\ue001"),
]


def mutated(body: Any, random_: random.Random) -> Any:
    body = copy.deepcopy(body)
    for _ in range(random_.choice((1, 1, 2, 4))):
        holder, key = body, None
        while isinstance(holder, dict | list) and holder:
            key = random_.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
            child = holder[key]
            if not isinstance(child, dict | list) or not child or random_.random() < 0.35:
                break
            holder = child
        if key is None or not isinstance(holder, dict | list):
            continue
        if random_.random() < 0.2 and isinstance(holder, dict):
            del holder[key]
        else:
            holder[key] = copy.deepcopy(random_.choice(ODD))
    return body


@pytest.mark.parametrize("path", sorted(BODIES))
def test_no_mutated_body_breaks_a_handler(path: str) -> None:
    random_ = random.Random(path)
    model = ScriptedModel('{"a": "x"}}\n</tool_call>')
    model.vectors = [[1.0, 2.0]]

    async def work() -> list[tuple[int, Any, str]]:
        broken = []
        async with client(model) as http:
            for _ in range(ROUNDS):
                body = mutated(BODIES[path], random_)
                response: httpx.Response = await http.post(path, json=body)
                failed = response.status_code >= 500 or "engine made a mistake" in response.text
                if failed and response.status_code != 503:
                    broken.append((response.status_code, body, response.text[:200]))
        return broken

    assert run(work) == []
