"""Every answer says what was reused, in every shape, and the figures agree with one another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.control import EngineBoot, LoadSpec
from app.engine.api.app import build_app
from app.engine.service import Service
from scripts.make_synthetic_model import write_model
from tests.engine.api.harness import TOKEN, renderer

# words of the tiny vocabulary, so that the prompt has a few hundred tokens
LONG = "the cat and the dog went over the hill to see what was there " * 12
ASK = [{"role": "system", "content": LONG}, {"role": "user", "content": "and then"}]
FIXED: dict[str, Any] = {"temperature": 0, "max_tokens": 3}


@pytest.fixture(scope="module", params=["exact", "exact-llama"], ids=["hybrid", "attention"])
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    return write_model(folder / f"{request.param}.gguf", request.param)


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[httpx.AsyncClient]:
    service = Service(EngineBoot(token=TOKEN))
    spec = LoadSpec(model_path=str(path), model_id="m", n_ctx=4096, n_threads=1)
    events = [event async for event in service.load(spec)]
    assert events[-1].error is None, events[-1].error
    app = build_app(service, EngineBoot(token=TOKEN), renderer())
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://127.0.0.1:5000",
            headers=headers,
            timeout=60,
        ) as client:
            yield client
    finally:
        await service.close()


async def answer(client: httpx.AsyncClient, route: str, body: dict[str, Any]) -> Any:
    """The body, or the data of all events."""
    response = await client.post(route, json=body)
    assert response.status_code == 200, response.text
    if not body.get("stream"):
        return response.json()
    lines = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def openai_figures(usage: dict[str, Any], timings: dict[str, Any]) -> tuple[int, int, int]:
    """Prompt, reused and written tokens, which both objects tell."""
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    assert cached == timings["cache_n"]
    assert usage["prompt_tokens"] == timings["cache_n"] + timings["prompt_n"]
    assert usage["completion_tokens"] == timings["predicted_n"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return usage["prompt_tokens"], cached, usage["completion_tokens"]


async def chat(client: httpx.AsyncClient, *, stream: bool) -> tuple[int, int, int]:
    body = {"messages": ASK, **FIXED, "stream": stream, "stream_options": {"include_usage": True}}
    got = await answer(client, "/v1/chat/completions", body)
    if not stream:
        return openai_figures(got["usage"], got["timings"])
    assert got[-2]["timings"] == got[-1]["timings"]  # also for clients that ask for no usage
    return openai_figures(got[-1]["usage"], got[-1]["timings"])


async def messages(client: httpx.AsyncClient, *, stream: bool) -> tuple[int, int, int]:
    body = {"system": LONG, "messages": ASK[1:], **FIXED, "stream": stream}
    got = await answer(client, "/v1/messages", body)
    usage = got[-2]["usage"] if stream else got["usage"]
    if stream:
        first = got[0]["message"]["usage"]
        assert first["cache_read_input_tokens"] == usage["cache_read_input_tokens"]
        assert first["input_tokens"] == usage["input_tokens"]
    read = usage["cache_read_input_tokens"]
    total = usage["input_tokens"] + read + usage["cache_creation_input_tokens"]
    counted = await answer(client, "/v1/messages/count_tokens", body | {"stream": False})
    assert counted["input_tokens"] == total
    return total, read, usage["output_tokens"]


async def response(client: httpx.AsyncClient, *, stream: bool) -> tuple[int, int, int]:
    body = {"instructions": LONG, "input": "and then", "stream": stream}
    got = await answer(client, "/v1/responses", {**body, "temperature": 0, "max_output_tokens": 3})
    got = got[-1]["response"] if stream else got
    usage, timings = got["usage"], got["timings"]
    cached = usage["input_tokens_details"]["cached_tokens"]
    assert cached == timings["cache_n"]
    assert usage["input_tokens"] == timings["cache_n"] + timings["prompt_n"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    return usage["input_tokens"], cached, usage["output_tokens"]


async def completion(client: httpx.AsyncClient, *, stream: bool) -> tuple[int, int, int]:
    body = {"prompt": LONG, **FIXED, "stream": stream, "stream_options": {"include_usage": True}}
    got = await answer(client, "/v1/completions", body)
    if stream:
        return openai_figures(got[-1]["usage"], got[-2]["timings"])
    return openai_figures(got["usage"], got["timings"])


def test_all_shapes_tell_the_same_of_cold_and_warm_prompts(path: Path) -> None:
    async def work() -> None:
        async with serving(path) as client:
            cold = await chat(client, stream=False)
            assert cold[1] == 0
            assert cold[0] > 100
            for stream in (True, False):
                for shape in (chat, messages, response):
                    total, cached, written = await shape(client, stream=stream)
                    assert (total, written) == (cold[0], cold[2]), shape
                    assert 0 < cached <= total, shape
                    assert total - cached <= 9, shape
            first = await completion(client, stream=True)
            again = await completion(client, stream=False)
            assert first[0] == again[0]
            assert again[1] > 0.9 * again[0]

    asyncio.run(work())


def test_several_answers_and_prompts_count_each_prompt_once(path: Path) -> None:
    async def work() -> None:
        async with serving(path) as client:
            body = {"messages": ASK, "max_tokens": 3, "ignore_eos": True, "seed": 1}
            for stream in (False, True):
                three = {
                    **body,
                    "n": 3,
                    "stream": stream,
                    "stream_options": {"include_usage": True},
                }
                got = await answer(client, "/v1/chat/completions", three)
                usage = got[-1]["usage"] if stream else got["usage"]
                assert usage["completion_tokens"] == 9
                if stream:
                    ends = [chunk for chunk in got if "timings" in chunk][:-1]
                    assert len(ends) == 3
                    for end in ends:
                        figures = end["timings"]
                        assert figures["cache_n"] + figures["prompt_n"] == usage["prompt_tokens"]
                one = await answer(client, "/v1/chat/completions", body)
                assert one["usage"]["prompt_tokens"] == usage["prompt_tokens"]
            lengths = []
            for prompts in (["the cat"], ["and the dog went"], ["the cat", "and the dog went"]):
                both = {"prompt": prompts, "n": 2, "max_tokens": 2, "ignore_eos": True}
                got = await answer(client, "/v1/completions", both | {"logprobs": 1})
                lengths.append(got["usage"]["prompt_tokens"])
                assert got["usage"]["completion_tokens"] == 4 * len(prompts)
                for choice in got["choices"]:
                    assert len(choice["logprobs"]["tokens"]) == 2
            assert lengths[2] == lengths[0] + lengths[1]

    asyncio.run(work())


def test_an_answer_without_a_word_has_usage_too(path: Path) -> None:
    async def work() -> None:
        async with serving(path) as client:
            probe = {"messages": ASK, "temperature": 0, "max_tokens": 1, "ignore_eos": True}
            text = (await answer(client, "/v1/chat/completions", probe))["choices"][0]["message"]
            stopped = {**probe, "max_tokens": 5, "stop": [text["content"]]}
            if text["content"]:
                got = await answer(client, "/v1/chat/completions", stopped)
                assert got["choices"][0]["message"]["content"] == ""
                assert got["choices"][0]["finish_reason"] == "stop"
                assert openai_figures(got["usage"], got["timings"])[2] >= 1
            echo = {"prompt": "the cat", "max_tokens": 1, "echo": True, "temperature": 0}
            got = await answer(client, "/v1/completions", echo)
            assert got["choices"][0]["text"].startswith("the cat")
            assert got["usage"]["completion_tokens"] == 1

    asyncio.run(work())
