"""Mixed requests over HTTP against a real model: does anything leak, stick, or come out different?

    python scripts/soak_engine.py [--requests 1000] [--model FILE] [--json]

Chats in three APIs, streamed and whole, some cancelled at random, some malformed, oversized or full
of odd characters, eight at a time. Memory is compared after a third of them and at the end; greedy
answers are compared with the same questions asked alone. llama.cpp's kernels round differently for
batches of different shapes, so an answer may turn where two tokens were nearly equal: wherever one
differs, the margin that the lone run had there is looked at, and a wide one is a fault.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.client.supervisor import EngineSupervisor
from app.core.control import EngineBoot, LoadSpec

AT_ONCE = 8
KEY = "soak"
MODEL = "soak"
MAX_GROWTH = 1.03
# Between the two likeliest tokens where rounding may decide: bare llama.cpp, reading one prompt in
# batches of other shapes, moved single log probabilities of the starter model by up to 0.33.
NARROW_NATS = 0.66
N_CTX = 4096
_SYSTEM = "You are a helpful assistant who answers briefly. " * 6
_TOPICS = (
    "the sea",
    "a small town",
    "Python lists",
    "Wärme und Licht",
    "数字 7",
    "🦊 and 🐻",
    "\u202ertl",
)
_QUESTIONS = tuple(f"Say one sentence about {topic}." for topic in _TOPICS)


@dataclass(frozen=True)
class Answer:
    """A greedy answer's tokens and, for each, how far ahead of the next best it was."""

    tokens: tuple[str, ...]
    margins_nats: tuple[float, ...] = field(compare=False)

    def margin_where_unlike(self, other: Answer) -> float | None:
        """This answer's margin at the first token that differs; None when they agree."""
        for mine, theirs, margin in zip(self.tokens, other.tokens, self.margins_nats, strict=False):
            if mine != theirs:
                return margin
        return None if len(self.tokens) == len(other.tokens) else float("inf")


