"""Throws seeded nonsense at the engine: model headers, chat templates and request bodies.

    python scripts/fuzz_engine.py [--cases 5000] [--seed 2026]

The engine may refuse or die; its supervisor must outlive all of it, nothing may take over ten
seconds, and no request may end in a mistake of ours. The last line of output is the result as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import struct
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.client.supervisor import EngineSupervisor
from app.core.control import EngineBoot, LoadSpec
from app.core.errors import BadChatTemplate, GarretError
from app.engine.chat.renderer import TemplateRefused, TemplateRenderer
from scripts.make_synthetic_model import write_model
from tests.engine.api.test_hostile_bodies import BODIES, mutated

HANG_S = 10.0
KEY = "fuzz"
MODEL = "sound"
_HEADER_BYTES = 6_000
_EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 62, (1 << 63) - 1, (1 << 64) - 1)
_BOMB_SHARE = 0.003  # each costs the time limit
_CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
_PIECES = (
    *("{{", "}}", "{%", "%}", "{#", "#}", "for", "in", "if", "endif", "endfor", "set", "macro"),
    *("messages", "m.role", "loop.index", "self", "cycler", "range(10**9)", "'a'*10**10"),
    *(
        "__class__",
        "|attr('x')",
        "|tojson",
        "|join",
        "raise_exception('x')",
        "%}{% set x = x + x %}",
    ),
    *(
        "{% for a in range(99999) %}",
        "{% include 'x' %}",
        "{% import 'os' %}",
        "\x00",
        "\udc80",
        "é",
    ),
)


@dataclass
class Outcome:
    """What came of a run."""

    counts: Counter[str] = field(default_factory=Counter)
    slowest_s: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    restarts: int = 0

    def add(self, kind: str, what: str, seconds: float) -> None:
        self.counts[f"{kind}: {what}"] += 1
        self.slowest_s[kind] = max(self.slowest_s.get(kind, 0.0), round(seconds, 2))
        if seconds > HANG_S:
            self.faults.append(f"{kind} took {seconds:.1f} s ({what})")

    def to_json(self) -> dict[str, Any]:
        return {
            "ok": not self.faults,
            "counts": dict(sorted(self.counts.items())),
            "slowest_s": self.slowest_s,
            "engine_restarts": self.restarts,
            "faults": self.faults[:20],
        }


def mutated_file(sound: bytes, rng: random.Random) -> bytes:
    """A GGUF with a few bytes of its header changed, or cut off."""
    data = bytearray(sound)
    for _ in range(rng.choice((1, 1, 2, 5))):
        at = rng.randrange(0, min(_HEADER_BYTES, len(data) - 8))
        kind = rng.randrange(9)
        if kind == 0 or kind > 4:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + 8] = struct.pack("<Q", rng.choice(_EXTREMES))
        elif kind == 2:
            data[at : at + 4] = struct.pack("<I", rng.choice(_EXTREMES) & 0xFFFFFFFF)
        elif kind == 3:
            data[at : at + 4] = rng.randbytes(4)
        else:
            del data[rng.randrange(9, len(data)) :]
    return bytes(data)


def mutated_template(rng: random.Random) -> str:
    """A chat template with pieces cut, doubled or put in."""
    text = _CHATML
    for _ in range(rng.randrange(1, 6)):
        a = rng.randrange(len(text) + 1)
        b = min(len(text), a + rng.randrange(1, 12))
        kind = rng.randrange(3)
        piece = rng.choice(_PIECES) if rng.random() > _BOMB_SHARE else "{{ 9**9**9 }}"
        text = text[:a] + (piece, "", text[a:b] * 2)[kind] + text[a if kind == 0 else b :]
    return text


async def fuzz_headers(folder: Path, sound: bytes, n: int, seed: int, out: Outcome) -> None:
    """Every file is loaded through a supervisor, as the app does it."""
    supervisor = EngineSupervisor(EngineBoot(token=""), folder / "headers.log")
    await supervisor.start()
    pids = {supervisor.view.pid}
    try:
        for number in range(n):
            path = folder / "mutated.gguf"
            path.write_bytes(mutated_file(sound, random.Random(f"{seed} header {number}")))
            started = time.monotonic()
            try:
                async with asyncio.timeout(2 * HANG_S):
                    await supervisor.load(LoadSpec(str(path), "mutated", n_ctx=256, n_threads=1))
                    await supervisor.unload()  # else the next one counts as loaded already
                what = "loaded"
            except GarretError as error:
                what = type(error).__name__
            except TimeoutError:
                what = "hung"
            out.add("header", what, time.monotonic() - started)
            if what == "EngineDied":
                out.restarts += 1
                await supervisor.stop()  # the app would give up after a few
                await supervisor.start()
            pids.add(supervisor.view.pid)
        status = await supervisor.status()
        if not status.pid:
            out.faults.append("the supervisor lost its engine")
    finally:
        await supervisor.stop()


async def fuzz_templates(n: int, seed: int, out: Outcome) -> None:
    """Every template is rendered where the engine renders it."""
    renderer = TemplateRenderer()
    context = {"messages": [{"role": "user", "content": "x"}], "add_generation_prompt": True}
    try:
        for number in range(n):
            template = mutated_template(random.Random(f"{seed} template {number}"))
            started = time.monotonic()
            try:
                await renderer.render(template, context)
                what = "rendered"
            except TemplateRefused:
                what = "refused"
            except BadChatTemplate:
                what = "failed"
            out.add("template", what, time.monotonic() - started)
        if await renderer.render("{{ 1 + 1 }}", {}) != "2":
            out.faults.append("the renderer no longer renders")
    finally:
        await asyncio.to_thread(renderer.close)


async def fuzz_bodies(folder: Path, sound: Path, n: int, seed: int, out: Outcome) -> None:
    """Every body goes over a socket to a real engine with a tiny model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    boot = EngineBoot(token="", port=port, share=True, user_keys=(KEY,))
    supervisor = EngineSupervisor(boot, folder / "bodies.log")
    await supervisor.start()
    paths = sorted(path for path in BODIES if not path.startswith("/control"))
    try:
        await supervisor.load(LoadSpec(str(sound), MODEL, n_ctx=512, n_threads=1))
        pid = supervisor.view.pid
        headers = {"Authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}",
            headers=headers,
            timeout=2 * HANG_S,
            trust_env=False,
        ) as http:
            for number in range(n):
                rng = random.Random(f"{seed} body {number}")
                path = rng.choice(paths)
                body = mutated({**BODIES[path], "model": MODEL, "max_tokens": 4}, rng)
                await _post(http, path, body, rng, out)
            if supervisor.view.pid != pid:
                out.restarts += 1
            alive = await http.get("/healthz")
            if alive.status_code != 200:
                out.faults.append(f"/healthz says {alive.status_code}")
        status = await supervisor.status()
        if status.active_requests or status.queued_requests:
            out.faults.append("a request is stuck")
    finally:
        await supervisor.stop()


