"""The official SDKs against `garret serve` with the starter model: what no script can promise."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.e2e.conftest import serving

PARAMETERS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1, "maximum": 7},
    },
    "required": ["city"],
}
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}
ASK: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
PERSON: Any = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 18, "maximum": 99},
        "mood": {"enum": ["good", "bad"]},
    },
    "required": ["name", "age", "mood"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    with serving(home) as found:
        yield found.removesuffix("/v1")


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0) as found:
        yield found


@pytest.fixture(scope="module")
def model(client: openai.OpenAI) -> str:
    return client.models.list().data[0].id


@pytest.mark.parametrize(
    "choice", ["required", {"type": "function", "function": {"name": "get_weather"}}]
)
def test_a_forced_call_has_valid_arguments(client: openai.OpenAI, model: str, choice: Any) -> None:
    stream = client.chat.completions.create(
        model=model, messages=ASK, tools=[TOOL], tool_choice=choice, stream=True, max_tokens=120
    )
    name, arguments, finish = "", "", None
    for chunk in stream:
        for choice_ in chunk.choices:
            assert not choice_.delta.content
            finish = choice_.finish_reason or finish
            for call in choice_.delta.tool_calls or []:
                assert call.function is not None
                name += call.function.name or ""
                arguments += call.function.arguments or ""
    assert (name, finish) == ("get_weather", "tool_calls")
    value = json.loads(arguments)
    assert isinstance(value["city"], str)
    assert value.get("days", 1) in range(1, 8)


def test_a_schema_holds_in_all_three_apis(client: openai.OpenAI, url: str, model: str) -> None:
    wrapped: Any = {"type": "json_schema", "json_schema": {"name": "p", "schema": PERSON}}
    chat = client.chat.completions.create(
        model=model, messages=ASK, response_format=wrapped, max_tokens=120
    )
    form: Any = {"format": {"type": "json_schema", "name": "p", "schema": PERSON}}
    response = client.responses.create(model=model, input="Bob", text=form, max_output_tokens=120)
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as other:
        message = other.messages.create(
            model=model,
            max_tokens=120,
            messages=ASK,
            output_config={"format": {"type": "json_schema", "schema": PERSON}},
        )
    texts = [chat.choices[0].message.content, response.output_text, message.content[0].text]  # type: ignore[union-attr]
    for text in texts:
        value = json.loads(text or "")
        assert set(value) == {"name", "age", "mood"}
        assert 18 <= value["age"] <= 99


def test_the_next_turn_reads_only_what_is_new(client: openai.OpenAI, model: str) -> None:
    messages: Any = [{"role": "system", "content": "You help. " * 80}, *ASK]
    first = client.chat.completions.create(model=model, messages=messages, max_tokens=24)
    answer = first.choices[0].message.content
    messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": "And Rome?"}]
    second = client.chat.completions.create(model=model, messages=messages, max_tokens=4)
    timings: Any = (second.model_extra or {})["timings"]
    assert timings["prompt_n"] <= 24
    assert timings["cache_n"] > 200


def test_the_same_prompt_over_two_apis_is_read_once(url: str, model: str) -> None:
    with anthropic.Anthropic(base_url=url, api_key="any", max_retries=0) as other:
        turn: Any = [{"role": "user", "content": "Tell me about rivers. " * 20}]
        counted = other.messages.count_tokens(model=model, messages=turn).input_tokens
        usages = [
            other.messages.create(model=model, max_tokens=2, messages=turn).usage for _ in range(2)
        ]
    assert usages[0].input_tokens + (usages[0].cache_read_input_tokens or 0) == counted
    assert usages[1].input_tokens <= 2
