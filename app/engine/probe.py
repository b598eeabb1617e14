"""`garret _probe [--libraries DIR]`: loads one backend, runs a sum on it, says what it is.

A process of its own: a driver that crashes or hangs takes nothing else along. Prints one JSON
object {"devices": [{"name", "kind", "description"}…], "system_info": …}.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

from app.engine.__main__ import prepare


def main(argv: list[str]) -> int:
    libraries = Path(argv[1]) if argv[:1] == ["--libraries"] else None
    prepare(libraries)
    native = importlib.import_module("app.engine.native")
    lib = importlib.import_module("llama_cpp.llama_cpp")
    devices = [
        {"name": one.name, "kind": one.kind, "description": one.description}
        for one in native.library().device_list()
    ]
    info = lib.llama_print_system_info().decode("utf-8", "replace")
    sys.stdout.write(json.dumps({"devices": devices, "system_info": info}) + "\n")
    return 0 if devices else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
