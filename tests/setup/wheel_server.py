"""A loopback wheel index for tests of the set-up: pages by path, or silence."""

from __future__ import annotations

import http.server
import threading
from types import TracebackType
from typing import Any


class WheelServer:
    """Serves `pages`; a path listed in `silent` is accepted and never answered."""

    def __init__(self, pages: dict[str, str], silent: tuple[str, ...] = ()) -> None:
        self.asked: list[str] = []
        self._over = threading.Event()
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                if self.path in silent:
                    server._over.wait(20)
                    return
                page = pages.get(self.path)
                self.send_response(200 if page is not None else 404)
                self.end_headers()
                self.wfile.write((page or "").encode())

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> WheelServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()
