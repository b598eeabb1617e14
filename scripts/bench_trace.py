"""One multi-turn agent trace against our engine and llama.cpp's own server, side by side.

    python scripts/bench_trace.py [--model GGUF] [--hybrid] [--json] [--server-python PYTHON]

llama.cpp's server comes from the `xllamacpp` wheel in an environment of its own, never in ours:

    python -m venv /tmp/xllamacpp && /tmp/xllamacpp/bin/pip install xllamacpp

What counts is how many prompt tokens each side evaluates, and the seconds it takes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STEPS = (
    "cold",
    "append",
    "append a tool result",
    "regenerate",
    "edit the last user turn",
    "edit two turns back",
    "return to the first branch",
    "new chat, same system prompt",
)
_SERVER = """
import sys, time, xllamacpp as x
p = x.CommonParams()
p.model.path = sys.argv[1]; p.n_ctx = int(sys.argv[2]); p.n_parallel = int(sys.argv[3])
p.n_batch = 512; p.n_ubatch = 512; p.hostnames = ["127.0.0.1"]; p.port = int(sys.argv[5])
p.cpuparams.n_threads = int(sys.argv[4]); p.cpuparams_batch.n_threads = int(sys.argv[4])
p.use_jinja = True; p.warmup = True
server = x.Server(p)
print(server.listening_address, flush=True)
sys.stdin.read()
"""
_NOUNS = "file test module function value error path line engine token branch state".split()  # noqa: SIM905
_VERBS = "reads writes checks keeps moves finds opens returns changes splits".split()  # noqa: SIM905


@dataclass
class Tally:
    """What one side did on the trace."""

    evaluated: int = 0
    prompt: int = 0
    seconds: float = 0.0
    by_step: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STEPS, 0))
    first_token_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STEPS, 0.0))


class Side:
    """A running server with a chat completions route."""

    def __init__(self, base_url: str, token: str, model: str) -> None:
        self._url = base_url + "/v1/chat/completions"
        self._token = token
        self._model = model

    def ask(self, messages: list[dict[str, Any]], n_new: int) -> tuple[str, dict[str, Any]]:
        body = {
            "model": self._model,
            "messages": messages,
            "max_tokens": n_new,
            "temperature": 0,
            "ignore_eos": True,
            "cache_prompt": True,
        }
        request = urllib.request.Request(
            self._url,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
        )
        with urllib.request.urlopen(request, timeout=600) as response:
            answer = json.load(response)
        return str(answer["choices"][0]["message"].get("content") or ""), answer["timings"]


def _words(rng: random.Random, n: int) -> str:
    return " ".join(
        f"the {rng.choice(_NOUNS)} {rng.choice(_VERBS)} a {rng.choice(_NOUNS)}."
        for _ in range(n // 5)
    )


def _message(role: str, text: str) -> dict[str, Any]:
    return {"role": role, "content": text}


def run_client(side: Side, client: int, n_new: int) -> Tally:
    """The trace of one client; all clients share the system prompt, as agents of one app do."""
    shared, rng = random.Random(0), random.Random(1000 + client)
    system = _message("system", "You are an agent. " + _words(shared, 700))
    tally = Tally()

    def ask(step: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
        text, timings = side.ask(messages, n_new)
        evaluated = int(timings["prompt_n"])
        tally.evaluated += evaluated
        tally.prompt += evaluated + int(timings.get("cache_n", 0))
        tally.by_step[step] += evaluated
        tally.first_token_s[step] += float(timings["prompt_ms"]) / 1000
        return _message("assistant", text)

    def user(n: int) -> dict[str, Any]:
        return _message("user", f"Client {client}: {_words(rng, n)}")

    started = time.perf_counter()
    chat = [system, user(120)]
    chat.append(ask("cold", chat))
    two_back = len(chat)
    chat.append(user(90))
    chat.append(ask("append", chat))
    chat.append(user(200))
    answer = ask("append a tool result", chat)
    ask("regenerate", chat)
    ask("edit the last user turn", [*chat[:-1], user(90)])
    ask("edit two turns back", [*chat[:two_back], user(110)])
    ask("return to the first branch", [*chat, answer, user(60)])
    ask("new chat, same system prompt", [system, user(100)])
    tally.seconds = time.perf_counter() - started
    return tally


def run_trace(side: Side, clients: int, n_new: int) -> Tally:
    """All clients at once, added up; seconds are wall time."""
    started = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        tallies = list(pool.map(lambda i: run_client(side, i, n_new), range(clients)))
    total = Tally(seconds=time.perf_counter() - started)
    for tally in tallies:
        total.evaluated += tally.evaluated
        total.prompt += tally.prompt
        for step in STEPS:
            total.by_step[step] += tally.by_step[step]
            total.first_token_s[step] += tally.first_token_s[step]
    return total


def start_ours(model: Path, args: argparse.Namespace) -> tuple[subprocess.Popen[bytes], Side]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-m", "app.engine"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=ROOT,
        env=env,
    )
    assert child.stdin
    assert child.stdout
    child.stdin.write(json.dumps({"token": "trace"}).encode() + b"\n")
    child.stdin.flush()
    port = json.loads(child.stdout.readline())["port"]
    base = f"http://127.0.0.1:{port}"
    spec = {
        "model_path": str(model),
        "model_id": "trace",
        "n_ctx": args.ctx,
        "n_parallel": args.parallel,
        "n_threads": args.threads,
        "n_batch": 512,
        "n_ubatch": 512,
    }
    request = urllib.request.Request(
        base + "/control/load",
        json.dumps(spec).encode(),
        {"Content-Type": "application/json", "Authorization": "Bearer trace"},
    )
    with urllib.request.urlopen(request, timeout=600) as response:
        last = [line for line in response if line.startswith(b"data:")][-1]
    if json.loads(last[5:]).get("error"):
        raise SystemExit(f"our engine: {last!r}")
    return child, Side(base, "trace", "trace")


def start_theirs(model: Path, args: argparse.Namespace) -> tuple[subprocess.Popen[bytes], Side]:
    port = str(random.randrange(20000, 50000))
    numbers = [str(args.ctx), str(args.parallel), str(args.threads), port]
    child = subprocess.Popen(
        [args.server_python, "-c", _SERVER, str(model), *numbers],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert child.stdout
    address = child.stdout.readline().decode().strip()
    if not address:
        raise SystemExit("xllamacpp did not start; see --help for how to install it")
    return child, Side(address if "//" in address else f"http://{address}", "x", "x")


def compare(model: Path, clients: int, args: argparse.Namespace) -> dict[str, Any]:
    """A fresh server of each kind, alternating `--passes` times; the best seconds of each."""
    sides = {"ours": start_ours}
    if args.server_python:
        sides["llama-server"] = start_theirs
    best: dict[str, Tally] = {}
    for _ in range(args.passes):
        for name, start in sides.items():
            child, side = start(model, args)
            try:
                tally = run_trace(side, clients, args.tokens)
            finally:
                assert child.stdin
                child.stdin.close()
                try:
                    child.wait(10)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
            if name not in best or tally.seconds < best[name].seconds:
                best[name] = tally
    return {
        "model": model.stem,
        "clients": clients,
        **{
            name: {
                "evaluated": tally.evaluated,
                "prompt": tally.prompt,
                "seconds": round(tally.seconds, 2),
                "by_step": tally.by_step,
                "first_token_s": {k: round(v, 3) for k, v in tally.first_token_s.items()},
            }
            for name, tally in best.items()
        },
    }


def show(row: dict[str, Any]) -> None:
    names = [name for name in ("ours", "llama-server") if name in row]
    print(f"\n{row['model']}, {row['clients']} client(s)")
    print(f"{'evaluated tokens':<32}" + "".join(f"{name:>14}" for name in names))
    for step in STEPS:
        print(f"{step:<32}" + "".join(f"{row[name]['by_step'][step]:>14}" for name in names))
    for what in ("evaluated", "prompt", "seconds"):
        print(f"{what:<32}" + "".join(f"{row[name][what]:>14}" for name in names))


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, action="append", default=[])
    parser.add_argument("--hybrid", action="store_true", help="add the synthetic qwen3next model")
    parser.add_argument("--server-python", default="", help="a Python that has xllamacpp")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--ctx", type=int, default=32768)
    parser.add_argument("--parallel", type=int, default=4)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--tokens", type=int, default=24, help="tokens of each answer")
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        models = list(args.model)
        if args.hybrid or not models:
            sys.path.insert(0, str(ROOT))
            from scripts.make_synthetic_model import write_model

            models.append(write_model(Path(folder) / "synthetic-qwen3next.gguf"))
        rows = [compare(model, n, args) for model in models for n in args.clients]
    if not args.json:
        for row in rows:
            show(row)
    print(json.dumps({"rows": rows}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
