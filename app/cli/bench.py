"""`garret bench`: this engine over HTTP against a bare llama.cpp loop, in one child process."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys

from app.cli.local_engine import EngineOptions, choose_spec, models_folder
from app.client.spawn import engine_environment
from app.core.paths import find_paths
from app.core.settings import Settings


def parser() -> argparse.ArgumentParser:
    """The options of `garret bench`."""
    cli = argparse.ArgumentParser(
        prog="garret bench",
        description="Measures reading and writing speed through the endpoint against a bare "
        "llama.cpp loop, what warm turns cost, and parallel streams. The last line is JSON.",
    )
    cli.add_argument("--model", help="an installed model's id or a path to a GGUF")
    cli.add_argument("--json", action="store_true", help="print only the JSON object")
    cli.add_argument("--passes", type=int, default=5, help="alternating passes (default 5)")
    cli.add_argument("--tokens", type=int, default=96, help="tokens per pass (default 96)")
    return cli


def bench_command() -> list[str]:
    """How to start the measuring process from this installation, frozen or not."""
    if getattr(sys, "frozen", False):
        return [sys.executable, "_bench"]
    return [sys.executable, "-m", "app.engine.bench"]


def main(argv: list[str]) -> int:
    """Runs the benchmark; 0 when it measured."""
    args = parser().parse_args(argv)
    paths = find_paths()
    settings = Settings.load(paths.settings_file)
    folder = models_folder(paths, settings)
    spec = choose_spec(EngineOptions(args.model), folder, settings, paths)
    command = [*bench_command(), "--passes", str(args.passes), "--tokens", str(args.tokens)]
    if args.json:
        command.append("--json")
    child = subprocess.run(
        command,
        input=json.dumps(spec.to_json()).encode() + b"\n",
        env=engine_environment(os.environ),
        check=False,
    )
    return child.returncode
