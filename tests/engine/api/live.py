"""The app on a real loopback port, for real SDKs."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn

from app.engine.api.app import build_app
from app.engine.api.connections import MAX_HEADER_BYTES, GuardedProtocol
from app.engine.types import EngineService
from tests.engine.api.harness import BOOT, renderer


@contextlib.contextmanager
def serving(
    service: EngineService, protocol: type[GuardedProtocol] = GuardedProtocol
) -> Iterator[str]:
    """The base URL, without a trailing slash."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        build_app(service, BOOT, renderer()),
        log_config=None,
        lifespan="off",
        ws="none",
        http=protocol,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
