"""The real openai and anthropic SDKs over a real loopback port."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.engine.api.harness import USER_KEY
from tests.engine.api.live import serving
from tests.scripted_engine import ScriptedModel, ScriptedService

CALL = '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
PARAMETERS: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "integer"}}}
TOOL: Any = {"type": "function", "function": {"name": "add", "parameters": PARAMETERS}}
ASK: Any = [{"role": "user", "content": "Hi"}]


class Sdks:
    def __init__(self, model: ScriptedModel, url: str) -> None:
        self.model = model
        self.openai = openai.OpenAI(base_url=f"{url}/v1", api_key=USER_KEY, max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=url, api_key=USER_KEY, max_retries=0)

    def says(self, *scripts: Any) -> None:
        self.model.scripts = [[s] if isinstance(s, str) else s for s in scripts]
        self.model.requests.clear()


@pytest.fixture(scope="module")
def sdks() -> Iterator[Sdks]:
    model = ScriptedModel("Hello.")
    with serving(ScriptedService(model)) as url:
        found = Sdks(model, url)
        yield found
        found.openai.close()
        found.anthropic.close()


@pytest.fixture(autouse=True)
def quick_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.engine.api.sse.PING_S", 0.05)


def test_openai_chat_whole_and_streamed_through_a_silence(sdks: Sdks) -> None:
    sdks.says("Hello.")
    answer = sdks.openai.chat.completions.create(model="scripted", messages=ASK)
    assert answer.choices[0].message.content == "Hello."
    sdks.says([0.3, "He", 0.2, "llo."])
    stream = sdks.openai.chat.completions.create(
        model="scripted", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "Hello."
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens == 3  # type: ignore[union-attr]


def test_openai_tools_helper(sdks: Sdks) -> None:
    sdks.says(CALL)
    with sdks.openai.chat.completions.stream(
        model="scripted", messages=ASK, tools=[TOOL]
    ) as stream:
        final = stream.get_final_completion()
    call = final.choices[0].message.tool_calls[0]  # type: ignore[index]
    assert json.loads(call.function.arguments) == {"a": 1}
    assert final.choices[0].finish_reason == "tool_calls"


class Point(BaseModel):
    x: int
    y: int | None


def test_openai_structured_output(sdks: Sdks) -> None:
    sdks.says('{"x": 1, "y": null}')
    parsed = sdks.openai.chat.completions.parse(
        model="scripted", messages=ASK, response_format=Point
    )
    assert parsed.choices[0].message.parsed == Point(x=1, y=None)
    assert sdks.model.requests[0].grammar is not None


def test_openai_responses_with_ping_events(sdks: Sdks) -> None:
    sdks.says([0.3, "Hello."])
    kinds = []
    for event in sdks.openai.responses.create(model="scripted", input="Hi", stream=True):
        kinds.append(event.type)
    assert kinds[-1] == "response.completed"
    sdks.says([0.2, "Hello."])
    with sdks.openai.responses.stream(model="scripted", input="Hi") as stream:
        assert stream.get_final_response().output_text == "Hello."
    sdks.says('{"x": 2, "y": 3}')
    parsed = sdks.openai.responses.parse(model="scripted", input="Hi", text_format=Point)
    assert parsed.output_parsed == Point(x=2, y=3)


def test_openai_responses_are_counted_and_their_input_listed(sdks: Sdks) -> None:
    sdks.says("One.", "Two.")
    client = sdks.openai.responses
    counted = client.input_tokens.count(model="scripted", input="Hi", instructions="Be brief.")
    first = client.create(model="scripted", input="Hi", instructions="Be brief.")
    assert first.usage
    assert counted.input_tokens == first.usage.input_tokens
    second = client.create(model="scripted", input="More", previous_response_id=first.id)
    listed = list(client.input_items.list(second.id))
    assert [item.type for item in listed] == ["message", "message", "message"]
    assert len({item.id for item in listed}) == 3
    forwards = client.input_items.list(second.id, order="asc").data
    assert [item.id for item in forwards] == [item.id for item in reversed(listed)]
    with pytest.raises(openai.NotFoundError):
        client.input_items.list("resp_none")


def test_openai_models_completions_and_errors(sdks: Sdks) -> None:
    assert [model.id for model in sdks.openai.models.list()] == ["scripted"]
    assert sdks.openai.models.retrieve("scripted").id == "scripted"
    sdks.says("x")
    done = sdks.openai.completions.create(model="scripted", prompt="a")
    assert done.choices[0].text == "x"
    with pytest.raises(openai.NotFoundError):
        sdks.openai.chat.completions.create(model="none", messages=ASK)
    with pytest.raises(openai.BadRequestError):
        sdks.openai.chat.completions.create(model="scripted", messages=[])
    with pytest.raises(openai.AuthenticationError):
        sdks.openai.with_options(api_key="wrong").models.list()


def test_anthropic_messages_whole_and_streamed_through_a_silence(sdks: Sdks) -> None:
    sdks.says("Hello.")
    message = sdks.anthropic.messages.create(model="scripted", max_tokens=9, messages=ASK)
    assert message.content[0].text == "Hello."  # type: ignore[union-attr]
    sdks.says([0.3, "Hello."])
    with sdks.anthropic.messages.stream(model="scripted", max_tokens=9, messages=ASK) as stream:
        assert "".join(stream.text_stream) == "Hello."
        assert stream.get_final_message().usage.output_tokens == 6


def test_anthropic_tools_and_counting(sdks: Sdks) -> None:
    tool: Any = {"name": "add", "input_schema": PARAMETERS}
    sdks.says(CALL)
    with sdks.anthropic.messages.stream(
        model="scripted", max_tokens=9, messages=ASK, tools=[tool]
    ) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    assert final.content[0].input == {"a": 1}  # type: ignore[union-attr]
    counted = sdks.anthropic.messages.count_tokens(model="scripted", messages=ASK)
    assert counted.input_tokens > 5
    assert sdks.anthropic.models.list(limit=50).data[0].id == "scripted"


def test_anthropic_errors(sdks: Sdks) -> None:
    with pytest.raises(anthropic.NotFoundError):
        sdks.anthropic.messages.create(model="none", max_tokens=9, messages=ASK)
    with pytest.raises(anthropic.BadRequestError):
        sdks.anthropic.messages.create(model="scripted", max_tokens=9, messages=[])


def test_closing_a_stream_cancels_the_generation(sdks: Sdks) -> None:
    sdks.says(["a", 30.0, "b"])
    stream = sdks.openai.chat.completions.create(model="scripted", messages=ASK, stream=True)
    next(iter(stream))
    stream.close()
    for _ in range(200):
        if sdks.model.generations[-1].cancelled:
            return
        time.sleep(0.02)
    pytest.fail("the generation still runs")
