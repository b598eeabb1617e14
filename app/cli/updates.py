"""`garret updates`: asks once whether a newer version is out. Garret never replaces itself."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from app import __version__
from app.core.network_log import NetworkLog
from app.core.paths import find_paths
from app.core.settings import Settings
from app.library.updates import UpdateCheck, source_of_build


def parser() -> argparse.ArgumentParser:
    cli = argparse.ArgumentParser(
        prog="garret updates",
        description="Asks once whether a newer version is out. The answer must be signed by the "
        "key built into this program; nothing is downloaded or changed.",
    )
    cli.add_argument("--json", action="store_true", help="one JSON object")
    return cli


def main(argv: list[str]) -> int:
    arguments = parser().parse_args(argv)
    paths = find_paths()
    keep = Settings.load(paths.settings_file).flag("privacy.keep_list")
    log = NetworkLog(paths.network_log if keep else None)
    update = UpdateCheck(source_of_build(_resources()), paths.updates_file, log).run()
    if arguments.json:
        sys.stdout.write(json.dumps(asdict(update)) + "\n")
    elif update.is_newer:
        urgent = " It closes a hole; please install it soon." if update.is_urgent else ""
        sys.stdout.write(f"Garret {update.version} is out: {update.page}{urgent}\n")
    else:
        sys.stdout.write(f"Garret {__version__} is the newest version.\n")
    return 0


def _resources() -> Path:
    bundle = getattr(sys, "_MEIPASS", None)
    return (Path(bundle) if bundle else Path(__file__).resolve().parents[2]) / "resources"
