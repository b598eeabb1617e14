"""Real sockets that dawdle, crowd or flood: each is let go, and others are served meanwhile."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from app.engine.api import body
from app.engine.api.connections import MAX_HEADER_BYTES, GuardedProtocol
from tests.engine.api.harness import BOOT
from tests.engine.api.live import serving
from tests.scripted_engine import ScriptedModel, ScriptedService

LIMIT_S = 0.25
AT_ONCE = 6


class Hasty(GuardedProtocol):
    header_limit_s = LIMIT_S
    max_connections = AT_ONCE


@pytest.fixture(scope="module")
def address() -> Iterator[tuple[str, int]]:
    with serving(ScriptedService(ScriptedModel([])), Hasty) as url:
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        yield parts.hostname, parts.port


def _head(address: tuple[str, int], line: str, *more: str) -> bytes:
    head = [line, f"Host: 127.0.0.1:{address[1]}", f"Authorization: Bearer {BOOT.token}", *more]
    return "\r\n".join(head).encode() + b"\r\n"


def _alive(address: tuple[str, int]) -> bool:
    url = f"http://{address[0]}:{address[1]}/healthz"
    headers = {"Authorization": f"Bearer {BOOT.token}"}
    return httpx.get(url, headers=headers, trust_env=False).status_code == 200


def _until_closed(connection: socket.socket, drip: bytes = b"") -> bytes:
    """What the server says until it closes; a byte of `drip` is sent every now and then."""
    connection.settimeout(0.05)
    deadline = time.monotonic() + 10 * LIMIT_S
    heard = b""
    while time.monotonic() < deadline:
        try:
            if drip:
                connection.sendall(drip)
            data = connection.recv(65536)
        except TimeoutError:
            continue
        except OSError:
            return heard
        if not data:
            return heard
        heard += data
    raise AssertionError(f"the server never let go: {heard!r}")


@pytest.mark.parametrize("drip", [b"", b"x"], ids=["silent", "a byte at a time"])
def test_headers_that_never_end_are_cut_off(address: tuple[str, int], drip: bytes) -> None:
    with socket.create_connection(address) as slow:
        slow.sendall(_head(address, "GET /healthz HTTP/1.1") + b"X-Slow: ")
        assert _alive(address)
        assert b" 408 " in _until_closed(slow, drip)


def test_a_connection_that_says_nothing_is_cut_off(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as silent:
        assert b" 408 " in _until_closed(silent)


def test_a_second_request_may_not_dawdle_either(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as slow:
        slow.sendall(_head(address, "GET /healthz HTTP/1.1") + b"\r\n")
        assert b"200 OK" in slow.recv(65536)
        slow.sendall(b"GET /healthz HTTP/1.1\r\nX: ")
        _until_closed(slow, b"y")


def test_the_rest_of_a_refused_body_is_not_awaited(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as slow:
        head = _head(address, "POST /v1/messages HTTP/1.1", "Content-Type: text/plain")
        slow.sendall(head + b"Content-Length: 1000\r\n\r\n")
        assert b" 415 " in _until_closed(slow, b"z")


def test_a_body_that_never_ends_is_answered_408(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "READ_LIMIT_S", LIMIT_S)
    with socket.create_connection(address) as slow:
        head = _head(address, "POST /v1/chat/completions HTTP/1.1")
        slow.sendall(head + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
        assert _alive(address)
        heard = _until_closed(slow, b" ")
        assert b" 408 " in heard
        assert b"took too long" in heard


def test_a_chunked_body_is_measured_as_it_comes(
    address: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(body, "MAX_BODY_BYTES", 1000)
    with socket.create_connection(address) as flood:
        head = _head(address, "POST /v1/chat/completions HTTP/1.1")
        flood.sendall(
            head + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        heard = _until_closed(flood, b"200\r\n" + b" " * 512 + b"\r\n")
        assert b" 413 " in heard


def test_endless_headers_are_refused(address: tuple[str, int]) -> None:
    with socket.create_connection(address) as flood:
        flood.sendall(_head(address, "GET / HTTP/1.1") + b"X: " + b"y" * (2 * MAX_HEADER_BYTES))
        assert b" 400 " in _until_closed(flood)


def test_too_many_connections_are_told_to_wait(address: tuple[str, int]) -> None:
    held = [socket.create_connection(address) for _ in range(AT_ONCE)]
    try:
        time.sleep(0.05)
        with socket.create_connection(address) as late:
            heard = _until_closed(late)
            assert b" 503 " in heard
            assert b"Retry-After" in heard
    finally:
        for connection in held:
            connection.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            assert _alive(address)
            break
        except (httpx.HTTPError, AssertionError):
            time.sleep(0.05)
    assert _alive(address)


def test_a_long_answer_is_no_slow_request() -> None:
    """The limit is on what a client owes us, never on what it waits for."""
    model = ScriptedModel(["a", 2 * LIMIT_S, "b"])
    with serving(ScriptedService(model), Hasty) as url:
        answer = httpx.post(
            f"{url}/v1/chat/completions",
            headers={"Authorization": f"Bearer {BOOT.token}"},
            json={"messages": [{"role": "user", "content": "x"}]},
            trust_env=False,
            timeout=20,
        )
    assert answer.json()["choices"][0]["message"]["content"] == "ab"
