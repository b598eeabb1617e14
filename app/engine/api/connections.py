"""Connections as the server takes them: only so many, and none that dawdles over its headers.

uvicorn waits for a request's headers for ever, so a few hundred sockets that send a byte a minute
(slow loris) would hold every descriptor. Bodies have their own limit in `body`; answers have none,
because a long prompt may take minutes.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

_log = logging.getLogger(__name__)
HEADER_LIMIT_S = 20.0
MAX_CONNECTIONS = 640
MAX_HEADER_BYTES = 64 * 1024
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 2\r\nContent-Length: 0\r\n"
    b"Connection: close\r\n\r\n"
)


class GuardedProtocol(H11Protocol):
    """One connection; `header_limit_s` counts from its start, and again after each answer."""

    header_limit_s = HEADER_LIMIT_S
    max_connections = MAX_CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            _log.warning("more than %d connections: one refused", self.max_connections)
            transport.write(_TOO_MANY)
            transport.close()
            return
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def _waiting(self) -> bool:
        """Whether the connection owes us a request's headers, or the rest of a refused body."""
        return self.cycle is None or self.cycle.response_complete

    def _watch(self) -> None:
        if self.transport.is_closing() or not self._waiting():
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.header_limit_s, self._too_slow)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.transport.is_closing() or not self._waiting():
            return
        if self.conn.our_state is h11.IDLE:
            self.transport.write(_TOO_SLOW)
        self.transport.close()
