"""Collects the licences of everything a bundle holds: `licences.py OUT.json PACKAGE…`.

Runs with the Python that the bundle is made from. The result is a list of parts, each with name,
version, licence, home page and the licence texts that came with it.
"""

from __future__ import annotations

import email.message
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any, cast

_NAMES = ("licen", "copying", "notice", "authors")
QT_NOTE = (
    "Qt is used under the GNU LGPL version 3. Its libraries lie in this program's folder as files "
    "of their own and may be replaced by changed ones. Source: https://download.qt.io"
)


def of_package(name: str) -> dict[str, Any]:
    """One Python package.

    Raises:
        importlib.metadata.PackageNotFoundError: it is not installed.
    """
    distribution = importlib.metadata.distribution(name)
    meta = cast(email.message.Message, distribution.metadata)
    texts = []
    for file in distribution.files or ():
        if ".dist-info" in str(file) and any(word in file.name.lower() for word in _NAMES):
            path = Path(str(distribution.locate_file(file)))
            if path.is_file():
                texts.append(path.read_text(encoding="utf-8", errors="replace"))
    licence = meta.get("License-Expression") or _from_classifiers(meta.get_all("Classifier") or [])
    short = (meta.get("License") or "").strip()
    note = QT_NOTE if name.lower().startswith(("pyside6", "shiboken6")) else ""
    return {
        "name": meta["Name"],
        "version": distribution.version,
        "licence": licence or (short if 0 < len(short) < 60 else "see text"),
        "home": meta.get("Home-page") or next(iter(meta.get_all("Project-URL") or [""])),
        "note": note,
        "texts": texts,
    }


def _from_classifiers(classifiers: list[str]) -> str:
    found = [line.split(" :: ")[-1] for line in classifiers if line.startswith("License ::")]
    return ", ".join(found)


def python_itself() -> dict[str, Any]:
    """The interpreter in the bundle."""
    version = ".".join(map(str, sys.version_info[:3]))
    text = Path(sys.base_prefix) / "lib" / f"python{version.rpartition('.')[0]}" / "LICENSE.txt"
    return {
        "name": "Python",
        "version": version,
        "licence": "PSF-2.0",
        "home": "https://www.python.org",
        "note": "",
        "texts": [text.read_text(encoding="utf-8")] if text.exists() else [],
    }


def starter_model() -> dict[str, Any]:
    """The model in the bundle."""
    return {
        "name": "SmolLM2-135M-Instruct",
        "version": "Q4_1",
        "licence": "Apache-2.0",
        "home": "https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct",
        "note": "",
        "texts": [],
    }


def main() -> int:
    target, packages = Path(sys.argv[1]), sys.argv[2:]
    parts = [python_itself(), starter_model(), *(of_package(name) for name in packages)]
    parts.sort(key=lambda part: str(part["name"]).lower())
    target.write_text(json.dumps(parts, indent=1, ensure_ascii=False), encoding="utf-8")
    bare = [part["name"] for part in parts if not part["licence"] and not part["texts"]]
    if bare:
        print(f"no licence found for: {', '.join(map(str, bare))}")
        return 1
    print(f"{len(parts)} parts with their licences")
    return 0


if __name__ == "__main__":
    sys.exit(main())
