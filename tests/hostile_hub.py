"""A loopback server that speaks the Hub's API and misbehaves on request.

`HostileHub` runs two origins: the Hub itself and a "CDN" it may redirect to. Faults are queued with
`hub.faults.append(Fault("drop", at=1000))`, one per answered GET of a file, or set for all with
`hub.always`. `hub.meta` spoils the metadata answers. Everything served is counted.

As a program, `python -m tests.hostile_hub --size 2000000000` serves one big model for benchmarks.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import re
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
PIECE_BYTES = 64 << 10


@dataclass(frozen=True)
class Fault:
    """One way to misbehave. `at` counts body bytes of the answer, `value` depends on the kind."""

    kind: str
    at: int = 0
    value: Any = None


@dataclass
class Repo:
    files: dict[str, bytes | Path]
    commit: str = COMMIT
    gated: bool = False
    hashes: dict[str, str] = field(default_factory=dict)


@dataclass
class Seen:
    """One request: which origin got it, what was asked, how much of a body went out."""

    origin: str
    method: str
    path: str
    range: str
    authorization: str
    body_bytes: int = 0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open: dict[Any, threading.Thread] = {}

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        self._open = {sock: one for sock, one in self._open.items() if one.is_alive()}
        self._open[request] = thread
        thread.start()

    def hang_up(self) -> None:
        """Ends connections that clients keep open, and waits for their threads."""
        for sock, thread in self._open.items():
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            thread.join(1.0)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that goes away in the middle is the point of these tests


class HostileHub:
    """Start with `with HostileHub() as hub`."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.faults: deque[Fault] = deque()
        self.always: Fault | None = None
        self.meta = ""
        self.redirect = False
        self.ranges = True
        self.speed_bytes_s = 0
        self.seen: list[Seen] = []
        self.lock = threading.Lock()
        self.over = threading.Event()
        self._servers = [self._server("hub"), self._server("cdn")]

    def __enter__(self) -> HostileHub:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for server in self._servers:
            server.shutdown()
            server.hang_up()
            server.server_close()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._servers[0].server_port}"

    @property
    def cdn(self) -> str:
        return f"http://127.0.0.1:{self._servers[1].server_port}"

    @property
    def served_bytes(self) -> int:
        return sum(one.body_bytes for one in self.seen)

    @property
    def file_gets(self) -> list[Seen]:
        return [one for one in self.seen if one.method == "GET" and "/resolve/" in one.path]

    def add(self, repo: str, files: Mapping[str, bytes | Path], **options: Any) -> Repo:
        made = Repo(dict(files), **options)
        for name, body in files.items():
            if isinstance(body, Path):
                with body.open("rb") as file:
                    made.hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
            else:
                made.hashes[name] = hashlib.sha256(body).hexdigest()
        self.repos[repo] = made
        return made

    def next_fault(self) -> Fault | None:
        with self.lock:
            return self.faults.popleft() if self.faults else self.always

    def _server(self, name: str) -> _Server:
        hub = self

        class Handler(_Handler):
            origin = name
            owner = hub

        return _Server(("127.0.0.1", 0), Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    origin = ""
    owner: HostileHub
    record: Seen

    def log_message(self, *_args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.record = Seen(
            self.origin,
            self.command,
            self.path,
            self.headers.get("Range", ""),
            self.headers.get("Authorization", ""),
        )
        with self.owner.lock:
            self.owner.seen.append(self.record)
        path, _, _query = self.path.partition("?")
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._file(match[1], match[2], match[3])
        elif path == "/api/models":
            self._json([self._listed(name) for name in self.owner.repos])
        elif match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(/revision/.+)?", path):
            self._info(match[1])
        else:
            self._status(404, {"X-Error-Code": "EntryNotFound"})

    # -- metadata --------------------------------------------------------------------------------

    def _listed(self, name: str) -> dict[str, Any]:
        siblings = [{"rfilename": file} for file in self.owner.repos[name].files]
        return {"id": name, "modelId": name, "tags": ["gguf"], "downloads": 7, "likes": 1,
                "private": False, "gated": self.owner.repos[name].gated,
                "siblings": siblings}  # fmt: skip

    def _info(self, name: str) -> None:
        repo = self.owner.repos.get(name)
        if repo is None:
            self._status(404, {"X-Error-Code": "RepoNotFound"})
            return
        siblings = []
        for file, body in repo.files.items():
            size: Any = len(body) if isinstance(body, bytes) else body.stat().st_size
            entry: dict[str, Any] = {"rfilename": file, "size": size, "blobId": "0" * 40}
            entry["lfs"] = {"size": size, "sha256": repo.hashes[file], "pointerSize": 134}
            siblings.append(entry)
        info: dict[str, Any] = {**self._listed(name), "sha": repo.commit, "siblings": siblings}
        info["cardData"] = {"license": "apache-2.0"}
        spoil = _SPOILED.get(self.owner.meta)
        if spoil is not None:
            answer = spoil(self, info)
            if answer is None:
                return
            info = answer
        self._json(info)

    def _json(self, value: Any) -> None:
        self._send(200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _status(self, status: int, headers: Mapping[str, str] = {}) -> None:
        self._send(status, headers, b"no")

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    # -- files -----------------------------------------------------------------------------------

    def _file(self, name: str, revision: str, file: str) -> None:
        repo = self.owner.repos.get(name)
        body = repo.files.get(file) if repo else None
        if repo is None or body is None or revision not in (repo.commit, "main"):
            self._status(404, {"X-Error-Code": "EntryNotFound"})
            return
        size = len(body) if isinstance(body, bytes) else body.stat().st_size
        etag = repo.hashes[file]
        first_hop = self.origin == "hub" and self.owner.redirect
        fault = None
        if self.command == "GET" and not first_hop:
            fault = self.owner.next_fault()
        if fault is not None and fault.kind == "etag":
            etag = "f" * 64
        headers = {
            "X-Repo-Commit": repo.commit,
            "ETag": f'"{etag}"',
            "X-Linked-Etag": f'"{etag}"',
            "X-Linked-Size": str(size),
            "Accept-Ranges": "bytes",
        }
        if first_hop:
            self._send(302, {**headers, "Location": f"{self.owner.cdn}{self.path}?sig=1"}, b"")
        elif self.command == "HEAD":
            self._head(headers, size)
        elif fault is None or not self._refuse(fault, headers):
            self._body(body, size, headers, fault or Fault(""))

    def _head(self, headers: Mapping[str, str], size: int) -> None:
        self.send_response(200)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(size))
        self.end_headers()

    def _refuse(self, fault: Fault, headers: Mapping[str, str]) -> bool:
        """Faults that answer without the file."""
        kind, value = fault.kind, fault.value
        if kind == "status":
            code, extra = value if isinstance(value, tuple) else (value, {})
            self._status(code, extra)
        elif kind == "redirect":
            self._send(302, {**headers, "Location": value}, b"")
        elif kind == "loop":
            self._send(302, {**headers, "Location": self.path}, b"")
        elif kind == "html":
            page = b"<html>Please log in to the hotel network</html>"
            self._send(200, {"Content-Type": "text/html"}, page)
        elif kind == "stall_headers":
            self.owner.over.wait(fault.value or 30)
            self.close_connection = True
        elif kind == "reset":
            self._reset()
        else:
            return False
        return True

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.close_connection = True
        self.connection.close()

    def _body(self, body: bytes | Path, size: int, headers: dict[str, str], fault: Fault) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start, end, status = 0, size, 200
        if asked and self.owner.ranges and fault.kind != "ignore_range":
            start = int(asked[1])
            end = min(size, int(asked[2]) + 1) if asked[2] else size
            status = 206
            if start >= size or fault.kind == "unsatisfiable":
                self._status(416, {"Content-Range": f"bytes */{size}"})
                return
        span = {"wrong_start": (start + 1, end, size), "wrong_total": (start, end, size + 1)}.get(
            fault.kind, (start, end, size)
        )
        self.send_response(status)
        if status == 206:
            text = f"bytes {span[0]}-{span[1] - 1}/{span[2]}"
            text = f"bytes {start}-{end - 1}/*" if fault.kind == "star" else text
            if fault.kind == "multipart":
                headers["Content-Type"] = "multipart/byteranges; boundary=x"
            else:
                headers["Content-Range"] = text
        if fault.kind == "gzip":
            headers["Content-Encoding"] = "gzip"
        chunked = fault.kind in ("overlong", "endless")
        if chunked:
            headers["Transfer-Encoding"] = "chunked"
        else:
            length = end - start - (fault.value or 1 if fault.kind == "short" else 0)
            headers["Content-Length"] = str(length)
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with contextlib.suppress(OSError):
            self._stream(body, start, end, fault, chunked)

    def _stream(
        self, body: bytes | Path, start: int, end: int, fault: Fault, chunked: bool
    ) -> None:
        if isinstance(body, Path) and not fault.kind and not self.owner.speed_bytes_s:
            with body.open("rb") as file:
                file.seek(start)
                self.record.body_bytes += self.connection.sendfile(file, start, end - start)
            return
        sent = 0
        if fault.kind == "short":
            end -= fault.value or 1
        while start + sent < end or fault.kind == "endless":
            piece = _slice(body, start + sent, min(end, start + sent + PIECE_BYTES))
            if fault.kind == "endless":
                piece = piece or b"x" * PIECE_BYTES
            if fault.kind in ("drop", "stall", "trickle") and sent + len(piece) > fault.at:
                piece = piece[: max(0, fault.at - sent)]
            if fault.kind == "corrupt" and start + sent <= fault.at < start + sent + len(piece):
                spoiled = bytearray(piece)
                spoiled[fault.at - start - sent] ^= 0xFF
                piece = bytes(spoiled)
            if piece:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                sent += len(piece)
                self.record.body_bytes += len(piece)
            if fault.kind in ("drop", "stall", "trickle") and sent >= fault.at:
                self._linger(fault, body, start + sent, end)
                return
            if self.owner.speed_bytes_s:
                time.sleep(len(piece) / self.owner.speed_bytes_s)
        if fault.kind == "overlong":
            extra = b"y" * (fault.value or PIECE_BYTES)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(extra), extra))
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def _linger(self, fault: Fault, body: bytes | Path, position: int, end: int) -> None:
        if fault.kind == "stall":
            self.owner.over.wait(fault.value or 30)
        while fault.kind == "trickle" and position < end and not self.owner.over.wait(0.05):
            self.wfile.write(_slice(body, position, position + 1))
            self.record.body_bytes += 1
            position += 1


