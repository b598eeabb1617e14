"""A stand-in for the engine process, run as a child: real pipes, a real port, scripted behaviour.

What it does on load and on chat is chosen by the model's name.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Handler(BaseHTTPRequestHandler):
    token = ""
    protocol_version = "HTTP/1.0"

    def do_GET(self) -> None:
        if self.path == "/control/status":
            self._json({"state": "idle", "pid": os.getpid()})
        elif self.path == "/v1/models":
            self._json({"data": [{"id": "fake", "meta": {"n_ctx": 4096}}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])) or b"{}")
        if self.headers.get("authorization") != f"Bearer {self.token}":
            self.send_error(401)
            return
        if self.path == "/control/load":
            self._load(body)
        elif self.path == "/v1/chat/completions":
            self._chat(body)
        else:
            self._json({})

    def _load(self, body: dict[str, Any]) -> None:
        self._stream()
        name = body["model_id"]
        self._event({"fraction": 0.5})
        if name == "dies-on-load":
            os.kill(os.getpid(), signal.SIGKILL)
        if name == "slow":
            for _ in range(200):
                time.sleep(0.05)
                self._event({"fraction": 0.6})
        if name == "bad":
            self._event({"error": {"code": "bad_model_file", "sentence": "Not a model."}})
            return
        self._event({"fraction": 1.0, "model": {"model_id": name, "n_ctx": 4096}})

    def _chat(self, body: dict[str, Any]) -> None:
        self._stream()
        question = body["messages"][-1]["content"]
        self._event({"choices": [{"delta": {"content": "one "}}]})
        if question == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        self._event({"choices": [{"delta": {"content": "two"}, "finish_reason": "stop"}]})
        self._event({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})
        self.wfile.write(b"data: [DONE]\n\n")

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()

    def _event(self, data: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(data).encode() + b"\n\n")
        self.wfile.flush()

    def _json(self, data: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(data).encode())

    def log_message(self, *args: object) -> None:
        return


def main() -> None:
    if "--import-error" in sys.argv:
        raise ModuleNotFoundError("No module named 'llama_cpp'")
    Handler.token = json.loads(sys.stdin.readline())["token"]
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    ready = {"host": "127.0.0.1", "port": server.server_address[1], "pid": os.getpid()}
    sys.stdout.write(json.dumps(ready) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
