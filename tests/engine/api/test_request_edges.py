"""Requests at the edge of what is sensible: nothing is left running, nothing breaks or hangs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest

from app.engine.api.answers import merge
from app.engine.api.app import build_app
from app.engine.chat.values import AnswerEvent
from tests.engine.api.harness import BOOT, TOKEN, chat_body, client, get, post, renderer, run
from tests.scripted_engine import ScriptedModel, ScriptedService

TOOL = {"name": "f", "parameters": {"type": "object"}, "input_schema": {"type": "object"}}
ASK = chat_body()["messages"]
# a body for each route that generates, and the flags it reads
ROUTES: list[tuple[str, dict[str, Any], tuple[str, ...]]] = [
    (
        "/v1/chat/completions",
        {"messages": ASK, "stream": True},
        ("stream", "return_progress", "ignore_eos", "parallel_tool_calls"),
    ),
    ("/v1/completions", {"prompt": "x"}, ("stream", "echo", "ignore_eos")),
    ("/v1/messages", {"messages": ASK, "tools": [TOOL]}, ("stream",)),
    ("/v1/responses", {"input": "x"}, ("stream", "store", "parallel_tool_calls")),
    ("/api/chat", {"messages": ASK}, ("stream",)),
]


def raw_post(model: ScriptedModel, path: str, content: bytes) -> httpx.Response:
    async def work() -> httpx.Response:
        async with client(model) as http:
            headers = {"Content-Type": "application/json"}
            return await http.post(path, content=content, headers=headers)

    response: httpx.Response = run(work)
    return response


@pytest.mark.parametrize(("path", "body", "flags"), ROUTES)
def test_a_bad_flag_is_refused_before_anything_is_generated(
    path: str, body: dict[str, Any], flags: tuple[str, ...]
) -> None:
    for name in flags:
        model = ScriptedModel("x")
        response = post(model, path, {**body, name: "yes"})
        assert (response.status_code, model.generations) == (400, []), name
        assert name in response.text


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_a_client_that_is_gone_at_once_leaves_nothing_running(path: str, count: int) -> None:
    async def work() -> None:
        for stream in (True, False):
            model = ScriptedModel(["a", 30.0, "b"])
            app = build_app(ScriptedService(model), BOOT, renderer())
            body = json.dumps(chat_body(prompt="x", stream=stream, n=count)).encode()
            inbox: list[Any] = [{"type": "http.request", "body": body, "more_body": False}]

            async def receive(inbox: list[Any] = inbox) -> Any:
                return inbox.pop(0) if inbox else {"type": "http.disconnect"}

            async def send(message: Any) -> None:
                del message

            headers = {
                "host": "127.0.0.1:5000",
                "authorization": f"Bearer {TOKEN}",
                "content-type": "application/json",
            }
            scope = {
                "type": "http",
                "method": "POST",
                "path": path,
                "raw_path": path.encode(),
                "query_string": b"",
                "http_version": "1.1",
                "scheme": "http",
                "server": ("127.0.0.1", 5000),
                "client": ("127.0.0.1", 4),
                "headers": [(k.encode(), v.encode()) for k, v in headers.items()],
            }
            await app(scope, receive, send)
            assert len(model.generations) == count
            assert all(generation.cancelled for generation in model.generations)

    run(work)


def test_one_of_several_answers_that_breaks_ends_all_of_them() -> None:
    class Broken:
        cancelled = False

        def __init__(self, error: Exception | None) -> None:
            self.error = error

        def cancel(self) -> None:
            self.cancelled = True

        async def events(self) -> AsyncGenerator[AnswerEvent, None]:
            if self.error is not None:
                raise self.error
            await asyncio.sleep(30)
            yield  # type: ignore[misc]

    async def work() -> list[bool]:
        answers: list[Any] = [Broken(None), Broken(KeyError("a bug"))]
        with pytest.raises(KeyError):
            async for _ in merge(answers):
                pass
        return [answer.cancelled for answer in answers]

    assert run(work) == [True, True]


@pytest.mark.parametrize(
    "text",
    ['{"input": "x", "metadata": {"a": 1e999}}', '{"input": "x", "top_p": -1e400}'],
)
def test_numbers_beyond_all_bounds_are_a_400(text: str) -> None:
    assert raw_post(ScriptedModel("x"), "/v1/responses", text.encode()).status_code == 400


def test_millions_of_brackets_are_refused_before_they_are_built() -> None:
    content = b'{"messages": [' + b"[]," * 2_000_001 + b"[]]}"
    assert raw_post(ScriptedModel("x"), "/v1/chat/completions", content).status_code == 413


@pytest.mark.parametrize(("depth", "status"), [(195, 200), (203, 400)])
def test_depth_is_bounded(depth: int, status: int) -> None:
    nested: Any = "x"
    for _ in range(depth - 4):
        nested = [nested]
    body = {"input": "x", "metadata": {"a": nested}}
    assert post(ScriptedModel("x"), "/v1/responses", body).status_code == status


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "m"}] * 1001}),
        (
            "/v1/chat/completions",
            {"messages": ASK, "tools": [{"function": {"name": f"f{n}"}} for n in range(1001)]},
        ),
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "x" * 20_000}]}),
        ("/v1/completions", {"prompt": ["a", "x" * 20_000]}),
        ("/v1/embeddings", {"input": ["a", "x" * 20_000]}),
    ],
)
def test_what_cannot_fit_is_refused_without_tokenizing_it(path: str, body: dict[str, Any]) -> None:
    model = ScriptedModel("x", n_ctx=1000)
    calls: list[bool] = []
    whole = model.tokenizer.tokenize

    def tokenize(text: str, *, parse_special: bool, add_special: bool = False) -> list[int]:
        del add_special
        calls.append(len(text) > 2000)
        return whole(text, parse_special=parse_special)

    model.tokenizer.tokenize = tokenize  # type: ignore[method-assign]
    error = post(model, path, body).json()["error"]
    assert error["code"] == "context_length_exceeded"
    assert error["n_prompt_tokens"] > error["n_ctx"] == 1000
    assert not any(calls)


def test_the_app_gets_through_when_others_fill_every_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.engine.api.security.MAX_CONCURRENT", 0)

    async def work() -> tuple[int, int]:
        service = ScriptedService(ScriptedModel("x"))
        async with client(service, key="user-key") as other, client(service) as own:
            return (
                (await other.get("/v1/models")).status_code,
                (await own.get("/v1/models")).status_code,
            )

    assert run(work) == (429, 200)


@pytest.mark.parametrize("limit", ["9" * 5000, "0", "-1", "x", "٣"])
def test_an_odd_limit_does_not_break_the_list_of_models(limit: str) -> None:
    answer = get(ScriptedModel(), f"/v1/models?limit={limit}", **{"anthropic-version": "1"})
    assert answer.status_code == 200
    assert answer.json()["data"]
