"""The demo cards: what each asks, what it needs, and a fresh folder for it to work in.

A card is a folder in resources/demos with `card.json` and, for the agent, `workspace/`. Nothing
here needs a network; a workspace is copied anew for every run, so that a demo always begins alike.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

DemoKind = Literal["chat", "agent"]
DEFAULT_FOLDER = Path(__file__).resolve().parents[2] / "resources" / "demos"


@dataclass(frozen=True, slots=True)
class DemoCard:
    """One card.

    `needs_params_b` is the smallest model that does it well, in billions of parameters, and
    `needs_why` says so in words. `read_tokens` (beyond the prompt, which is read beforehand) and
    `written_tokens` are about what a run takes. `say` is a hint for whoever stands on the stage;
    `what_happened` is read afterwards.
    `verify` is a command that succeeds when the task is done (empty: a person judges), and
    `starts_broken` says that it fails before.
    """

    card_id: str
    kind: DemoKind
    title: str
    summary: str
    prompt: str
    mode: str
    needs_params_b: float
    needs_why: str
    read_tokens: int
    written_tokens: int
    say: str
    what_happened: str
    verify: tuple[str, ...]
    starts_broken: bool
    folder: Path

    @property
    def needs_python(self) -> bool:
        """Its check, and the agent's own, run a Python program."""
        return bool(self.verify) and self.verify[0] == "python3"

    def expected_s(self, read_per_s: float, written_per_s: float) -> float | None:
        """Seconds a run takes at these speeds in tokens per second; None while one is unknown."""
        if read_per_s <= 0 or written_per_s <= 0:
            return None
        return self.read_tokens / read_per_s + self.written_tokens / written_per_s

    def obstacle(self, n_params: int) -> str:
        """Why this model will not do; empty when it will, or when its size is unknown."""
        if n_params <= 0 or n_params >= self.needs_params_b * 1e9:
            return ""
        return self.needs_why


def missing_program(card: DemoCard) -> str:
    """What must be installed for a card's work to be run; empty when all is there."""
    if not card.needs_python or has_python():
        return ""
    return "Needs Python 3 on this computer, to run what is written."


def has_python() -> bool:
    """Whether `python3` really starts: a fresh Mac only has a stub that offers a download."""
    found = shutil.which("python3")
    if found is None:
        return False
    tools = (Path("/Library/Developer/CommandLineTools"), Path("/Applications/Xcode.app"))
    return found != "/usr/bin/python3" or sys.platform != "darwin" or any(map(Path.exists, tools))


def load_demos(folder: Path = DEFAULT_FOLDER) -> tuple[DemoCard, ...]:
    """All cards in the order in which they are shown.

    Raises:
        ValueError: a card is damaged (they are part of the program).
    """
    files = sorted(folder.glob("*/card.json"))
    read = [(json.loads(file.read_text(encoding="utf-8")), file.parent) for file in files]
    return tuple(_card(data, place) for data, place in sorted(read, key=lambda one: _order(one[0])))


def fresh_workspace(card: DemoCard, scratch: Path) -> Path:
    """A new folder with the card's files, for one run.

    Args:
        scratch: where demo folders are kept; see `clear_workspaces`.
    """
    # the folder's own name is in the agent's prompt: always the same, so that it is read once
    target = scratch / uuid.uuid4().hex[:8] / card.card_id
    source = card.folder / "workspace"
    if source.is_dir():
        shutil.copytree(source, target)
        for path in (target, *target.rglob("*")):  # an installed bundle may be read-only
            path.chmod(0o755 if path.is_dir() else 0o644)
    else:
        target.mkdir(parents=True)
    return target


def clear_workspaces(scratch: Path, keep: Sequence[Path] = ()) -> None:
    """The reset: removes every demo folder under `scratch` but those in `keep`."""
    if not scratch.is_dir():
        return
    kept = {os.path.abspath(path.parent) for path in keep}
    for folder in scratch.iterdir():
        if folder.is_dir() and not folder.is_symlink() and os.path.abspath(folder) not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def _order(data: dict[str, Any]) -> int:
    return int(data["order"])


def _card(data: dict[str, Any], folder: Path) -> DemoCard:
    try:
        return DemoCard(
            card_id=data["id"],
            kind=data["kind"],
            title=data["title"],
            summary=data["summary"],
            prompt=data["prompt"],
            mode=data["mode"],
            needs_params_b=float(data["needs"]["params_b"]),
            needs_why=data["needs"]["why"],
            read_tokens=int(data["tokens"]["read"]),
            written_tokens=int(data["tokens"]["written"]),
            say=data["say"],
            what_happened=data["what_happened"],
            verify=tuple(data["verify"]),
            starts_broken=bool(data["starts_broken"]),
            folder=folder,
        )
    except KeyError as error:
        raise ValueError(f"demo card {folder.name}: {error} is missing") from error
