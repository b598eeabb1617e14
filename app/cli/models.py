"""`garret models`: the library without the window."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

from app.cli.local_engine import models_folder
from app.cli.models_pull import pull, pull_arguments
from app.cli.models_recommend import recommend_arguments, show_recommendation, show_search
from app.cli.terminal_line import TerminalLine
from app.core.paths import find_paths
from app.core.settings import Settings
from app.library.elsewhere import default_folders, find_elsewhere, find_in, use_in_place
from app.library.records import InstalledModel
from app.library.stick import export_model, import_stick, is_stick, move_models
from app.library.store import Store


def parser() -> argparse.ArgumentParser:
    cli = argparse.ArgumentParser(
        prog="garret models", description="Find, get, check and remove models."
    )
    commands = cli.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, line: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=line, description=line[0].upper() + line[1:] + ".")

    one = command("list", "installed models")
    one.add_argument("--json", action="store_true", help="one JSON array")
    recommend_arguments(command("recommend", "the right model for this machine, or for another"))
    one = command("search", "GGUF models on the Hub, with what fits here")
    one.add_argument("text", help="words to look for")
    one.add_argument("--limit", type=int, default=8, help="repositories to show")
    pull_arguments(command("pull", "download a model, or go on with a download"))
    one = command("verify", "hash a model again and compare")
    one.add_argument("model", nargs="?", help="its id; without it, all installed models")
    one = command("import", "add a GGUF file, a folder of another app, or a model on a stick")
    one.add_argument(
        "path", nargs="?", type=Path, help="file or folder; without it, what other apps have"
    )
    one.add_argument(
        "--reference", action="store_true", help="use the file where it is instead of copying it"
    )
    one = command("export", "copy a model with its manifest to a folder or a USB drive")
    one.add_argument("model", help="its id")
    one.add_argument("folder", type=Path)
    one = command("move", "keep the models folder somewhere else, such as on another disk")
    one.add_argument("folder", type=Path)
    one = command("rm", "remove a model; it waits in Garret's trash until that is emptied")
    one.add_argument("model", nargs="?", help="its id")
    one.add_argument("--empty-trash", action="store_true", help="delete removed models for good")
    one.add_argument("--restore", action="store_true", help="take a removed model back")
    return cli


def main(argv: list[str]) -> int:
    """Runs one subcommand; GarretError is said in one sentence by the caller."""
    arguments = parser().parse_args(argv)
    paths = find_paths()
    settings = Settings.load(paths.settings_file)
    store = Store(models_folder(paths, settings))
    handlers: dict[str, Callable[[], int]] = {
        "list": lambda: _list(store, as_json=arguments.json),
        "recommend": lambda: show_recommendation(arguments, store),
        "search": lambda: show_search(arguments, store, settings),
        "pull": lambda: pull(arguments, store, settings),
        "verify": lambda: _verify(store, arguments.model),
        "import": lambda: _import(store, arguments.path, reference=arguments.reference),
        "export": lambda: _export(store, arguments.model, arguments.folder),
        "move": lambda: _move(store, arguments.folder, settings),
        "rm": lambda: _remove(store, arguments),
    }
    return handlers[arguments.command]()


def _list(store: Store, *, as_json: bool) -> int:
    models = store.rescan()
    if as_json:
        print(json.dumps([_as_json(model) for model in models], indent=2))
        return 0
    if not models:
        print("No model is installed. See what suits this machine: garret models recommend")
    for model in models:
        state = "" if model.is_present else "  (missing: is its disk connected?)"
        where = "  (in another app's folder)" if model.is_reference else ""
        print(f"{model.model_id:<44} {model.size_bytes / 1e9:7.2f} GB  {model.title}{where}{state}")
    if waiting := store.trash_bytes():
        print(f"In the trash: {waiting / 1e9:.2f} GB. Free it: garret models rm --empty-trash")
    return 0


def _as_json(model: InstalledModel) -> dict[str, object]:
    return {
        "id": model.model_id,
        "title": model.title,
        "path": str(model.path),
        "size_bytes": model.size_bytes,
        "files": [
            {"path": str(f.path), "size_bytes": f.size_bytes, "sha256": f.sha256}
            for f in model.files
        ],
        "architecture": model.facts.architecture,
        "quantization": model.facts.quantization,
        "context": model.facts.context_train,
        "source": model.origin.source,
        "repo": model.origin.repo,
        "commit": model.origin.commit,
        "present": model.is_present,
        "verified_at": model.verified_at,
    }


def _verify(store: Store, name: str | None) -> int:
    models = [store.find(name)] if name else store.rescan()
    for model in models:
        with TerminalLine(f"Checking {model.model_id}") as line:
            store.verify(model.model_id, line.bytes)
        print(f"{model.model_id}: sound, {model.size_bytes:,} bytes.")
    return 0


def _import(store: Store, path: Path | None, *, reference: bool) -> int:
    if path is None:
        found = find_elsewhere(default_folders(Path.home(), os.environ))
        for one in found:
            print(f"{one.app:<13} {one.size_bytes / 1e9:7.2f} GB  {one.path}")
        if not found:
            print("No model of another app was found.")
        return 0
    path = path.expanduser()
    if path.is_dir() and is_stick(path):
        with TerminalLine(f"Importing {path.name}") as line:
            model = import_stick(store, path, line.bytes)
        print(f"Installed {model.model_id}.")
    elif path.is_dir():
        models = find_in(path)
        if not models:
            print(f"garret: There is no model in {path}.", file=sys.stderr)
            return 1
        for one in models:
            with TerminalLine(f"Checking {one.title}") as line:
                model = use_in_place(store, one, line.bytes)
            print(f"Using {model.model_id} where it is: {one.path}")
    else:
        with TerminalLine(f"Importing {path.name}") as line:
            model = store.add_file(path, copy=not reference, progress=line.bytes)
        print(f"Installed {model.model_id}.")
    return 0


def _export(store: Store, name: str, folder: Path) -> int:
    with TerminalLine(f"Exporting {name}") as line:
        target = export_model(store, name, folder, line.bytes)
    print(f"Exported to {target}. On the other machine: garret models import {target.name}")
    return 0


def _move(store: Store, folder: Path, settings: Settings) -> int:
    target = folder.expanduser().absolute()
    with TerminalLine(f"Moving to {target}") as line:
        move_models(store, target, line.bytes)
    settings.set("models.folder", str(target))
    print(f"The models are in {target} now.")
    return 0


def _remove(store: Store, arguments: argparse.Namespace) -> int:
    if arguments.empty_trash:
        print(f"Freed {store.empty_trash() / 1e9:.2f} GB.")
        return 0
    if not arguments.model:
        print("garret: Say which model to remove; see garret models list.", file=sys.stderr)
        return 2
    if arguments.restore:
        print(f"{store.restore(arguments.model).model_id} is back.")
        return 0
    model = store.find(arguments.model)
    size_bytes = store.remove(model.model_id)
    if model.is_reference:
        print(f"{model.model_id} is no longer listed; its file stays with its app.")
    else:
        print(
            f"{model.model_id} is in the trash. {size_bytes / 1e9:.2f} GB become free with "
            "garret models rm --empty-trash"
        )
    return 0
