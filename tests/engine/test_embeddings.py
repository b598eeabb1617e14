"""/v1/embeddings with a real (tiny) BERT: tokens, pooling and vectors against numpy."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from app.core.control import EngineBoot, LoadSpec
from app.core.errors import NoModelLoaded, UnsupportedModel
from app.engine.api.app import build_app
from app.engine.gguf_header import read_header
from app.engine.loading import plan_context
from app.engine.service import Service
from tests.engine.api.harness import renderer
from tests.engine.bert_model import CLS, CONTROL, SEP, WORDS, random_bert, write_bert

MEAN, FIRST, RANK = 1, 2, 4
BERT = random_bert()
TOKEN = "t"
Vector = NDArray[np.float64]
Work = Callable[[httpx.AsyncClient], Coroutine[Any, Any, Any]]


def ids(*words: str) -> list[int]:
    return [CLS, *(len(CONTROL) + WORDS.index(word) for word in words), SEP]


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[httpx.AsyncClient]:
    boot = EngineBoot(token=TOKEN)
    service = Service(boot)
    spec = LoadSpec(model_path=str(path), model_id="bert", n_threads=1)
    events = [event async for event in service.load(spec)]
    assert events[-1].error is None, events[-1].error
    transport = httpx.ASGITransport(app=build_app(service, boot, renderer()))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try:
        async with httpx.AsyncClient(
            transport=transport, base_url="http://127.0.0.1:5000", headers=headers
        ) as client:
            yield client
    finally:
        await service.close()


def with_model(folder: Path, pooling: int, work: Work) -> Any:
    path = write_bert(folder / "bert.gguf", BERT, pooling=pooling)

    async def scenario() -> Any:
        async with serving(path) as client, asyncio.timeout(60):
            return await work(client)

    return asyncio.run(scenario())


def unit(vector: Any) -> Vector:
    found = np.asarray(vector, np.float64)
    normed: Vector = found / np.linalg.norm(found)
    return normed


def expected(pooling: int, tokens: list[int]) -> Vector:
    states = BERT.states(tokens)
    return unit(states.mean(0) if pooling == MEAN else states[0])


@pytest.mark.parametrize("pooling", [MEAN, FIRST])
def test_vectors_are_the_models_own_for_texts_and_tokens_in_every_encoding(
    pooling: int, tmp_path: Path
) -> None:
    async def work(client: httpx.AsyncClient) -> None:
        texts = ["the cat sat on a mat.", "dogs", "the dogs running"]
        listed = [
            ids("the", "cat", "sat", "on", "a", "mat", "."),
            ids("dog", "##s"),
            [CLS, *ids("the", "dog", "##s", "run")[1:-1], 1, SEP],
        ]
        answer = await client.post("/v1/embeddings", json={"input": texts[:2], "model": "bert"})
        body = answer.json()
        assert body["usage"] == {"prompt_tokens": 13, "total_tokens": 13}
        assert [item["index"] for item in body["data"]] == [0, 1]
        for item, tokens in zip(body["data"], listed, strict=False):
            assert unit(item["embedding"]) @ expected(pooling, tokens) > 0.99999
            assert abs(np.linalg.norm(item["embedding"]) - 1) < 1e-6
        as_tokens = await client.post("/v1/embeddings", json={"input": listed[:2]})
        assert as_tokens.json()["data"] == body["data"]
        coded = await client.post(
            "/v1/embeddings", json={"input": listed[0], "encoding_format": "base64"}
        )
        raw = base64.b64decode(coded.json()["data"][0]["embedding"])
        assert np.frombuffer(raw, "<f4") @ expected(pooling, listed[0]) > 0.99999
        short = await client.post("/v1/embeddings", json={"input": texts[0], "dimensions": 16})
        vector = short.json()["data"][0]["embedding"]
        assert unit(vector) @ unit(expected(pooling, listed[0])[:16]) > 0.9999

    with_model(tmp_path, pooling, work)


def test_what_does_not_work_is_said_and_the_engine_lives(tmp_path: Path) -> None:
    async def work(client: httpx.AsyncClient) -> None:
        refused: list[tuple[str, dict[str, Any], str]] = [
            ("/v1/embeddings", {"input": "cat " * 63}, "too long"),
            ("/v1/embeddings", {"input": [[5] * 65]}, "too long"),
            ("/v1/embeddings", {"input": ""}, "empty"),
            ("/v1/embeddings", {"input": [[]]}, "empty"),
            ("/v1/embeddings", {"input": [10**6]}, "token"),
            ("/v1/embeddings", {"input": "cat", "dimensions": 65}, "at most 64"),
            ("/v1/embeddings", {"input": "cat", "encoding_format": "int8"}, "float or base64"),
            ("/v1/completions", {"prompt": "cat"}, "cannot write text"),
            ("/v1/chat/completions", {"messages": [{"role": "user", "content": "a"}]}, "cannot"),
        ]
        for path, body, word in refused:
            answer = await client.post(path, json=body)
            assert answer.status_code == 400, (body, answer.text)
            assert word in json.dumps(answer.json()), answer.text
        longest = await client.post("/v1/embeddings", json={"input": [[5] * 64]})
        assert unit(longest.json()["data"][0]["embedding"]) @ expected(MEAN, [5] * 64) > 0.99999
        shown = (await client.post("/api/show", json={"model": "bert"})).json()
        assert shown["capabilities"] == ["embedding"]

    with_model(tmp_path, MEAN, work)


def test_without_a_name_each_request_finds_the_model_that_can_do_it(
    tmp_path: Path, hybrid_model_path: Path
) -> None:
    path = write_bert(tmp_path / "bert.gguf", BERT, pooling=MEAN)

    async def scenario() -> None:
        service = Service(EngineBoot(token=TOKEN))
        for name, file in (("chat", hybrid_model_path), ("bert", path)):
            spec = LoadSpec(model_path=str(file), model_id=name, n_ctx=512, n_threads=1)
            async for event in service.load(spec):
                assert event.error is None
        app = build_app(service, EngineBoot(token=TOKEN), renderer())
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=app),
            base_url="http://127.0.0.1:5000",
            headers={"Authorization": f"Bearer {TOKEN}"},
        ) as client:
            for _ in range(2):
                vector = await client.post("/v1/embeddings", json={"input": "cat"})
                assert (vector.status_code, vector.json()["model"]) == (200, "bert")
                said = await client.post("/v1/completions", json={"prompt": "a", "max_tokens": 1})
                assert (said.status_code, said.json()["model"]) == (200, "chat")
        await service.close()

    asyncio.run(scenario())


def test_a_client_that_goes_away_stops_the_reading_and_an_unload_ends_it(tmp_path: Path) -> None:
    path = write_bert(tmp_path / "bert.gguf", BERT, pooling=MEAN)

    async def scenario() -> None:
        service = Service(EngineBoot(token=TOKEN))
        async for _ in service.load(LoadSpec(model_path=str(path), model_id="b", n_threads=1)):
            pass
        model = await service.model("b")
        held, go_on = threading.Event(), threading.Event()

        def block() -> bool:
            held.set()
            return go_on.wait(10)

        blocker = model.scheduler.call(block)
        await asyncio.to_thread(held.wait)
        gone = asyncio.create_task(model.embed([[5]] * 1000))
        waiting = asyncio.create_task(model.embed([[5]]))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait({gone})
        unloading = asyncio.create_task(service.unload("b"))
        await asyncio.sleep(0.05)
        go_on.set()
        await unloading
        assert blocker.done()
        with pytest.raises(NoModelLoaded):
            await waiting
        await service.close()

    asyncio.run(scenario())


def test_a_model_that_ranks_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    path = write_bert(tmp_path / "rank.gguf", BERT, pooling=RANK)
    with pytest.raises(UnsupportedModel, match="only ranks"):
        plan_context(LoadSpec(model_path=str(path), model_id="rank"), read_header(path))
