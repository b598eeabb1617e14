"""`garret bench`, the engine side: HTTP against a bare llama.cpp loop in one process and run.

Reads one JSON line on stdin ({"spec": LoadSpec, …}) or takes `--model PATH`; prints a table and, as
the last line, one JSON object. The passes alternate because other programs disturb the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn

from app.core.control import EngineBoot, LoadSpec
from app.core.errors import GarretError, error_from_json
from app.engine.api.app import build_app
from app.engine.bench_client import Answer, BenchClient, serve_requests
from app.engine.loaded_model import EngineModel
from app.engine.process import SWITCH_INTERVAL_S, bind
from app.engine.sampler import Candidates, Sampler, logits_at
from app.engine.service import Service
from app.engine.types import Sampling

_TOKEN = "bench"  # noqa: S105 - lives as long as this process, on loopback
_RECOMMENDED = Sampling(temperature=1.0, top_p=0.95, top_k=40, min_p=0.01, seed=1)
_SAMPLING = {"temperature": 1.0, "top_p": 0.95, "top_k": 40, "min_p": 0.01, "seed": 1}
_MOST_WORDS = 4000
_FILLER = "the engine reads every token once and keeps what it has read for the next turn"


class _Engine:
    """The real service and the real HTTP server, on a thread of this process."""

    def __init__(self, spec: LoadSpec) -> None:
        self._spec = spec
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.model = self._run(self._start())
        self.client = BenchClient(self._port, _TOKEN, spec.model_id)

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    async def _start(self) -> EngineModel:
        boot = EngineBoot(token=_TOKEN)
        self._service = Service(boot)
        listener: socket.socket = bind("127.0.0.1", 0)
        self._port = int(listener.getsockname()[1])
        config = uvicorn.Config(
            build_app(self._service, boot), log_config=None, access_log=False, ws="none"
        )
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        async for event in self._service.load(self._spec):
            if event.error is not None:
                raise error_from_json(event.error)
        return await self._service.model(self._spec.model_id)

    def close(self) -> None:
        self.client.close()
        self._run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _stop(self) -> None:
        self._server.should_exit = True
        await self._serving
        await self._service.close()


def _bare(model: EngineModel, prompt: list[int], n_new: int) -> tuple[float, float]:
    """Seconds to read `prompt` and sample once, and to write `n_new` more, with nothing around.

    Runs on the decode thread with the same context, threads and sampler chain.
    """

    def job() -> tuple[float, float]:
        context, vocabulary = model.context, model.vocabulary
        for sequence in model.scheduler.sequences.all:
            model.scheduler.sequences.forget(sequence)
        sampler = Sampler(vocabulary, _RECOMMENDED)
        scratch = Candidates(vocabulary.n_tokens)
        batch = context.batch
        started = time.perf_counter()
        for at in range(0, len(prompt), batch.capacity):
            chunk = np.asarray(prompt[at : at + batch.capacity], np.int32)
            batch.clear()
            batch.add(chunk, at, 0, output=at + len(chunk) == len(prompt))
            context.decode()
        token = sampler.sample(logits_at(context.handle, -1, vocabulary.n_tokens), scratch)
        read_s = time.perf_counter() - started
        started = time.perf_counter()
        for step in range(n_new):
            batch.clear()
            batch.add([token], len(prompt) + step, 0, output=True)
            context.decode()
            token = sampler.sample(logits_at(context.handle, -1, vocabulary.n_tokens), scratch)
        write_s = time.perf_counter() - started
        sampler.close()
        context.clear(0)
        return read_s, write_s

    return model.scheduler.call(job).result()


def _text(n_words: int, seed: int) -> str:
    words = _FILLER.split()
    rng = random.Random(seed)  # noqa: S311 - reproducible filler, not a secret
    return " ".join(rng.choice(words) for _ in range(n_words))


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _ratios(engine: _Engine, passes: int, n_new: int, n_words: int) -> dict[str, Any]:
    """Alternates bare and HTTP; the ratios are medians over neighbouring pairs."""
    model, client = engine.model, engine.client
    for seed in (0, -1):  # the second at the speed of a machine that is awake
        warm = client.chat(
            [_user(f"{seed} {_text(n_words, seed)}")], max_tokens=64, ignore_eos=True, **_SAMPLING
        )
    # About a second of reading, so that a fast machine is not measured on its start-up.
    per_s = 1000 * warm.timings["prompt_n"] / warm.timings["prompt_ms"]
    n_words = int(min(max(n_words, 0.7 * per_s), _MOST_WORDS, model.info.n_ctx // 4))
    warm = client.chat([_user(_text(n_words, 0))], max_tokens=16, ignore_eos=True, **_SAMPLING)
    n_prompt = int(warm.usage["prompt_tokens"])
    # Both sides compute with the number of threads the engine found to pay just now.
    model.scheduler.pin_threads()
    rows = []
    for n in range(1, passes + 1):
        # The same words: which tokens are read decides how evenly the experts are used.
        ids = model.vocabulary.tokenize(f"{n} {_text(n_words + 50, n)}", parse_special=False)
        bare = _bare(model, ids[:n_prompt], n_new)
        http = client.chat(
            [_user(f"{n} {_text(n_words, n)}")], max_tokens=n_new, ignore_eos=True, **_SAMPLING
        )
        rows.append((bare, http, int(http.timings["prompt_n"])))
    bare_tok_s = [n_new / bare[1] for bare, _, _ in rows]
    http_tok_s = [http.decode_tok_s for _, http, _ in rows]
    bare_prefill = [n_prompt / bare[0] for bare, _, _ in rows]
    http_prefill = [n / http.first_s for _, http, n in rows]
    median = statistics.median
    return {
        "decode_ratio": median(h / b for h, b in zip(http_tok_s, bare_tok_s, strict=True)),
        "decode_tok_s": median(http_tok_s),
        "bare_tok_s": median(bare_tok_s),
        "prefill_ratio": median(h / b for h, b in zip(http_prefill, bare_prefill, strict=True)),
        "prefill_tok_s": median(http_prefill),
        "bare_prefill_tok_s": median(bare_prefill),
        "prompt_tokens": n_prompt,
        "threads": model.scheduler.n_threads,
        "passes": passes,
    }


def _turns(client: BenchClient, n_words: int) -> list[dict[str, Any]]:
    """What a changed conversation costs: tokens evaluated and seconds to the first one."""
    system = {"role": "system", "content": "Be brief. " + _text(n_words, 100)}
    first, second = _user(_text(40, 101)), _user(_text(30, 102))

    def ask(messages: list[dict[str, str]]) -> Answer:
        return client.chat(messages, max_tokens=16, temperature=0, ignore_eos=True)

    rows: list[dict[str, Any]] = []

    def row(name: str, messages: list[dict[str, str]]) -> str:
        answer = ask(messages)
        total = int(answer.usage.get("prompt_tokens", 0))
        rows.append(
            {
                "turn": name,
                "prompt_tokens": total,
                "evaluated_tokens": int(answer.timings["prompt_n"]),
                "first_token_s": round(answer.first_s, 4),
            }
        )
        return answer.text

    history = [system, first]
    history.append({"role": "assistant", "content": row("cold", history)})
    history += [second]
    history.append({"role": "assistant", "content": row("append", history)})
    third = [*history, _user(_text(30, 103))]
    row("append again", third)
    row("edit last turn", [*history, _user(_text(30, 104))])
    row("edit middle", [system, first, history[2], _user(_text(30, 105))])
    row("branch back", third)
    row("new chat, same system", [system, _user(_text(40, 106))])
    return rows


def _parallel(client: BenchClient, n_new: int) -> dict[str, float]:
    figures = {}
    for n in (1, 2, 4, 8):
        started = time.perf_counter()
        with ThreadPoolExecutor(n) as pool:
            answers = list(
                pool.map(
                    lambda i: client.chat(
                        [_user(f"{i} Tell me a story.")], max_tokens=n_new, ignore_eos=True
                    ),
                    range(n),
                )
            )
        total = sum(int(answer.timings["predicted_n"]) for answer in answers)
        figures[str(n)] = round(total / (time.perf_counter() - started), 2)
    return figures


def run(
    spec: LoadSpec, passes: int, n_new: int, n_words: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Everything, as one JSON-ready object. Raises: GarretError when the model does not load."""
    say(f"Loading {spec.model_id} …")
    engine = _Engine(spec)
    try:
        say("Decode and prefill, HTTP against the bare loop …")
        result = _ratios(engine, passes, n_new, 320)
        say("Warm turns …")
        result["turns"] = _turns(engine.client, n_words)
        say("Parallel streams …")
        result["parallel_tok_s"] = _parallel(engine.client, max(16, n_new // 2))
    finally:
        engine.close()
    result["model"] = spec.model_id
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in result.items()}


def table(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [
        f"decode   {result['decode_tok_s']:8.1f} tok/s over HTTP, {result['bare_tok_s']:8.1f} bare"
        f"   ratio {result['decode_ratio']:.3f}",
        f"prefill  {result['prefill_tok_s']:8.1f} tok/s over HTTP,"
        f" {result['bare_prefill_tok_s']:8.1f} bare   ratio {result['prefill_ratio']:.3f}",
        "",
        f"{'turn':<24}{'prompt':>8}{'evaluated':>11}{'first token':>13}",
    ]
    lines += [
        f"{row['turn']:<24}{row['prompt_tokens']:>8}{row['evaluated_tokens']:>11}"
        f"{row['first_token_s']:>11.3f} s"
        for row in result["turns"]
    ]
    streams = "  ".join(f"{n}: {rate:.1f}" for n, rate in result["parallel_tok_s"].items())
    return "\n".join([*lines, "", f"parallel streams, tok/s in all   {streams}"])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="app.engine.bench", description=__doc__)
    parser.add_argument("--model", help="path to a GGUF; without it a LoadSpec line on stdin")
    parser.add_argument("--json", action="store_true", help="nothing but the JSON object")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--system-words", type=int, default=600, help="of the warm-turn chat")
    parser.add_argument("--tokens", type=int, default=96, help="tokens written in each pass")
    parser.add_argument("--client", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.client:
        serve_requests()
        return 0
    if args.model:
        spec = LoadSpec(model_path=args.model, model_id=Path(args.model).stem)
    else:
        spec = LoadSpec.from_json(json.loads(sys.stdin.readline()))
    sys.setswitchinterval(SWITCH_INTERVAL_S)

    def say(line: str) -> None:
        sys.stderr.write(line + "\n")

    try:
        result = run(spec, max(1, args.passes), max(8, args.tokens), max(1, args.system_words), say)
    except GarretError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    if not args.json:
        sys.stdout.write(table(result) + "\n")
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
