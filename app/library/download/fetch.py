"""One HTTP request for a range of one file, with the rules a hostile server cannot talk us out of.

http.client is used bare because a transfer must be able to shut its socket down from outside at any
moment, and because copying at disk speed leaves no room for layers. Redirects, their targets and
the authorization header follow downloads.md §4.2.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
import urllib.request
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urljoin, urlsplit

import truststore

from app import __version__
from app.core.network_log import NetworkLog
from app.library.download.limits import Limits

Kind = Literal[
    "network",  # try again later
    "rate",  # try again after wait_s
    "expired",  # a signed address ran out: resolve again
    "range",  # the server does not keep to the range asked for
    "whole",  # the server sends the whole file instead
    "beyond",  # 416: nothing there
    "changed",  # another file than the one resolved
    "encoded",  # a transformed body
    "fatal",  # no retry helps
]
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")
# How long `fill` gathers small receives: few large writes cost the kernel far less than many.
_GATHER_S = 0.05
# Above this, one read through http.client leaves nothing in its buffer of 8 KiB.
_GATHER_FROM_BYTES = 32 << 10
_CLOSED_EARLY = "The server closed the connection early."
# What a killed client may leave in flight on a machine whose receive buffers may grow beyond it.
_LOOPBACK_BUFFER_BYTES = 4 << 20


class FetchProblem(Exception):
    """Why a request brought no (more) bytes."""

    def __init__(self, kind: Kind, sentence: str, wait_s: float = 0.0, remedy: str = "") -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence
        self.wait_s = wait_s
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file pinned to a commit: its permanent address, never a signed one."""

    url: str
    endpoint: str
    size_bytes: int
    sha256: str
    token: str = ""
    log: NetworkLog | None = field(default=None, compare=False, repr=False)