def _slice(body: bytes | Path, start: int, end: int) -> bytes:
    if isinstance(body, bytes):
        return body[start:end]
    with body.open("rb") as file:
        file.seek(start)
        return file.read(max(0, end - start))


def _first(info: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Changes the first file's entry; a change to None removes the key."""
    entry = info["siblings"][0]
    for key, value in changes.items():
        if value is None:
            entry.pop(key, None)
        else:
            entry[key] = value
    return info


def _raw(body: bytes, kind: str = "application/json") -> Any:
    def send(handler: _Handler, _info: dict[str, Any]) -> None:
        handler._send(200, {"Content-Type": kind}, body)

    return send


def _refused(status: int, headers: Mapping[str, str]) -> Any:
    def send(handler: _Handler, _info: dict[str, Any]) -> None:
        handler._status(status, headers)

    return send


def _endless_json(handler: _Handler, _info: dict[str, Any]) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "application/json")
    handler.end_headers()
    handler.close_connection = True
    handler.wfile.write(b'{"id": "')
    while not handler.owner.over.is_set():
        handler.wfile.write(b"x" * PIECE_BYTES)


def _stalled(handler: _Handler, _info: dict[str, Any]) -> None:
    handler.owner.over.wait(30)


HOSTILE_NAMES = (
    "..\\x.gguf", "a\\..\\..\\b.gguf", "../x.gguf", "a/../../b.gguf", "/etc/x.gguf", "C:\\x.gguf",
    "C:x.gguf", "\\\\h\\s\\x.gguf", "a:b.gguf", "x.gguf:ads.gguf", "NUL.gguf", "ok/NUL.gguf",
    "CON .gguf", "x..gguf/.gguf", "e\u0301.gguf", "\u00e9.gguf", "a" * 300 + ".gguf", "a//b.gguf",
    ".hidden.gguf", "%2e%2e%2f.gguf", "a\nb.gguf", "-rf.gguf", "a/b/c/d.gguf", ".gguf",
    "com1.x.gguf", "a\x00b.gguf", "a /b.gguf", "trailing./b.gguf",
)  # fmt: skip

