"""`garret models recommend` and `search`: what suits a machine, with the arithmetic."""

from __future__ import annotations

import argparse
import json

from app.cli.models_pull import hub_for
from app.core.paths import find_paths
from app.core.settings import Settings
from app.library.catalogue import load_catalogue
from app.library.fit.plan import MIB
from app.library.hardware import Hardware, detect_hardware
from app.library.names import split_name
from app.library.recommend import Choice, Recommendation, plan_table, recommend
from app.library.search import search
from app.library.store import Store


def recommend_arguments(cli: argparse.ArgumentParser) -> None:
    cli.add_argument(
        "--as", dest="machine", default="", metavar="MACHINE", help="another machine than this one"
    )
    cli.add_argument("--all", action="store_true", help="every machine, each with its arithmetic")
    cli.add_argument("--json", action="store_true", help="one JSON object")


def show_recommendation(arguments: argparse.Namespace, store: Store) -> int:
    catalogue = load_catalogue()
    if arguments.all:
        for line in _table():
            print(line)
        return 0
    if arguments.machine:
        hardware = catalogue.machine(arguments.machine)
    else:
        hardware = detect_hardware(store.root, kept=find_paths().bandwidth_file)
    found = recommend(catalogue, hardware, arguments.machine)
    if arguments.json:
        print(json.dumps(_as_json(found, hardware), indent=2))
    else:
        _print(found, hardware)
    return 0


def show_search(arguments: argparse.Namespace, store: Store, settings: Settings) -> int:
    hardware = detect_hardware(store.root, kept=find_paths().bandwidth_file)
    found = search(hub_for(settings), hardware, arguments.text, limit=max(1, arguments.limit))
    if not found:
        print("Nothing was found. Try fewer or other words.")
    for repo in found:
        gated = "  (asks you to accept its terms first)" if repo.gated else ""
        print(f"{repo.repo}  {repo.downloads:,} downloads{gated}")
        if repo.problem:
            print(f"    {repo.problem}")
        for row in repo.rows:
            about = "about " if row.estimated else ""
            print(
                f"    {row.verdict:<8} {row.size_bytes / 1e9:7.2f} GB  {about}"
                f"{row.tokens_s:.0f} tokens/s  {row.file}"
            )
    return 0


def _print(found: Recommendation, hardware: Hardware) -> None:
    print(f"For {found.machine}: {hardware.sentence}" if hardware.cpu_name else found.machine)
    if found.choice is None:
        print(found.reason)
        return
    print()
    _print_choice("Recommended", found.choice)
    print(f"  {found.reason}")
    for label, choice in (("Faster", found.faster), ("Better", found.better)):
        if choice is not None:
            print()
            _print_choice(label, choice)
            print(f"  {choice.model.summary}")
    if found.better is None:
        print("\nNothing better in the catalogue fits this machine.")


def _print_choice(label: str, choice: Choice) -> None:
    file = choice.file
    about = "" if file.size_exact else "about "
    context = choice.plan.shape.n_ctx // 1024
    print(
        f"{label}: {choice.model.title} ({file.quant})\n"
        f"  {about}{choice.gigabytes:.1f} GB to download, {_duration(choice.minutes)} at "
        f"100 Mbit/s; {context}k context, {choice.speed_text} tokens/s ({choice.basis})\n"
        f"  garret models pull {choice.model.id}:{file.quant}"
    )


def _table() -> list[str]:
    lines = [
        "Memory in MiB: weights + keys and values + state + working buffers + checkpoints = need, "
        "beside the room there is.",
        f"{'machine':<20}{'model':<36}{'ctx':>6}  arithmetic",
    ]
    for machine_id, tier, choice in plan_table(load_catalogue()):
        name = f"{tier.model} {tier.quant}"
        if choice is None:
            lines.append(f"{machine_id:<20}{name:<36}  not in the catalogue")
            continue
        plan = choice.plan
        pools = []
        for pool in plan.pools:
            d = pool.demand
            parts = (
                d.weights_bytes,
                d.kv_bytes,
                d.state_bytes,
                d.compute_bytes,
                pool.checkpoints_bytes,
            )
            total = " + ".join(f"{part / MIB:,.0f}" for part in parts)
            pools.append(
                f"{pool.name} {total} = {pool.used_bytes / MIB:,.0f} of "
                f"{pool.capacity_bytes / MIB:,.0f}"
            )
        split = f", experts of {plan.shape.n_cpu_moe} layers beside" if plan.shape.n_cpu_moe else ""
        known = "" if choice.model.is_exact else ", from estimated dimensions"
        lines.append(
            f"{machine_id:<20}{name:<36}{tier.context // 1024:>5}k  {plan.verdict}: "
            f"{'; '.join(pools)}{split}; {choice.speed_text} tokens/s {choice.basis}"
            f" (computed {plan.tokens_s:.0f}){known}"
        )
    return lines


def _duration(minutes: int) -> str:
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _as_json(found: Recommendation, hardware: Hardware) -> dict[str, object]:
    def one(choice: Choice | None) -> dict[str, object] | None:
        if choice is None:
            return None
        plan = choice.plan
        return {
            "model": choice.model.id,
            "title": choice.model.title,
            "quant": choice.file.quant,
            "repo": choice.file.repo,
            "file": choice.file.paths[0],
            "parts": split_name(choice.file.paths[0]) is not None,
            "size_bytes": choice.file.size_bytes,
            "size_exact": choice.file.size_exact,
            "license": choice.model.license,
            "n_ctx": plan.shape.n_ctx,
            "kv_type": plan.shape.kv_type,
            "n_cpu_moe": plan.shape.n_cpu_moe,
            "n_gpu_layers": plan.shape.n_gpu_layers,
            "verdict": plan.verdict,
            "needed_bytes": plan.needed_bytes,
            "tokens_s": [round(value, 1) for value in choice.tokens_s],
            "basis": choice.basis,
            "minutes_at_100_mbit": choice.minutes,
        }

    return {
        "machine": found.machine,
        "hardware": hardware.to_json(),
        "recommended": one(found.choice),
        "faster": one(found.faster),
        "better": one(found.better),
        "reason": found.reason,
    }
