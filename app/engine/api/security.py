"""Who may talk to the endpoint: checked on every request before anything reads it.

Loopback is not a trust boundary: any web page and any local program can reach the port. So: an
exact Host (DNS rebinding), no foreign Origin, a key always, JSON bodies only (no simple-request
CSRF), bounded sizes, and no CORS headers at all.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

from app.engine.api.errors import ApiError, error_response, shape_of

MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_CONCURRENT = 512
_SINGLE = (b"host", b"authorization", b"x-api-key", b"content-length", b"content-type", b"origin")
OWN_HOST = "localhost"  # what the app says over its own socket
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "::1")
_WILDCARDS = ("", "0.0.0.0", "::", "[::]")  # noqa: S104 - compared with, not bound to
_USER_PATHS = ("/v1/", "/api/", "/tokenize", "/detokenize", "/metrics", "/healthz")


@dataclass(slots=True)
class AccessRules:
    """What is open at the moment; changed while the engine runs when the user switches something.

    `any_user_key` accepts whatever key a program on this machine sends: no web page can send one
    without being refused for its Origin first.
    """

    token: str
    host: str = "127.0.0.1"
    share: bool = False
    user_keys: tuple[str, ...] = ()
    any_user_key: bool = False
    allowed_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()


class SecurityMiddleware:
    """Refuses what security.md §7 and §11.3 list. `rules` may be changed while it runs."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app = app
        self._rules = rules
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = _Headers(scope["headers"])
        try:
            self._check(scope, headers)
            # other programs may fill all places; the app's own window still gets through
            if self._running >= MAX_CONCURRENT and not scope["garret.app"]:
                raise ApiError(429, "Too many requests at once.", code="engine_busy")
        except ApiError as error:
            shape = shape_of(scope["path"], anthropic_header=headers.has(b"anthropic-version"))
            await error_response(error, shape)(scope, receive, send)
            return
        self._running += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._running -= 1

    def _check(self, scope: Scope, headers: _Headers) -> None:
        if scope.get("http_version") == "1.0":
            raise ApiError(400, "HTTP/1.1 is required.")
        for name in _SINGLE:
            if headers.count(name) > 1:
                raise ApiError(400, f"More than one {name.decode()} header.")
        if headers.has(b"transfer-encoding") and headers.has(b"content-length"):
            raise ApiError(400, "Content-Length and Transfer-Encoding contradict each other.")
        self._check_host(scope, headers)
        self._check_origin(headers)
        scope["garret.app"] = self._check_key(scope["path"], headers)
        _check_body(scope["method"], headers)

    def _check_host(self, scope: Scope, headers: _Headers) -> None:
        host = headers.one(b"host").lower()
        server = scope.get("server") or ("127.0.0.1", None)
        address, port = str(server[0]), server[1]
        if address.startswith("/"):  # the app's own Unix socket, which no web page can name
            if host != OWN_HOST:
                raise ApiError(403, "This Host is not served here.")
            return
        names = [*_LOOPBACK_NAMES, f"[{address}]" if ":" in address else address]
        if self._rules.host not in _WILDCARDS:
            names.append(self._rules.host)
        allowed = {f"{name}:{port}" for name in names}
        for name in self._rules.allowed_hosts:
            allowed |= {name.lower(), f"{name.lower()}:{port}"}
        if port == 80:
            allowed |= set(names)
        if host not in allowed - {*_WILDCARDS, *(f"{name}:{port}" for name in _WILDCARDS)}:
            raise ApiError(403, "This Host is not served here.")

    def _check_origin(self, headers: _Headers) -> None:
        origin = headers.one(b"origin")
        if headers.has(b"origin"):
            if origin not in self._rules.allowed_origins or origin in ("", "null"):
                raise ApiError(403, "Requests from this origin are not allowed.")
        elif headers.one(b"sec-fetch-site") not in ("", "none", "same-origin"):
            raise ApiError(403, "Requests from other sites are not allowed.")

    def _check_key(self, path: str, headers: _Headers) -> bool:
        """Whether the app itself asks; raises when nobody known does."""
        scheme, _, bearer = headers.one(b"authorization").partition(" ")
        given = [headers.one(b"x-api-key")]
        if scheme.lower() == "bearer":
            given.append(bearer.strip())
        # every key is compared, and over digests, so that time says nothing about any of them
        is_app = is_user = False
        any_key = self._rules.any_user_key and self._rules.host in _LOOPBACK_HOSTS
        for key in given:
            is_app |= _same(key, self._rules.token)
            is_user |= any_key and bool(key)
            for known in self._rules.user_keys:
                is_user |= _same(key, known)
        if is_app:
            return True
        if not is_user or not self._rules.share:
            raise ApiError(401, "A valid API key is required.", code="invalid_api_key")
        if path != "/" and not path.startswith(_USER_PATHS):
            raise ApiError(403, "This key does not open this route.")
        return False


class _Headers:
    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._raw = [(name.lower(), value) for name, value in raw]

    def count(self, name: bytes) -> int:
        return sum(1 for known, _ in self._raw if known == name)

    def has(self, name: bytes) -> bool:
        return self.count(name) > 0

    def one(self, name: bytes) -> str:
        return next((value.decode("latin-1") for known, value in self._raw if known == name), "")


def _same(given: str, known: str) -> bool:
    if not known:
        return False
    a = hashlib.sha256(given.encode("utf-8", "replace")).digest()
    b = hashlib.sha256(known.encode("utf-8", "replace")).digest()
    return hmac.compare_digest(a, b)


def _check_body(method: str, headers: _Headers) -> None:
    if method not in ("GET", "HEAD", "POST", "DELETE"):
        raise ApiError(405, f"The method {method[:16]} is not supported.")
    length = headers.one(b"content-length")
    if length and not (length.isascii() and length.isdigit()):
        raise ApiError(400, "Content-Length is not a number.")
    if length and int(length) > MAX_BODY_BYTES:
        raise ApiError(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
    if method != "POST":
        return
    kind = headers.one(b"content-type").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(415, "The body must be JSON (Content-Type: application/json).")
    if headers.one(b"content-encoding").lower() not in ("", "identity"):
        raise ApiError(415, "Compressed bodies are not supported.")
