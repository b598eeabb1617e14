"""Clients that read slowly or never, ask for 100 Continue, pack or misaddress their requests."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from tests.engine.api.harness import BOOT, chat_body
from tests.engine.api.live import serving
from tests.scripted_engine import ScriptedModel, ScriptedService

Address = tuple[str, int]
PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def model() -> ScriptedModel:
    return ScriptedModel("Hi.")


@pytest.fixture(scope="module")
def address(model: ScriptedModel) -> Iterator[Address]:
    with serving(ScriptedService(model)) as url:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        yield parts.hostname, parts.port


def request(address: Address, line: str, body: bytes = b"", *more: str, host: str = "") -> bytes:
    head = [
        line,
        f"Host: {host or f'127.0.0.1:{address[1]}'}",
        f"Authorization: Bearer {BOOT.token}",
        *more,
    ]
    if body:
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def until(condition: Callable[[], bool], limit_s: float = 10.0) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def answered(address: Address) -> bool:
    url = f"http://{address[0]}:{address[1]}{PATH}"
    headers = {"Authorization": f"Bearer {BOOT.token}"}
    answer = httpx.post(url, json=chat_body(), headers=headers, trust_env=False, timeout=10)
    return answer.status_code == 200


def heard(connection: socket.socket, *, want: bytes = b"") -> bytes:
    """All that comes until the server closes or `want` is in it."""
    connection.settimeout(10)
    found = b""
    while not (want and want in found):
        data = connection.recv(65536)
        if not data:
            break
        found += data
    return found


def test_a_client_that_never_reads_holds_up_nobody_and_costs_nothing_once_gone(
    model: ScriptedModel, address: Address
) -> None:
    model.scripts = [["x" * 20_000] * 4000, ["Hi."]]
    model.requests.clear()
    model.generations.clear()
    with socket.socket() as lazy:
        lazy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        lazy.connect(address)
        body = json.dumps(chat_body(stream=True)).encode()
        lazy.sendall(request(address, f"POST {PATH} HTTP/1.1", body))
        until(lambda: len(model.generations) == 1)
        assert answered(address)
        assert not model.generations[0].cancelled
    until(lambda: model.generations[0].cancelled)
    assert answered(address)


def test_a_slow_reader_gets_everything(model: ScriptedModel, address: Address) -> None:
    model.scripts = [["word "] * 300]
    model.requests.clear()
    body = json.dumps(chat_body(stream=True)).encode()
    with socket.create_connection(address) as slow:
        slow.sendall(request(address, f"POST {PATH} HTTP/1.1", body, "Connection: close"))
        slow.settimeout(10)
        found = b""
        while data := slow.recv(512):
            found += data
        assert found.count(b'"content":"word "') == 300
        assert b"[DONE]" in found


def test_100_continue_is_said_only_to_those_who_may_go_on(
    model: ScriptedModel, address: Address
) -> None:
    model.scripts = [["Hi."]]
    model.requests.clear()
    body = json.dumps(chat_body()).encode()
    head = request(address, f"POST {PATH} HTTP/1.1", body, "Expect: 100-continue")[: -len(body)]
    with socket.create_connection(address) as polite:
        polite.sendall(head)
        assert heard(polite, want=b"100 Continue\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        polite.sendall(body)
        assert b"200 OK" in heard(polite, want=b'"finish_reason":"stop"')
    with socket.create_connection(address) as stranger:
        stranger.sendall(head.replace(BOOT.token.encode(), b"wrong"))
        found = heard(stranger, want=b"\r\n\r\n")
        assert found.startswith(b"HTTP/1.1 401 ")
        assert b"100 Continue" not in found


def test_packed_bodies_and_old_http_are_refused(address: Address) -> None:
    body = gzip.compress(json.dumps(chat_body()).encode())
    asked: list[tuple[bytes, bytes]] = [
        (request(address, f"POST {PATH} HTTP/1.1", body, "Content-Encoding: gzip"), b" 415 "),
        (request(address, "GET /v1/models HTTP/1.0"), b" 400 "),
        (
            request(address, "OPTIONS /v1/models HTTP/1.1", b"", "Origin: http://evil.test"),
            b" 403 ",
        ),
        (request(address, "GET /v1/models HTTP/1.1", host="evil.test"), b" 403 "),
        (request(address, "GET http://evil.test/v1/models HTTP/1.1", host="evil.test"), b" 403 "),
        (request(address, "GET /v1/models HTTP/1.1", b"", "Origin: null"), b" 403 "),
        (request(address, "TRACE / HTTP/1.1"), b" 405 "),
    ]
    for sent, status in asked:
        with socket.create_connection(address) as client:
            client.sendall(sent)
            found = heard(client, want=b"\r\n\r\n")
            assert status in found.splitlines()[0], (sent[:60], found[:60])
            assert b"access-control" not in found.lower()
    assert answered(address)


def test_requests_in_a_row_on_one_connection_are_answered_in_order(
    model: ScriptedModel, address: Address
) -> None:
    model.scripts = [["One."], ["Two."]]
    model.requests.clear()
    body = json.dumps(chat_body()).encode()
    one = request(address, f"POST {PATH} HTTP/1.1", body)
    with socket.create_connection(address) as eager:
        eager.sendall(one + one)
        found = heard(eager, want=b"Two.")
    assert 0 < found.index(b"One.") < found.index(b"Two.")


def test_what_a_client_did_not_see_of_an_answer_is_not_put_into_its_history(
    model: ScriptedModel, address: Address
) -> None:
    model.scripts = [["Hello", " <tool_", 30.0, "call>"], ["Bye."]]
    model.requests.clear()
    model.generations.clear()
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    url = f"http://{address[0]}:{address[1]}{PATH}"
    headers = {"Authorization": f"Bearer {BOOT.token}"}
    body = chat_body("Hi", tools=[tool], stream=True)
    with httpx.stream("POST", url, json=body, headers=headers, trust_env=False) as stream:
        for line in stream.iter_lines():
            if "Hello" in line:
                break
    until(lambda: model.generations[0].cancelled)
    history = [*body["messages"], {"role": "assistant", "content": "Hello"}]
    again = {"messages": [*history, {"role": "user", "content": "Go on"}], "tools": [tool]}
    assert httpx.post(url, json=again, headers=headers, trust_env=False).status_code == 200
    assert "assistant\nHello <|im_end|>" in model.prompt_text()


def test_a_unicode_line_break_does_not_cut_an_event_in_two(
    model: ScriptedModel, address: Address
) -> None:
    said = "a\u2028b\u2029c\u0085d\u000be"
    headers = {"Authorization": f"Bearer {BOOT.token}"}
    for path, prefix in ((PATH, "data: "), ("/v1/messages", "data: "), ("/api/chat", "")):
        model.scripts = [[said]]
        model.requests.clear()
        url = f"http://{address[0]}:{address[1]}{path}"
        body = chat_body(stream=True, max_tokens=99)
        with httpx.stream("POST", url, json=body, headers=headers, trust_env=False) as stream:
            lines = [line.removeprefix(prefix) for line in stream.iter_lines()]
        parsed = [json.loads(line) for line in lines if line.startswith("{")]
        assert said in [text for found in parsed for text in texts(found)], path


def texts(value: object) -> Iterator[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from texts(child)
