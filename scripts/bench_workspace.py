"""How soon the agent's first command starts in a very large folder, and whether undo still works.

    .venv/bin/python scripts/bench_workspace.py [--files 200000] [--json]

The clock starts when the folder is opened, as it is for a new task, and stops when the command's
own process runs. Before a command Garret must know the folder well enough to take the command back,
but nobody waits longer than a second for that: in a folder this size undo covers a part only, and
says so. The command changes files in the first and the last directory and makes one; undo must
restore what it claims to cover and must not touch the rest.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from app.agent.hands import open_hands
from app.agent.sandbox import Sandbox
from app.agent.types import Answer, Mode, PermissionRequest
from app.core.messages import ToolCallPart
from app.core.paths import find_paths

_FILES_A_FOLDER = 200
_COMMAND = (
    "python3 -c \"import time; print('started', time.time())\" && echo new > made.txt"
    " && echo more >> {first} && echo more >> {last}"
)


class _NoPerson:
    """Nobody is there to be asked: in this mode the command needs no consent."""

    async def ask(self, request: PermissionRequest, reason: str) -> Answer:
        raise SystemExit(f"the command needed consent: {reason}")


def fill(root: Path, n_files: int) -> None:
    """Small files, two hundred to a folder."""
    for number in range(n_files):
        place = root / _name(number)
        if number % _FILES_A_FOLDER == 0:
            place.parent.mkdir(parents=True)
        place.write_text(f"file {number}\n")


async def measure(base: Path, n_files: int) -> dict[str, Any]:
    """The figures of one folder."""
    root = base / "work"
    fill(root, n_files)
    paths = find_paths({"GARRET_HOME": str(base / "garret")})
    sandbox = Sandbox()
    sandbox.probe()  # done once when the app starts
    touched = [_name(0), _name(n_files - 1)]
    command = _COMMAND.format(first=touched[0], last=touched[1])
    wall, started = time.time(), time.perf_counter()
    hands = open_hands(root, Mode.AUTO, paths, sandbox=sandbox)
    hands.begin_turn("bench", 1)
    try:
        call = ToolCallPart("1", "run_shell_command", json.dumps({"command": command}))
        outcome = await hands.execute(call, asker=_NoPerson(), cancel=asyncio.Event(), why="")
        whole_s = time.perf_counter() - started
        began = next(
            (float(line.split()[1]) for line in outcome.text.splitlines() if "started" in line), 0.0
        )
        if not began or outcome.exit_code:
            raise SystemExit(f"the command did not run: {outcome.text[:300]}")
        claimed = {change.path for change in outcome.changes}
        undo_started = time.perf_counter()
        hands.undo.undo_turn("bench", 1)
        undo_s = time.perf_counter() - undo_started
        coverage = hands.undo.coverage
    finally:
        await hands.close()
    restored = {name for name in touched if "more" not in (root / name).read_text()}
    if not (root / "made.txt").exists():
        restored.add("made.txt")
    return {
        "files": n_files,
        "first_command_s": round(began - wall, 3),
        "whole_call_s": round(whole_s, 3),
        "undo_s": round(undo_s, 3),
        "undo_covers": sorted(claimed),
        "undo_right": restored == claimed and (coverage.note != "" or len(claimed) == 3),
        "note": coverage.note,
    }


def _name(number: int) -> str:
    return f"d{number // _FILES_A_FOLDER:05}/f{number:05}.txt"


def main() -> int:
    cli = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    cli.add_argument("--files", type=int, default=200_000)
    cli.add_argument("--json", action="store_true", help="print the figures as one line of JSON")
    options = cli.parse_args()
    with tempfile.TemporaryDirectory(prefix="garret-workspace-") as temporary:
        figures = asyncio.run(measure(Path(temporary), options.files))
    if options.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:<18} {value}")
    return 0 if figures["undo_right"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