async def _post(
    http: httpx.AsyncClient, path: str, body: Any, rng: random.Random, out: Outcome
) -> None:
    raw = json.dumps(body).encode()
    if rng.random() < 0.2:
        noisy = bytearray(raw)
        for _ in range(3):
            noisy[rng.randrange(len(raw))] = rng.randrange(256)
        raw = bytes(noisy)
    started = time.monotonic()
    try:
        response = await http.post(path, content=raw, headers={"Content-Type": "application/json"})
        what = str(response.status_code)
        if response.status_code >= 500 or "engine made a mistake" in response.text:
            out.faults.append(f"{path} {what}: {raw[:300]!r} {response.text[:120]}")
    except httpx.HTTPError as error:
        what = type(error).__name__
        out.faults.append(f"{path} {what}: {raw[:300]!r}")
    out.add("body", what, time.monotonic() - started)


async def fuzz(folder: Path, cases: int, seed: int) -> Outcome:
    """`cases` in all, a third of each kind."""
    out = Outcome()
    sound = write_model(folder / "sound.gguf", "exact-llama")
    third = cases // 3
    await fuzz_templates(third, seed, out)
    await fuzz_bodies(folder, sound, third, seed, out)
    await fuzz_headers(folder, sound.read_bytes(), cases - 2 * third, seed, out)
    return out


def main() -> int:
    cli = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    cli.add_argument("--cases", type=int, default=5000)
    cli.add_argument("--seed", type=int, default=2026)
    options = cli.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="garret-fuzz-") as temporary:
        outcome = asyncio.run(fuzz(Path(temporary), options.cases, options.seed))
    seconds = round(time.monotonic() - started, 1)
    print(json.dumps({**outcome.to_json(), "cases": options.cases, "seconds": seconds}))
    return 0 if not outcome.faults else 1


if __name__ == "__main__":
    raise SystemExit(main())
