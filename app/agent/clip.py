"""Results are cut once, when they enter the prompt; what was cut stays readable in a file.

Spill files live in app data, not in the folder. The model reads them under `@output/N.txt`.
"""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

PREFIX = "@output/"
_NAME = re.compile(r"@output/([0-9]{1,6})\.txt")
_MAX_FILES = 200


class Spill:
    """The long outputs of one run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    def move_to(self, folder: Path) -> None:
        """Long outputs of another run go elsewhere from now on."""
        if folder != self._folder:
            self._folder, self._count = folder, 0

    def keep(self, text: str) -> str:
        """Stores a text; returns the path the model may read."""
        path, name = self.new_file()
        path.write_text(text, "utf-8", errors="replace")
        return name

    def new_file(self) -> tuple[Path, str]:
        """An empty place for a long output and its name for the model."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._count += 1
        while (self._folder / f"{self._count}.txt").exists():
            self._count += 1
        with suppress(OSError):
            (self._folder / f"{self._count - _MAX_FILES}.txt").unlink()
        path = self._folder / f"{self._count}.txt"
        path.touch(mode=0o600)
        return path, f"{PREFIX}{self._count}.txt"

    def read(self, name: str) -> bytes | None:
        """The content behind `@output/N.txt`; None when there is none."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        try:
            return (self._folder / f"{int(found[1])}.txt").read_bytes()
        except OSError:
            return None


def clip(text: str, budget_chars: int, spill: Spill, name: str = "") -> str:
    """The text within the budget: a third from its head, the rest from its tail, whole lines.

    Args:
        name: where the full text is kept already; "" to keep it now.
    """
    if len(text) <= budget_chars:
        return text
    name = name or spill.keep(text)
    room = max(200, budget_chars - 160)
    head, tail = text[: room // 3], text[len(text) - (room - room // 3) :]
    head = head[: head.rfind("\n") + 1] or head
    cut = tail.find("\n")
    tail = tail[cut + 1 :] if 0 <= cut < len(tail) // 2 else tail
    left_out = len(text) - len(head) - len(tail)
    note = f"… {left_out:,} characters left out; all of it: read_file {name} …"
    return f"{head.rstrip()}\n\n{note}\n\n{tail}"
