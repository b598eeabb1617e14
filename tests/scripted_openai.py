"""A loopback HTTP server that plays an OpenAI-compatible engine from a script.

It speaks raw SSE in randomly cut pieces, can drop a connection in mid-answer, refuse, or be away
for a while. It keeps a prefix cache like a real engine's: what a prompt shares with the one before
counts as reused, so a client that rewrites history is found out by its own token numbers.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CHARS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `calls` are (name, arguments); arguments that are text are sent as they are.

    `drop_after` cuts the connection after so many SSE chunks; `pause_s` waits before each chunk;
    `away_s` makes the server unreachable for a while instead of answering.
    """

    text: str = ""
    calls: Sequence[tuple[str, Any]] = ()
    finish: str | None = None
    thinking: str = ""
    status: int = 200
    error: str = ""
    drop_after: int | None = None
    pause_s: float = 0.0
    away_s: float = 0.0
    same_index: bool = False
    piece_chars: int = 7


@dataclass(slots=True)
class _State:
    replies: list[Reply]
    seed: int
    model: str
    n_ctx: int | None
    requests: list[dict[str, Any]] = field(default_factory=list)
    last_prompt: str = ""
    cut_off: int = 0
    on_request: Callable[[int], None] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class ScriptedOpenAIServer:
    """Use as a context manager; `base_url` is valid inside. When the script is at its end, the
    last reply is repeated if `repeat_last`, else every further request gets a 500."""

    def __init__(
        self,
        replies: Sequence[Reply],
        *,
        seed: int = 0,
        model: str = "scripted-coder-30b",
        n_ctx: int | None = 32_768,
        repeat_last: bool = False,
        on_request: Callable[[int], None] | None = None,
    ) -> None:
        self._state = _State(list(replies), seed, model, n_ctx, on_request=on_request)
        self._repeat_last = repeat_last
        self._server: ThreadingHTTPServer | None = None
        self._port = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def requests(self) -> list[dict[str, Any]]:
        """Bodies of the chat completions, in order."""
        return self._state.requests

    @property
    def cut_off(self) -> int:
        """Answers whose reader went away before their end."""
        return self._state.cut_off

    def __enter__(self) -> ScriptedOpenAIServer:
        self._open()
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _open(self) -> None:
        outer = self

        class Handler(_Handler):
            state = outer._state
            repeat_last = outer._repeat_last
            go_away = staticmethod(outer.go_away)

        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()

    def _close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def go_away(self, seconds: float) -> None:
        """Stops listening now and listens again on the same port after `seconds`."""
        server, self._server = self._server, None
        if server is None:
            return
        server.socket.close()

        def come_back() -> None:
            server.shutdown()
            time.sleep(seconds)
            self._open()

        threading.Thread(target=come_back, daemon=True).start()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    block_on_close = False


class _Handler(BaseHTTPRequestHandler):
    state: _State
    repeat_last: bool
    go_away: Callable[[float], None]
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        entry: dict[str, Any] = {"id": self.state.model, "object": "model"}
        if self.state.n_ctx is not None:
            entry["meta"] = {"n_ctx": self.state.n_ctx}
        self._json(200, {"object": "list", "data": [entry]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        state = self.state
        with state.lock:
            number = len(state.requests)
            state.requests.append(body)
            reply = self._reply(number)
            prompt = json.dumps([body.get("tools", []), body["messages"]], ensure_ascii=False)[:-2]
            shared = _shared(prompt, state.last_prompt)
            if reply is not None and reply.status == 200 and not reply.away_s:
                state.last_prompt = prompt
        if state.on_request is not None:
            state.on_request(number)
        if reply is None:
            self._json(500, {"error": {"message": "the script is at its end"}})
        elif reply.away_s:
            self.go_away(reply.away_s)
            self._hang_up()
        elif reply.status != 200:
            self._json(reply.status, {"error": {"message": reply.error}})
        else:
            self._stream(reply, number, len(prompt), shared)

    def _reply(self, number: int) -> Reply | None:
        replies = self.state.replies
        if number < len(replies):
            return replies[number]
        return replies[-1] if self.repeat_last and replies else None

    def _stream(self, reply: Reply, number: int, prompt_chars: int, shared: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        dice = random.Random(self.state.seed * 1000 + number)
        written = len(reply.text) + sum(len(str(arguments)) for _, arguments in reply.calls)
        usage = {
            "prompt_tokens": prompt_chars // CHARS_PER_TOKEN,
            "completion_tokens": max(1, written // CHARS_PER_TOKEN),
            "prompt_tokens_details": {"cached_tokens": shared // CHARS_PER_TOKEN},
        }
        try:
            for count, chunk in enumerate(
                [*_chunks(reply, number, dice), {"usage": usage, "choices": []}]
            ):
                if reply.drop_after is not None and count >= reply.drop_after:
                    self._hang_up()
                    return
                if reply.pause_s:
                    time.sleep(reply.pause_s)
                self._write_in_pieces(f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n", dice)
            self._write_in_pieces("data: [DONE]\n\n", dice)
        except OSError:
            self.state.cut_off += 1

    def _write_in_pieces(self, text: str, dice: random.Random) -> None:
        data = text.encode()
        while data:
            size = dice.randint(1, max(1, len(data)))
            self.wfile.write(data[:size])
            self.wfile.flush()
            data = data[size:]

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _json(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _shared(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _chunks(reply: Reply, number: int, dice: random.Random) -> list[dict[str, Any]]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in _pieces(reply.thinking, reply, dice)]
    deltas += [{"content": piece} for piece in _pieces(reply.text, reply, dice)]
    for index, (name, arguments) in enumerate(reply.calls):
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        place = 0 if reply.same_index else index
        head = {"name": name, "arguments": ""}
        deltas.append(
            {
                "tool_calls": [
                    {
                        "index": place,
                        "id": f"call_{number}_{index}",
                        "type": "function",
                        "function": head,
                    }
                ]
            }
        )
        deltas += [
            {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}
            for piece in _pieces(text, reply, dice)
        ]
    finish = reply.finish or ("tool_calls" if reply.calls else "stop")
    chunks: list[dict[str, Any]] = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas
    ]
    return [*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}]


def _pieces(text: str, reply: Reply, dice: random.Random) -> list[str]:
    pieces = []
    while text:
        size = dice.randint(1, reply.piece_chars)
        pieces.append(text[:size])
        text = text[size:]
    return pieces
