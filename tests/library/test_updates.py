from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.core.errors import DownloadFailed, GarretError, LibraryError, VerificationFailed
from app.core.network_log import NetworkLog
from app.library.updates import Update, UpdateCheck, UpdateSource, source_of_build

sys.path.append(str(Path(__file__).resolve().parents[2] / "packaging"))

import update_manifest

SECRET, PUBLIC = update_manifest.new_pair()
NOW = 1_800_000_000.0


def payload(**changes: object) -> dict[str, object]:
    return {
        "app": "garret",
        "format": 1,
        "serial": 7,
        "expires": "2030-01-01T00:00:00+00:00",
        "version": "1.4.0",
        "min_version": "0.0",
        "page": "https://example.org/garret/1.4.0",
        "notes": "Faster.",
    } | changes


class Server(ThreadingHTTPServer):
    body = b""
    location = ""
    asked: list[dict[str, str]]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.asked.append(dict(self.headers))
        if server.location:
            self.send_response(302)
            self.send_header("Location", server.location)
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(server.body)

    def log_message(self, *_args: Any) -> None: ...


@contextmanager
def served(body: bytes = b"", location: str = "") -> Iterator[tuple[str, Server]]:
    server = Server(("127.0.0.1", 0), Handler)
    server.body, server.location, server.asked = body, location, []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/updates.json", server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def ask(
    body: bytes, folder: Path, *, version: str = "1.3.2", log: NetworkLog | None = None
) -> Update:
    with served(body) as (url, _server):
        source = UpdateSource(url, base64.b64decode(PUBLIC))
        check = UpdateCheck(source, folder / "updates.json", log, version=version, now=lambda: NOW)
        return check.run()


def envelope(data: dict[str, object], secret: str = SECRET) -> bytes:
    return json.dumps(update_manifest.signed(data, secret)).encode()


@pytest.mark.parametrize(
    ("version", "is_newer"),
    [("1.3.2", True), ("1.4.0", False), ("1.4", False), ("1.10.0", False), ("1.4.0.dev1", False)],
)
def test_a_newer_version_is_named_with_its_page(
    tmp_path: Path, version: str, is_newer: bool
) -> None:
    found = ask(envelope(payload()), tmp_path, version=version)
    assert found.is_newer is is_newer
    assert found.page == "https://example.org/garret/1.4.0"
    assert not found.is_urgent


def test_a_version_with_a_known_hole_is_urgent(tmp_path: Path) -> None:
    assert ask(envelope(payload(min_version="1.3.3")), tmp_path).is_urgent


def _tampered() -> bytes:
    whole = json.loads(envelope(payload()))
    evil = json.dumps(payload(page="https://evil.example")).encode()
    return json.dumps(whole | {"payload": base64.b64encode(evil).decode()}).encode()


def _bare_signature() -> bytes:
    """The right key over the payload alone, as if it had been signed for something else."""
    key = update_manifest.Ed25519PrivateKey.from_private_bytes(base64.b64decode(SECRET))
    data = json.dumps(payload()).encode()
    parts = {"payload": data, "signature": key.sign(data)}
    return json.dumps({k: base64.b64encode(v).decode() for k, v in parts.items()}).encode()