class Request:
    """One GET, from `open` to `close`; `abort` may be called from any thread at any time."""

    def __init__(self, remote: RemoteFile, limits: Limits) -> None:
        self._remote = remote
        self._limits = limits
        self._lock = threading.Lock()
        self._sock: socket.socket | None = None
        self._aborted = False
        self._conn: http.client.HTTPConnection | None = None
        self._response: http.client.HTTPResponse | None = None
        self._left = 0
        self._problem: FetchProblem | None = None
        self._host = ""
        self._received_bytes = 0

    def open(self, start: int, end: int) -> None:
        """Asks for bytes start..end (exclusive) and checks that exactly these will come.

        Raises: FetchProblem.
        """
        url = self._remote.url
        for _hop in range(self._limits.max_redirects + 1):
            response = self._get(url, start, end)
            if response.status not in (301, 302, 303, 307, 308):
                self._left = self._judge(response, url, start, end) - start
                return
            self._check_identity(response, linked_only=True)
            location = response.getheader("Location") or ""
            self.close()
            url = urljoin(url, location)
            check_redirect(self._remote.endpoint, url)
        raise FetchProblem("fatal", "The server redirects in circles.")

    def fill(self, buffer: memoryview) -> int:
        """Receives into `buffer` until it is full or a moment has passed; 0 at the end.

        Raises: FetchProblem, once what came before it has been returned.
        """
        if self._problem is not None:
            raise self._problem
        want = min(len(buffer), self._left)
        if not want:
            return 0
        try:
            count = self._receive(buffer[:want])
            if not count:
                raise FetchProblem("network", _CLOSED_EARLY)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _network(error) from error
        if want >= _GATHER_FROM_BYTES:
            count += self._gather(buffer[count:want])
        self._left -= count
        self._received_bytes += count
        return count

    def _receive(self, buffer: memoryview) -> int:
        """What one look at the socket brings, straight into the buffer where that can be."""
        response = self._response
        if response is None:
            return 0
        if response.chunked:
            data = response.read1(len(buffer))
            buffer[: len(data)] = data
            return len(data)
        return response.fp.readinto1(buffer)

    def _gather(self, buffer: memoryview) -> int:
        """What else comes within a moment; the response holds nothing back by now."""
        sock = self._sock
        if sock is None or self._response is None or self._response.chunked:
            return 0
        count, until = 0, time.monotonic() + _GATHER_S
        try:
            while count < len(buffer) and (wait_s := until - time.monotonic()) > 0:
                sock.settimeout(wait_s)
                got = sock.recv_into(buffer[count:])
                if not got:
                    self._problem = FetchProblem("network", _CLOSED_EARLY)
                    break
                count += got
            sock.settimeout(self._limits.stall_s)
        except TimeoutError:
            sock.settimeout(self._limits.stall_s)
        except (OSError, ValueError) as error:
            self._problem = _network(error)
        return count

    def abort(self) -> None:
        """Wakes whoever is reading; the request is over."""
        with self._lock:
            self._aborted = True
            if self._sock is not None:
                with contextlib.suppress(OSError):  # the other side may have closed it
                    self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            conn, response = self._conn, self._response
            self._conn = self._sock = self._response = None
            host, self._host = self._host, ""
        if host and self._remote.log is not None:
            name = urlsplit(self._remote.url).path.rsplit("/", 1)[-1]
            answered = response is not None
            self._remote.log.note(
                host, f"Download of {name}", self._received_bytes, failed=not answered
            )
            self._received_bytes = 0
        if response is not None:  # after "Connection: close" the socket is the response's
            response.close()
        if conn is not None:
            conn.close()

    def _get(self, url: str, start: int, end: int) -> http.client.HTTPResponse:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        headers = {
            "User-Agent": f"garret/{__version__}",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        if (start, end) != (0, self._remote.size_bytes):
            last = "" if end == self._remote.size_bytes else str(end - 1)
            headers["Range"] = f"bytes={start}-{last}"
        if self._remote.token and origin(parts) == origin(urlsplit(self._remote.endpoint)):
            headers["Authorization"] = f"Bearer {self._remote.token}"
        try:
            conn, target = connection(parts, self._limits.connect_s)
            conn.connect()
            sock = conn.sock
            if is_loopback(parts.hostname) and _buffers_grow_large():
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _LOOPBACK_BUFFER_BYTES)
            sock.settimeout(self._limits.stall_s)
            with self._lock:
                self._conn, self._sock = conn, sock
                if self._aborted:
                    raise FetchProblem("network", "Stopped.")
            conn.request("GET", target, headers=headers)
            self._response = conn.getresponse()
            return self._response
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _network(error) from error

    def _judge(self, response: http.client.HTTPResponse, url: str, start: int, end: int) -> int:
        """Where the body will end; raises FetchProblem for any answer but the right one."""
        size = self._remote.size_bytes
        at_hub = origin(urlsplit(url)) == origin(urlsplit(self._remote.endpoint))
        if response.status not in (200, 206):
            raise _refusal(response, at_hub, self._limits)
        if at_hub:
            self._check_identity(response, linked_only=False)
        encoding = (response.getheader("Content-Encoding") or "identity").strip().lower()
        if encoding != "identity":
            raise FetchProblem("encoded", "The server sends the file compressed.")
        if response.status == 200:
            length = response.getheader("Content-Length")
            if length is not None and length.strip() != str(size):
                raise FetchProblem("network", "The server sends something else than the file.")
            if start or end != size:
                raise FetchProblem("whole", "The server cannot continue a download.")
            return size
        match = _CONTENT_RANGE.fullmatch((response.getheader("Content-Range") or "").strip())
        if match is None:
            raise FetchProblem("range", "The server does not say which part of the file it sends.")
        first, last, total = (int(group) for group in match.groups())
        if first != start or total != size or not first <= last < end:
            raise FetchProblem("range", "The server sends another part of the file.")
        return last + 1

    def _check_identity(self, response: http.client.HTTPResponse, *, linked_only: bool) -> None:
        names = ("X-Linked-Etag",) if linked_only else ("X-Linked-Etag", "ETag")
        for name in names:
            etag = (response.getheader(name) or "").strip().removeprefix("W/").strip('"').lower()
            if re.fullmatch(r"[0-9a-f]{64}", etag):
                if etag != self._remote.sha256:
                    raise FetchProblem("changed", "The file on the server is another one now.")
                return


def connection(parts: SplitResult, timeout_s: float) -> tuple[http.client.HTTPConnection, str]:
    """An unopened connection for an address, through the system's proxy where one is set, and the
    request target to use on it."""
    host = parts.hostname or ""
    port = parts.port
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    proxy = "" if is_loopback(host) else urllib.request.getproxies().get(parts.scheme, "")
    if proxy and urllib.request.proxy_bypass(host):
        proxy = ""
    via = urlsplit(proxy if "//" in proxy else f"//{proxy}") if proxy else None
    if parts.scheme == "https":
        context: ssl.SSLContext = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if via is not None and via.hostname:
            tls = http.client.HTTPSConnection(
                via.hostname, via.port or 8080, timeout=timeout_s, context=context
            )
            tls.set_tunnel(host, port or 443)
            return tls, path
        return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context), path
    if via is not None and via.hostname:
        plain = http.client.HTTPConnection(via.hostname, via.port or 8080, timeout=timeout_s)
        return plain, f"http://{parts.netloc}{path}"
    return http.client.HTTPConnection(host, port, timeout=timeout_s), path


