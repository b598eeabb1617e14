#!/usr/bin/env python3
"""Predicted against reported memory: loads GGUF files in the real engine and compares.

    python scripts/compare_memory.py MODEL.gguf … [--ctx 32768 262144] [--cpu-moe N]
                                     [--gpu-layers N] [--parallel N] [--kv f16|q8_0] [--json]

Weights, keys and values, and recurrent state must agree within 3 %; working buffers must not be
under-predicted, and at most a quarter and 8 MiB over. Where the processor repacks a mapped file's
weights, llama.cpp reports both copies, and so does the prediction here; a plan counts them once,
because mapped pages can be taken back. Exit status 1 when one does not agree.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from app.client.supervisor import EngineSupervisor  # noqa: E402
from app.core.control import EngineBoot, LoadSpec, MemoryUse  # noqa: E402
from app.core.errors import GarretError  # noqa: E402
from app.library.facts import ModelFacts  # noqa: E402
from app.library.fit.memory import Demand, demands, repacked_bytes  # noqa: E402
from app.library.fit.shape import Shape  # noqa: E402
from app.library.probes import isa_flags  # noqa: E402
from app.library.store import Store  # noqa: E402

TOLERANCE = 0.03
MOST_OVER, MOST_OVER_BYTES = 1.25, 8 << 20


@dataclasses.dataclass(frozen=True)
class Row:
    """One load; all figures in bytes, over all devices."""

    model: str
    n_ctx: int
    predicted: Demand
    reported: Demand
    devices: dict[str, int]

    @property
    def error(self) -> float:
        """Of weights + keys and values + state, relative to what was reported."""
        ours, theirs = (
            one.weights_bytes + one.kv_bytes + one.state_bytes
            for one in (self.predicted, self.reported)
        )
        return ours / theirs - 1 if theirs else float("inf")

    @property
    def compute_error(self) -> float:
        """Of the working buffers, relative to what was reported."""
        theirs = self.reported.compute_bytes
        return self.predicted.compute_bytes / theirs - 1 if theirs else float("inf")

    @property
    def agrees(self) -> bool:
        ours, theirs = self.predicted.compute_bytes, self.reported.compute_bytes
        return (
            abs(self.error) <= TOLERANCE and theirs <= ours <= theirs * MOST_OVER + MOST_OVER_BYTES
        )


def reported(uses: tuple[MemoryUse, ...]) -> Demand:
    return Demand(
        sum(use.weights_bytes for use in uses),
        sum(use.kv_bytes for use in uses),
        sum(use.state_bytes for use in uses),
        sum(use.compute_bytes + use.output_bytes for use in uses),
    )


async def load(supervisor: EngineSupervisor, facts: ModelFacts, spec: LoadSpec) -> Row:
    info = await supervisor.load(spec)
    status = await supervisor.status()
    uses = status.memory.get(spec.model_id, ())
    shape = Shape(
        n_ctx=spec.n_ctx or info.n_ctx,
        n_parallel=info.n_parallel,
        kv_type=spec.kv_type,
        n_ubatch=spec.n_ubatch or 512,
        n_gpu_layers=spec.n_gpu_layers,
        n_cpu_moe=spec.n_cpu_moe,
    )
    n_gpus = sum(1 for use in uses if use.device != "CPU")
    unified = any(use.device.startswith("MTL") for use in uses)
    gpu, cpu = demands(facts, shape, n_gpus=n_gpus, unified=unified)
    predicted = gpu.plus(cpu)
    if not n_gpus and not spec.n_cpu_moe:  # a mapped file is reported beside its repacked copy
        predicted = predicted.plus(Demand(repacked_bytes(facts, isa_flags())))
    return Row(
        model=Path(spec.model_path).name,
        n_ctx=shape.n_ctx,
        predicted=predicted,
        reported=reported(uses),
        devices={use.device: use.total_bytes for use in uses},
    )


async def compare(options: argparse.Namespace) -> list[Row]:
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        for path in options.models:
            model = store.find(path)
            for n_ctx in options.ctx or [min(model.facts.context_train or 4096, 8192)]:
                spec = LoadSpec(
                    model_path=str(model.path),
                    model_id=model.model_id,
                    n_ctx=n_ctx,
                    n_parallel=options.parallel,
                    n_gpu_layers=options.gpu_layers,
                    n_cpu_moe=options.cpu_moe,
                    kv_type=options.kv,
                    n_ubatch=512,
                )
                # A fresh engine for each load: what one reports is then its own.
                supervisor = EngineSupervisor(EngineBoot(token=""), Path(folder) / "engine.log")
                try:
                    async with asyncio.timeout(options.timeout):
                        await supervisor.start()
                        rows.append(await load(supervisor, model.facts, spec))
                finally:
                    await supervisor.stop()
    return rows


def show(row: Row) -> None:
    print(
        f"{row.model}, {row.n_ctx:,} tokens of context: {row.error:+.2%}, "
        f"working buffers {row.compute_error:+.1%}{'' if row.agrees else '  DOES NOT AGREE'}"
    )
    for name in ("weights_bytes", "kv_bytes", "state_bytes", "compute_bytes"):
        ours, theirs = (getattr(one, name) / 2**20 for one in (row.predicted, row.reported))
        print(f"    {name[:-6]:<8} predicted {ours:12,.2f} MiB   reported {theirs:12,.2f} MiB")
    print("    on " + ", ".join(f"{k}: {v / 2**20:,.1f} MiB" for k, v in row.devices.items()))


def main() -> int:
    cli = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    cli.add_argument("models", nargs="+", type=Path)
    cli.add_argument("--ctx", nargs="*", type=int)
    cli.add_argument("--cpu-moe", type=int, default=0)
    cli.add_argument("--gpu-layers", type=int, default=-1)
    cli.add_argument("--parallel", type=int, default=1)
    cli.add_argument("--kv", choices=("f16", "q8_0"), default="f16")
    cli.add_argument("--timeout", type=float, default=300.0, help="seconds for one load")
    cli.add_argument("--json", action="store_true")
    options = cli.parse_args()
    try:
        rows = asyncio.run(compare(options))
    except GarretError as error:
        print(f"compare_memory: {error}", file=sys.stderr)
        return 1
    except TimeoutError:
        print("compare_memory: the engine did not load the model in time.", file=sys.stderr)
        return 1
    if options.json:
        print(
            json.dumps(
                [
                    {
                        **dataclasses.asdict(row),
                        "error": row.error,
                        "compute_error": row.compute_error,
                        "agrees": row.agrees,
                    }
                    for row in rows
                ]
            )
        )
    else:
        for row in rows:
            show(row)
    return 0 if all(row.agrees for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