HOSTILE: dict[str, Callable[[], bytes]] = {
    "another key": lambda: envelope(payload(), update_manifest.new_pair()[0]),
    "changed after signing": _tampered,
    "signed for another purpose": _bare_signature,
    "no signature": lambda: json.dumps({"payload": "e30="}).encode(),
    "not JSON": lambda: b"<html>captive portal</html>",
    "a list": lambda: b"[1, 2]",
    "deep nesting": lambda: b"[" * 30_000,
    "empty": lambda: b"",
    "too long": lambda: b" " * 200_000,
    "another program": lambda: envelope(payload(app="other")),
    "another format": lambda: envelope(payload(format=2)),
    "no version": lambda: envelope(payload(version="newest; rm -rf /")),
    "huge version": lambda: envelope(payload(version="9" * 5000)),
    "a page without encryption": lambda: envelope(payload(page="http://example.org/")),
    "a page that runs something": lambda: envelope(payload(page="file:///etc/passwd")),
    "a page with a password": lambda: envelope(payload(page="https://a:b@example.org/")),
    "no serial": lambda: envelope(payload(serial="x")),
    "infinite serial": lambda: envelope(payload(serial=0)),
    "bad date": lambda: envelope(payload(expires="soon")),
    "out of date": lambda: envelope(payload(expires="2020-01-01T00:00:00+00:00")),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_answer_that_is_not_ours_is_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(VerificationFailed) as caught:
        ask(HOSTILE[kind](), tmp_path)
    assert caught.value.remedy
    assert not (tmp_path / "updates.json").exists()


def test_an_old_answer_cannot_be_played_back(tmp_path: Path) -> None:
    ask(envelope(payload(serial=9)), tmp_path)
    with pytest.raises(VerificationFailed, match="older than one seen before"):
        ask(envelope(payload(serial=8)), tmp_path)
    assert ask(envelope(payload(serial=9)), tmp_path).version == "1.4.0"


def test_the_question_says_nothing_about_the_user_and_is_noted(tmp_path: Path) -> None:
    log = NetworkLog()
    with served(envelope(payload())) as (url, server):
        source = UpdateSource(url, base64.b64decode(PUBLIC))
        UpdateCheck(source, tmp_path / "updates.json", log, now=lambda: NOW).run()
    (asked,) = server.asked
    assert {name.lower() for name in asked} <= {
        "host", "accept", "accept-encoding", "connection", "user-agent",
    }  # fmt: skip
    (entry,) = log.entries()
    assert (entry.host, entry.purpose, entry.failed) == ("127.0.0.1", "update check", False)


@pytest.mark.parametrize(
    "target", ["http://example.org/x", "ftp://example.org/", "//", "javascript:1"]
)
def test_a_redirect_away_from_encryption_is_not_followed(tmp_path: Path, target: str) -> None:
    with served(location=target) as (url, _server):
        source = UpdateSource(url, base64.b64decode(PUBLIC))
        with pytest.raises(GarretError):
            UpdateCheck(source, tmp_path / "updates.json").run()


def test_redirects_end(tmp_path: Path) -> None:
    with served(location="/updates.json") as (url, server):
        source = UpdateSource(url, base64.b64decode(PUBLIC))
        with pytest.raises(DownloadFailed, match="circles"):
            UpdateCheck(source, tmp_path / "updates.json").run()
    assert len(server.asked) == 6


def test_no_server_is_a_failed_connection_with_a_remedy(tmp_path: Path) -> None:
    with served() as (url, _server):
        pass
    log = NetworkLog()
    with pytest.raises(DownloadFailed) as caught:
        UpdateCheck(
            UpdateSource(url, base64.b64decode(PUBLIC)), tmp_path / "updates.json", log
        ).run()
    assert caught.value.remedy
    assert log.entries()[0].failed


def test_a_build_without_an_address_asks_nobody(tmp_path: Path) -> None:
    (tmp_path / "build.json").write_text('{"version": "0.1.0"}')
    assert source_of_build(tmp_path) is None
    assert source_of_build(tmp_path / "missing") is None
    check = UpdateCheck(None, tmp_path / "updates.json")
    assert not check.can_ask
    with pytest.raises(LibraryError, match="no address"):
        check.run()


@pytest.mark.parametrize(
    ("url", "key", "is_good"),
    [
        ("https://example.org/u.json", PUBLIC, True),
        ("http://example.org/u.json", PUBLIC, False),
        ("https://example.org/u.json", "c2hvcnQ=", False),
        ("https://example.org/u.json", "not base64", False),
    ],
    ids=["good", "no encryption", "short key", "no key"],
)
def test_the_source_comes_from_the_build(tmp_path: Path, url: str, key: str, is_good: bool) -> None:
    (tmp_path / "build.json").write_text(json.dumps({"update_url": url, "update_key": key}))
    assert (source_of_build(tmp_path) is not None) is is_good