def check_redirect(endpoint: str, url: str) -> None:
    """Raises FetchProblem for a redirect to where no download may lead.

    https may go to any public https address; plain http only within the machine itself, or on the
    very host the user named as endpoint.
    """
    start, target = urlsplit(endpoint), urlsplit(url)
    host = target.hostname or ""
    fine = False
    if host and target.username is None:
        if target.scheme == "https":
            fine = not is_private(host) or is_private(start.hostname)
        elif target.scheme == "http" and start.scheme == "http":
            fine = host == start.hostname or (is_loopback(host) and is_loopback(start.hostname))
    if not fine:
        raise FetchProblem("fatal", "The server redirects to an address that is not allowed.")


def origin(parts: SplitResult) -> tuple[str, str, int]:
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme, 0)
    return parts.scheme, parts.hostname or "", port


def is_loopback(host: str | None) -> bool:
    if not host:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private(host: str | None) -> bool:
    """Addresses that only mean something near this machine."""
    if not host:
        return False
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith((".local", ".internal"))


@cache
def _buffers_grow_large() -> bool:
    """Whether this system lets a receive buffer grow beyond what a resume may waste."""
    try:
        limits = Path("/proc/sys/net/ipv4/tcp_rmem").read_text(encoding="ascii").split()
    except OSError:
        return False
    return int(limits[-1]) > 2 * _LOOPBACK_BUFFER_BYTES


def _network(error: Exception) -> FetchProblem:
    if isinstance(error, TimeoutError):
        return FetchProblem("network", "The server stopped sending.")
    if isinstance(error, socket.gaierror):
        return FetchProblem("network", "The server's name cannot be found; is there a network?")
    if isinstance(error, ssl.SSLCertVerificationError):
        return FetchProblem("fatal", "The server's certificate is not trusted by this machine.")
    if isinstance(error, ConnectionRefusedError):
        return FetchProblem("network", "The server refuses the connection.")
    return FetchProblem("network", "The connection was lost.")


_GONE = {
    "EntryNotFound": "The file is no longer in the repository.",
    "RevisionNotFound": "The pinned version is no longer in the repository.",
    "RepoNotFound": "The repository does not exist, or it is private.",
}


def _refusal(response: http.client.HTTPResponse, at_hub: bool, limits: Limits) -> FetchProblem:
    status = response.status
    code = response.getheader("X-Error-Code") or ""
    if status == 416:
        return FetchProblem("beyond", "The server says the file ends earlier.")
    if status in (429, 503) and (wait_s := _retry_after_s(response)) is not None:
        wait_s = min(wait_s, limits.rate_limit_cap_s)
        return FetchProblem("rate", "The server asks us to wait.", wait_s)
    if status in (408, 429) or status >= 500:
        return FetchProblem("network", f"The server has a problem (status {status}).")
    if not at_hub and status in (400, 401, 403, 404, 410):
        return FetchProblem("expired", "The download address expired.")
    if status in (401, 403):
        gated = code == "GatedRepo"
        return FetchProblem(
            "fatal",
            "The owner asks you to accept the model's terms first."
            if gated
            else "The server does not let us have this file.",
            remedy="Accept them on the model's page, add your access token in the settings, and "
            "resume."
            if gated
            else "Add an access token in the settings if the model is private.",
        )
    if status in (404, 410):
        sentence = _GONE.get(code, "The file is no longer on the server.")
        return FetchProblem("fatal", sentence, remedy="Discard this download and search again.")
    return FetchProblem("fatal", f"The server answered with status {status}.")


def _retry_after_s(response: http.client.HTTPResponse) -> float | None:
    text = (response.getheader("Retry-After") or "").strip()
    if re.fullmatch(r"\d{1,9}", text):
        return float(text)
    if text and (when := email.utils.parsedate_tz(text)) is not None:
        return max(0.0, email.utils.mktime_tz(when) - time.time())
    return None
