"""A small streaming client for the benchmark: one blocking request, timed from outside."""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass, field
from typing import Any


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
    """Talks to the engine the way any program does."""

    def __init__(self, port: int, token: str, model: str) -> None:
        self._port = port
        self._token = token
        self._model = model

    def chat(self, messages: list[dict[str, str]], **body: Any) -> Answer:
        """Raises: RuntimeError when the engine refuses."""
        payload = {
            "model": self._model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            **body,
        }
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=600)
        answer = Answer()
        started = time.perf_counter()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
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
