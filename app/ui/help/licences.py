"""What Garret is made of and under which licences: from the bundle, or from what is installed."""

from __future__ import annotations

import email.message
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

_NAMES = ("licen", "copying", "notice", "authors")


@dataclass(frozen=True, slots=True)
class Part:
    """A library or a model that is shipped. `text` is its licence as it came with it."""

    name: str
    version: str
    licence: str
    text: str = ""


def load_parts(resources: Path, own_licence: Path | None = None) -> tuple[Part, ...]:
    """All parts, Garret first. Blocks: for a thread."""
    file = resources / "licences.json"
    if file.is_file():
        parts = [_bundled(one) for one in json.loads(file.read_text(encoding="utf-8"))]
    else:
        parts = [_installed(one) for one in importlib.metadata.distributions() if one.name]
    unique = {part.name.lower(): part for part in parts}
    unique.pop("garret", None)
    text = own_licence.read_text(encoding="utf-8") if own_licence and own_licence.is_file() else ""
    own = Part("Garret", "", "Apache-2.0", text)
    return (own, *sorted(unique.values(), key=lambda part: part.name.lower()))


def _bundled(data: dict[str, Any]) -> Part:
    bodies = [str(data.get("home") or ""), str(data.get("note") or ""), *data.get("texts", ())]
    text = "\n\n".join(str(body) for body in bodies if body)
    return Part(
        str(data["name"]), str(data.get("version") or ""), str(data.get("licence") or ""), text
    )


def _installed(found: importlib.metadata.Distribution) -> Part:
    meta = cast(email.message.Message, found.metadata)
    classified = [
        line.rpartition(" :: ")[2]
        for line in meta.get_all("Classifier") or []
        if line.startswith("License ::")
    ]
    short = (meta.get("License") or "").strip()
    licence = meta.get("License-Expression") or ", ".join(classified)
    texts = []
    for file in found.files or ():
        if ".dist-info" in str(file) and any(word in file.name.lower() for word in _NAMES):
            path = Path(str(found.locate_file(file)))
            if path.is_file():
                texts.append(path.read_text(encoding="utf-8", errors="replace"))
    plain = short if 0 < len(short) < 60 else "see its text"
    return Part(found.name, found.version, licence or plain, "\n\n".join(texts))
