"""Runs demo cards to their end with a real model, as the demo page does, and says how each went.

    python scripts/try_demos.py --model PATH.gguf [--only ID,…] [--kind chat|agent] [--json]

Every card is read beforehand and then run, in a fresh folder, with our own engine process. Exit
status 1 when a card the model is large enough for did not come to its end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.agent.events import Approval, CallFinished, CallProposed, Question, Reading, TestsRun, Text
from app.agent.types import Answer
from app.core.paths import find_paths
from app.core.settings import Settings
from app.library.choice import load_spec_for
from app.library.store import Store
from app.session.demo_events import DemoEnded, DemoReport
from app.session.demo_run import DemoRunner
from app.session.demos import DemoCard, load_demos
from app.session.engine_seat import EngineSeat
from app.session.engines import build_engine


async def run_card(runner: DemoRunner, card: DemoCard, *, quiet: bool) -> dict[str, Any]:
    """One card: what is known afterwards."""
    began = time.monotonic()
    warmed = await runner.warm(card)
    warm_s = time.monotonic() - began
    report: DemoReport | None = None
    asked, read = 0, 0
    async for event in runner.run(card):
        match event:
            case Approval():
                asked += 1
                event.resolve(Answer("allow_once"))
            case Question():
                event.resolve(False)
            case Text(text) if not quiet:
                sys.stdout.write(text)
                sys.stdout.flush()
            case CallProposed(_call, _kind, summary) if not quiet:
                print(f"\n[{summary}]")
            case CallFinished(_call, outcome) if not quiet:
                print(f"[-> {outcome.text[:300]}]")
            case TestsRun(command, passed, _output) if not quiet:
                print(f"[{command}: {'pass' if passed else 'fail'}]")
            case Reading(progress):
                read = progress.total_tokens - progress.reused_tokens
            case DemoEnded(done):
                report = done
    assert report is not None
    files = {}
    if runner.workspace is not None:
        for name in report.files_written:
            path = runner.workspace / name
            files[name] = path.stat().st_size if path.exists() else 0
    return {
        "card": card.card_id,
        "kind": card.kind,
        "warmed": warmed,
        "warm_s": round(warm_s, 1),
        "read_after_warming": read,
        "approvals": asked,
        "files": files,
        "report": asdict(report),
    }


async def work(options: argparse.Namespace) -> int:
    only = set(options.only.split(",")) if options.only else set()
    cards = [
        card
        for card in load_demos()
        if (not only or card.card_id in only) and options.kind in ("", card.kind)
    ]
    with tempfile.TemporaryDirectory(prefix="garret-try-demos-") as home:
        paths = find_paths({"GARRET_HOME": home})
        paths.make()
        settings = Settings.load(paths.settings_file)
        settings.set("models.load_at_start", False)
        store = Store(paths.models)
        model = store.add_file(Path(options.model), copy=False)
        assert load_spec_for(model.model_id, store) is not None
        seat = EngineSeat()
        control, chat = build_engine(paths, settings, seat.show)
        await seat.take(control, chat)
        runner = DemoRunner(seat, paths)
        failed = 0
        try:
            await seat.load_model(model.model_id)
            if seat.view.model is None:
                print(f"The model cannot be loaded: {seat.view.error}", file=sys.stderr)
                return 1
            for card in cards:
                obstacle = card.obstacle(seat.view.model.n_params)
                if not options.json:
                    print(f"\n=== {card.title} ({card.kind}) {obstacle}", flush=True)
                result = await run_card(runner, card, quiet=options.json)
                result["obstacle"] = obstacle
                failed += not obstacle and result["report"]["status"] != "done"
                print(json.dumps(result) if options.json else f"\n{summary(result)}", flush=True)
        finally:
            await runner.close()
            await seat.close()
    return 1 if failed else 0


def summary(result: dict[str, Any]) -> str:
    """One card in two lines."""
    report = result["report"]
    tokens = report["tokens"]
    first = report["first_word_s"]
    words = (
        f"{result['card']}: {report['status']} in {report['seconds']:.1f} s, first word after "
        f"{'-' if first is None else f'{first:.2f} s'} (warmed in {result['warm_s']} s, "
        f"{result['read_after_warming']} tokens left to read)\n"
        f"  read {tokens['evaluated']} (+{tokens['reused']} remembered), wrote {tokens['written']}"
        f", check: {report['verified']}, files: {result['files']}, steps: {report['steps']}, "
        f"approvals: {result['approvals']}, connections elsewhere: {report['proof']['elsewhere']}"
        f" in {report['proof']['looks']} looks"
    )
    return words if report["status"] == "done" else f"{words}\n  {report['message'][:300]}"


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", required=True, help="path of a GGUF file")
    parser.add_argument("--only", default="", help="card ids, separated by commas")
    parser.add_argument("--kind", default="", choices=["", "chat", "agent"])
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    if not os.path.isfile(options.model):
        parser.error("--model: no such file")
    return asyncio.run(work(options))


if __name__ == "__main__":
    raise SystemExit(main())