@dataclass
class Tally:
    """What came of the requests."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    greedy: dict[int, list[Answer]] = field(default_factory=dict)


def _greedy(number: int) -> dict[str, Any]:
    messages = [
        {"role": "system", "content": _SYSTEM},
        {"role": "user", "content": _QUESTIONS[number]},
    ]
    odds = {"logprobs": True, "top_logprobs": 2}
    return {"model": MODEL, "messages": messages, "temperature": 0, "max_tokens": 12, **odds}


async def _one(http: httpx.AsyncClient, rng: random.Random, tally: Tally) -> None:
    kind = rng.random()
    number = rng.randrange(len(_QUESTIONS))
    body = _greedy(number)
    if kind < 0.35:
        await _ask_greedy(http, number, body, tally)
    elif kind < 0.55:
        await _cancelled(http, {**body, "stream": True, "max_tokens": 60}, rng, tally)
    elif kind < 0.60:
        await _refused(http, "/v1/chat/completions", b'{"messages": [', tally)
    elif kind < 0.65:
        broken = {**body, rng.choice(["messages", "max_tokens", "tools"]): "x"}
        await _refused(http, "/v1/chat/completions", json.dumps(broken).encode(), tally)
    elif kind < 0.69:
        long = {**body, "messages": [{"role": "user", "content": "word " * (2 * N_CTX)}]}
        await _refused(http, "/v1/chat/completions", json.dumps(long).encode(), tally)
    else:
        await _varied(http, body, rng, tally)


async def _ask_greedy(
    http: httpx.AsyncClient, number: int, body: dict[str, Any], tally: Tally
) -> None:
    answer = await http.post("/v1/chat/completions", json=body)
    if answer.status_code == 429:
        tally.outcomes["busy"] += 1
        return
    tokens = answer.json()["choices"][0]["logprobs"]["content"]
    ranked = [sorted((t["logprob"] for t in one["top_logprobs"]), reverse=True) for one in tokens]
    margins = tuple(best - second for best, second, *_ in ranked)
    found = Answer(tuple(one["token"] for one in tokens), margins)
    tally.greedy.setdefault(number, []).append(found)
    tally.outcomes["greedy"] += 1


async def _cancelled(
    http: httpx.AsyncClient, body: dict[str, Any], rng: random.Random, tally: Tally
) -> None:
    left = rng.randrange(1, 12)
    async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
        async for line in answer.aiter_lines():
            left -= line.startswith("data:")
            if left <= 0:
                break
    tally.outcomes["cancelled"] += 1


async def _refused(http: httpx.AsyncClient, path: str, raw: bytes, tally: Tally) -> None:
    answer = await http.post(path, content=raw, headers={"Content-Type": "application/json"})
    if answer.status_code not in (400, 413, 429) or "error" not in answer.json():
        tally.faults.append(f"{raw[:80]!r} was answered {answer.status_code}")
    tally.outcomes["refused"] += 1


async def _varied(
    http: httpx.AsyncClient, body: dict[str, Any], rng: random.Random, tally: Tally
) -> None:
    tokens = {"max_tokens": rng.randrange(1, 10), "temperature": rng.choice([0.7, 1.5])}
    chat = {**body, **tokens, "seed": rng.randrange(100)}
    text = body["messages"][1]["content"]
    schema = {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]}
    shape = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    path, sent = rng.choice(
        [
            ("/v1/chat/completions", {**chat, "logprobs": True, "top_logprobs": 2}),
            ("/v1/chat/completions", {**chat, "stop": ["e"], "frequency_penalty": 0.5}),
            ("/v1/chat/completions", {**chat, "response_format": shape}),
            ("/v1/chat/completions", {**chat, "n": 2}),
            ("/v1/messages", {"model": MODEL, "max_tokens": 4, "messages": body["messages"][1:]}),
            ("/v1/messages/count_tokens", {"model": MODEL, "messages": body["messages"][1:]}),
            ("/v1/responses", {"model": MODEL, "input": text, "max_output_tokens": 4}),
            ("/v1/completions", {"model": MODEL, "prompt": text, "max_tokens": 4}),
        ]
    )
    answer = await http.post(path, json=sent)
    if answer.status_code not in (200, 429):
        tally.faults.append(f"{path} was answered {answer.status_code}: {answer.text[:200]}")
    tally.outcomes["varied"] += 1


async def soak(folder: Path, model: Path, requests: int, seed: int = 2026) -> dict[str, Any]:
    """The figures of one run; `ok` says whether they are what they must be."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    boot = EngineBoot(token="", port=port, share=True, user_keys=(KEY,))
    supervisor = EngineSupervisor(boot, folder / "engine.log")
    await supervisor.start()
    started = time.monotonic()
    try:
        await supervisor.load(LoadSpec(str(model), MODEL, n_ctx=N_CTX, n_parallel=4))
        assert supervisor.view.pid is not None
        process = psutil.Process(supervisor.view.pid)
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=600,
            trust_env=False,
        ) as http:
            alone = Tally()
            for number in range(len(_QUESTIONS)):
                await _ask_greedy(http, number, _greedy(number), alone)
            tally, warm_bytes = await _many(http, process, requests, seed)
        for _ in range(100):
            status = await supervisor.status()
            if not status.active_requests and not status.queued_requests:
                break
            await asyncio.sleep(0.1)
        end_bytes = process.memory_info().rss
        if supervisor.view.pid != process.pid:
            tally.faults.append("the engine died")
    finally:
        await supervisor.stop()
    serial = {number: answers[0] for number, answers in alone.greedy.items()}
    pairs = [(serial[number], one) for number, found in tally.greedy.items() for one in found]
    margins = [m for lone, one in pairs if (m := lone.margin_where_unlike(one)) is not None]
    tally.faults += [
        f"a greedy answer turned where the lone run was sure by {margin:.2f} nats"
        for margin in margins
        if margin > NARROW_NATS
    ]
    growth = end_bytes / warm_bytes
    stuck = status.active_requests + status.queued_requests
    return {
        "ok": not tally.faults and not stuck and growth <= MAX_GROWTH,
        "requests": requests,
        "outcomes": dict(tally.outcomes),
        "faults": tally.faults[:10],
        "stuck": stuck,
        "rss_warm_bytes": warm_bytes,
        "rss_end_bytes": end_bytes,
        "rss_growth": round(growth, 4),
        "greedy_answers": len(pairs),
        "greedy_unlike_serial": len(margins),
        "widest_margin_where_unlike_nats": round(max(margins, default=0.0), 4),
        "seconds": round(time.monotonic() - started, 1),
    }


async def _many(
    http: httpx.AsyncClient, process: psutil.Process, requests: int, seed: int
) -> tuple[Tally, int]:
    tally = Tally()
    gate = asyncio.Semaphore(AT_ONCE)
    warm_bytes = 0

    async def run(number: int) -> None:
        nonlocal warm_bytes
        async with gate:
            if number == requests // 3:
                warm_bytes = process.memory_info().rss
            try:
                await _one(http, random.Random(f"{seed} {number}"), tally)
            except (httpx.HTTPError, KeyError, ValueError) as error:
                tally.faults.append(repr(error)[:200])

    await asyncio.gather(*(run(number) for number in range(requests)))
    return tally, warm_bytes


def main() -> int:
    default = Path.home() / ".cache/garret/starter/SmolLM2-135M-Instruct.Q4_1.gguf"
    cli = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    cli.add_argument("--requests", type=int, default=1000)
    cli.add_argument("--model", type=Path, default=default)
    cli.add_argument("--json", action="store_true", help="print the figures as one line of JSON")
    options = cli.parse_args()
    with tempfile.TemporaryDirectory(prefix="garret-soak-") as temporary:
        figures = asyncio.run(soak(Path(temporary), options.model, options.requests))
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:<24} {value}")
    return 0 if figures["ok"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