_SPOILED: dict[str, Any] = {
    "no commit": lambda _h, info: {k: v for k, v in info.items() if k != "sha"},
    "short commit": lambda _h, info: {**info, "sha": COMMIT[:39]},
    "upper commit": lambda _h, info: {**info, "sha": COMMIT.upper()},
    "number commit": lambda _h, info: {**info, "sha": 7},
    "size zero": lambda _h, info: _first(info, size=0),
    "size negative": lambda _h, info: _first(info, size=-5),
    "size huge": lambda _h, info: _first(info, size=1 << 63),
    "size text": lambda _h, info: _first(info, size="12"),
    "size differs": lambda _h, info: _first(info, size=12345),
    "no lfs": lambda _h, info: _first(info, lfs=None),
    "bad sha": lambda _h, info: _first(
        info, lfs={"size": info["siblings"][0]["size"], "sha256": "zz", "pointerSize": 1}
    ),
    "names": lambda _h, info: {
        **info,
        "siblings": [{**info["siblings"][0], "rfilename": name} for name in HOSTILE_NAMES],
    },
    "twins": lambda _h, info: {
        **info,
        "siblings": [
            *info["siblings"],
            {
                **info["siblings"][0],
                "rfilename": info["siblings"][0]["rfilename"].upper()[:-5] + ".gguf",
            },
        ],
    },
    "many": lambda _h, info: {
        **info,
        "siblings": [
            {**info["siblings"][0], "rfilename": f"file-{number}.gguf"} for number in range(100_000)
        ],
    },
    "deep": _raw(b"[" * 200_000),
    "not utf8": _raw(b'{"sha": "\xff\xfe"}'),
    "html": _raw(b"<html>log in</html>", "text/html"),
    "list": _raw(b"[1, 2]"),
    "null": _raw(b"null"),
    "siblings text": lambda _h, info: {**info, "siblings": "x"},
    "endless": _endless_json,
    "stalled": _stalled,
    "500": _refused(500, {}),
    "429": _refused(429, {"Retry-After": "7"}),
    "401": _refused(401, {}),
    "gated": _refused(403, {"X-Error-Code": "GatedRepo"}),
    "gone": _refused(404, {"X-Error-Code": "RepoNotFound"}),
    "no listing": _refused(404, {}),
    "no revision": _refused(404, {"X-Error-Code": "RevisionNotFound"}),
}
META_FAULTS = tuple(_SPOILED)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path, help="the GGUF to serve as bench/model/big.gguf")
    options = parser.parse_args()
    with HostileHub() as hub:
        hub.add("bench/model", {"big.gguf": options.file})
        sys.stdout.write(hub.endpoint + "\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
