"""A small streaming client for the benchmark: one blocking request, timed from outside.

It runs in a process of its own, as every real client does: in the engine's process its parsing
would hold Python's lock and count as the engine's time.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

_CLIENT = [sys.executable, "-m", "app.engine.bench_client"]
_CLIENT_FROZEN = [sys.executable, "_bench", "--client"]


@dataclass(slots=True)
class Answer:
    """One streamed answer as its client saw it; times in seconds from sending the request."""

    text: str = ""
    first_s: float = 0.0
    last_s: float = 0.0
    timings: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=dict)

    @property
    def decode_tok_s(self) -> float:
        """Tokens after the first over the time between the first and the end."""
        n = int(self.timings.get("predicted_n", 0)) - 1
        return n / (self.last_s - self.first_s) if n > 0 and self.last_s > self.first_s else 0.0


class BenchClient:
    """Talks to the engine the way any program does. Use from any thread; `close` it."""

    def __init__(self, port: int, token: str, model: str) -> None:
        self._port = port
        self._token = token
        self._model = model
        self._idle: list[subprocess.Popen[str]] = []
        self._all: list[subprocess.Popen[str]] = []

    def chat(self, messages: list[dict[str, str]], **body: Any) -> Answer:
        """Raises: RuntimeError when the engine refuses."""
        payload = {
            "model": self._model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            **body,
        }
        child = self._idle.pop() if self._idle else self._start()
        assert child.stdin
        assert child.stdout
        child.stdin.write(json.dumps([self._port, self._token, payload]) + "\n")
        child.stdin.flush()
        found = json.loads(child.stdout.readline())
        self._idle.append(child)
        if "refused" in found:
            raise RuntimeError(found["refused"])
        return Answer(**found)

    def close(self) -> None:
        for child in self._all:
            assert child.stdin
            child.stdin.close()
            child.wait()
            assert child.stdout
            child.stdout.close()

    def _start(self) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            _CLIENT_FROZEN if getattr(sys, "frozen", False) else _CLIENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._all.append(child)
        return child


def ask(port: int, token: str, payload: dict[str, Any]) -> Answer:
    """One request. Raises: RuntimeError with the engine's answer when it refuses."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    answer = Answer()
    started = time.perf_counter()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(payload), headers)
        response = connection.getresponse()
        if response.status != 200:
            raise RuntimeError(response.read().decode("utf-8", "replace"))
        parts: list[str] = []
        for line in response:
            if line.startswith(b"data: {"):
                _take(answer, json.loads(line[6:]), parts, started)
        answer.text = "".join(parts)
    finally:
        connection.close()
    return answer


def _take(answer: Answer, event: dict[str, Any], parts: list[str], started: float) -> None:
    now = time.perf_counter() - started
    if "timings" in event:
        answer.timings = event["timings"]
    if event.get("usage"):
        answer.usage = event["usage"]
    for choice in event.get("choices", ()):
        text = choice.get("delta", {}).get("content")
        if text:
            answer.first_s = answer.first_s or now
            answer.last_s = now
            parts.append(text)


def serve_requests() -> None:
    """One request for each line on stdin, its answer as a line on stdout."""
    for line in sys.stdin:
        port, token, payload = json.loads(line)
        try:
            found = asdict(ask(port, token, payload))
        except RuntimeError as error:
            found = {"refused": str(error)}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve_requests()
