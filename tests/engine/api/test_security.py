"""security.md §7 and §11.3: who may talk to the endpoint."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from app.core.control import EngineBoot
from app.engine.api.app import build_app
from app.engine.api.security import MAX_BODY_BYTES
from tests.engine.api.harness import (
    BOOT,
    HOST,
    TOKEN,
    USER_KEY,
    chat_body,
    client,
    post,
    renderer,
    run,
)
from tests.scripted_engine import ScriptedModel, ScriptedService

OFF = EngineBoot(token=TOKEN, share=False, user_keys=(USER_KEY,))


def ask(
    boot: EngineBoot = BOOT,
    *,
    key: str | None = TOKEN,
    method: str = "GET",
    path: str = "/v1/models",
    headers: dict[str, str] | None = None,
    content: bytes | None = None,
) -> httpx.Response:
    async def work() -> httpx.Response:
        async with client(ScriptedModel(), boot, key) as http:
            return await http.request(method, path, headers=headers, content=content)

    response: httpx.Response = run(work)
    return response


def raw(headers: list[tuple[bytes, bytes]], **scope: Any) -> int:
    """The status for headers that no HTTP library would send."""
    statuses: list[int] = []

    async def work() -> None:
        app = build_app(ScriptedService(ScriptedModel()), BOOT, renderer())

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await app(
            {
                "type": "http",
                "method": "GET",
                "path": "/v1/models",
                "raw_path": b"/v1/models",
                "query_string": b"",
                "http_version": "1.1",
                "scheme": "http",
                "server": ("127.0.0.1", 5000),
                "client": ("127.0.0.1", 4),
                "headers": headers,
                **scope,
            },
            receive,
            send,
        )

    run(work)
    return statuses[0]


KEY = (b"authorization", f"Bearer {TOKEN}".encode())
GOOD_HOST = (b"host", HOST.encode())


def test_the_apps_own_socket_needs_its_own_host_and_a_key() -> None:
    own: Any = {"server": ("/run/user/1000/garret/x.sock", None), "client": None}
    assert raw([(b"host", b"localhost"), KEY], **own) == 200
    assert raw([(b"host", b"localhost")], **own) == 401
    for host in (b"127.0.0.1", b"localhost:80", b"evil.com", b""):
        assert raw([(b"host", host), KEY], **own) == 403
    assert raw([KEY], **own) == 403
    assert raw([(b"host", b"localhost"), KEY], server=None) == 403


def test_every_route_needs_a_key() -> None:
    app = build_app(ScriptedService(), BOOT, renderer())
    for route in app.routes:
        methods = getattr(route, "methods", None) or {"GET"}
        for method in methods - {"HEAD"}:
            path = route.path.replace("{name:path}", "x").replace("{name}", "x")  # type: ignore[attr-defined]
            assert ask(key=None, method=method, path=path).status_code == 401, path
    assert ask(key=None, method="HEAD", path="/").status_code == 401
    assert ask(key=None, path="/nowhere").status_code == 401


@pytest.mark.parametrize("key", ["", "wrong", TOKEN + "x", TOKEN[:-1], USER_KEY + "\xe9"])
def test_a_wrong_key_is_refused(key: str) -> None:
    headers = {"authorization": f"Bearer {key}".encode("latin-1").decode("latin-1")}
    assert raw([GOOD_HOST, (b"authorization", headers["authorization"].encode("latin-1"))]) == 401


def test_a_key_in_the_query_opens_nothing() -> None:
    assert ask(key=None, path=f"/v1/models?key={TOKEN}&api_key={TOKEN}").status_code == 401


def test_both_key_headers_are_understood() -> None:
    assert ask(key=None, headers={"x-api-key": USER_KEY}).status_code == 200
    assert ask(key=USER_KEY).status_code == 200
    assert ask(key="stale", headers={"x-api-key": USER_KEY}).status_code == 200


def test_user_keys_open_nothing_while_sharing_is_off() -> None:
    assert ask(OFF, key=USER_KEY).status_code == 401
    assert ask(OFF, key=TOKEN).status_code == 200


def test_any_key_may_be_accepted_on_loopback_but_never_none() -> None:
    boot = EngineBoot(token=TOKEN, share=True, any_user_key=True)
    assert ask(boot, key="whatever").status_code == 200
    assert ask(boot, key=None).status_code == 401
    assert ask(boot, key="").status_code == 401
    assert ask(boot, key="whatever", path="/control/status").status_code == 403
    closed = EngineBoot(token=TOKEN, share=False, any_user_key=True)
    assert ask(closed, key="whatever").status_code == 401
    abroad = EngineBoot(token=TOKEN, share=True, any_user_key=True, host="0.0.0.0")
    assert ask(abroad, key="whatever").status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/control/status"), ("POST", "/control/load"), ("POST", "/control/configure")],
)
def test_user_keys_never_open_the_control_routes(method: str, path: str) -> None:
    response = ask(
        key=USER_KEY, method=method, path=path, headers={"content-type": "application/json"}
    )
    assert response.status_code == 403


def test_sharing_can_be_switched_while_it_runs() -> None:
    async def work() -> list[int]:
        service = ScriptedService(ScriptedModel())
        app = build_app(service, OFF, renderer())
        transport = httpx.ASGITransport(app=app)
        seen = []
        async with httpx.AsyncClient(transport=transport, base_url=f"http://{HOST}") as http:
            user, own = {"x-api-key": "k2"}, {"x-api-key": TOKEN}
            seen.append((await http.get("/v1/models", headers=user)).status_code)
            changes = {"share": True, "user_keys": ["k2"]}
            await http.post("/control/configure", json=changes, headers=own)
            seen.append((await http.get("/v1/models", headers=user)).status_code)
            await http.post("/control/configure", json={"share": False}, headers=own)
            seen.append((await http.get("/v1/models", headers=user)).status_code)
        assert service.configured[0]["user_keys"] == ("k2",)
        return seen

    assert run(work) == [401, 200, 401]


@pytest.mark.parametrize(
    "host",
    [
        "evil.com",
        "",
        "127.0.0.1.evil.com:5000",
        "0.0.0.0:5000",
        "localhost.:5000",
        "127.0.0.1:5001",
        "127.0.0.1",
        "mac.local:5000",
        "a.internal:5000",
        "192.168.0.7:5000",
        "[::]:5000",
    ],
)
def test_a_foreign_host_is_refused(host: str) -> None:
    assert raw([(b"host", host.encode()), KEY]) == 403


@pytest.mark.parametrize(
    "host", ["127.0.0.1:5000", "localhost:5000", "LOCALHOST:5000", "[::1]:5000"]
)
def test_the_loopback_names_are_served(host: str) -> None:
    assert raw([(b"host", host.encode()), KEY]) == 200


def test_a_missing_host_and_a_doubled_one_are_refused() -> None:
    assert raw([KEY]) == 403
    assert raw([GOOD_HOST, GOOD_HOST, KEY]) == 400


def test_doubled_or_contradicting_headers_are_refused() -> None:
    assert raw([GOOD_HOST, KEY, KEY]) == 400
    length, chunked = (b"content-length", b"3"), (b"transfer-encoding", b"chunked")
    assert raw([GOOD_HOST, KEY, length, length]) == 400
    assert raw([GOOD_HOST, KEY, length, chunked]) == 400
    assert raw([GOOD_HOST, KEY, (b"content-length", b"-3")]) == 400


def test_http_1_0_is_refused() -> None:
    assert raw([GOOD_HOST, KEY], http_version="1.0") == 400


@pytest.mark.parametrize("origin", ["null", "https://evil.com", "http://localhost:3000", ""])
def test_a_foreign_origin_is_refused(origin: str) -> None:
    assert raw([GOOD_HOST, KEY, (b"origin", origin.encode())]) == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_request_from_another_site_is_refused(site: str) -> None:
    assert raw([GOOD_HOST, KEY, (b"sec-fetch-site", site.encode())]) == 403


def test_an_origin_the_user_allowed_is_served_without_cors_headers() -> None:
    boot = EngineBoot(token=TOKEN, allowed_origins=("http://localhost:3000",))
    response = ask(boot, headers={"origin": "http://localhost:3000"})
    assert response.status_code == 200
    assert not any(name.startswith("access-control") for name in response.headers)


def test_a_preflight_learns_nothing() -> None:
    response = ask(method="OPTIONS", headers={"access-control-request-method": "POST"})
    assert response.status_code == 405
    assert not any(name.startswith("access-control") for name in response.headers)


@pytest.mark.parametrize(
    "kind",
    [None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"],
)
def test_a_body_that_is_not_declared_json_is_refused(kind: str | None) -> None:
    headers = {"content-type": kind} if kind else {}
    response = ask(
        method="POST", path="/v1/chat/completions", headers=headers, content=b'{"messages":[]}'
    )
    assert response.status_code == 415


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"a": NaN}',
        b'{"messages": ' + b"[" * 100_000,
        b'{"a":' * 300 + b"1" + b"}" * 300,
        b"\xff\xfe",
        b'{"n": ' + b"9" * 10_000 + b"}",
    ],
)
def test_a_body_that_is_no_json_object_is_a_400(content: bytes) -> None:
    response = ask(
        method="POST",
        path="/v1/chat/completions",
        headers={"content-type": "application/json"},
        content=content,
    )
    assert response.status_code == 400
    assert response.json()["error"]["message"]


def test_an_announced_giant_body_is_refused_before_it_is_read() -> None:
    giant = (b"content-length", str(MAX_BODY_BYTES + 1).encode())
    kind = (b"content-type", b"application/json")
    assert raw([GOOD_HOST, KEY, giant, kind], method="POST", path="/v1/chat/completions") == 413


def test_lone_surrogates_do_not_break_anything() -> None:
    response = ask(
        method="POST",
        path="/v1/chat/completions",
        headers={"content-type": "application/json"},
        content=b'{"messages":[{"role":"user","content":"a\\ud800b"}]}',
    )
    assert response.status_code == 200


def test_errors_have_the_shape_of_the_called_api() -> None:
    assert ask(key="no", path="/v1/messages").json()["type"] == "error"
    assert isinstance(ask(key="no", path="/api/tags").json()["error"], str)
    assert ask(key="no").json()["error"]["code"] == "invalid_api_key"


def test_an_unknown_route_is_a_404_in_json() -> None:
    assert ask(path="/v1/nothing").status_code == 404
    assert ask(path="/v1/nothing").json()["error"]["message"]


def test_the_key_never_comes_back_in_an_error() -> None:
    response = post(ScriptedModel(), "/v1/chat/completions", chat_body(model=5))
    assert TOKEN not in response.text
