"""`python -m app.engine`: prepares the process, then runs it. Nothing native is loaded before."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

# Foreign libraries come in through these, secrets leave through those.
_SCRUBBED = (
    "LLAMA_CPP_LIB_PATH",
    "GGML_BACKEND_PATH",
    "LLAMA_ATTN_ROT_DISABLE",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "SSH_AUTH_SOCK",
)


def prepare(libraries: Path | None = None) -> None:
    """A clean environment, the app's own folder as working directory, no core dumps.

    `libraries` is the folder of another backend's llama.cpp.

    Raises:
        EngineError: that folder is not one of ours.
    """
    for name in list(os.environ):
        if name in _SCRUBBED or name.endswith("_API_KEY"):
            del os.environ[name]
    os.environ["GGML_NO_BACKTRACE"] = "1"
    os.chdir(Path(__file__).resolve().parents[2])
    if sys.platform != "win32":
        resource = importlib.import_module("resource")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if libraries is not None:
        importlib.import_module("app.engine.libraries").use_libraries(libraries)


def main(argv: list[str] | None = None) -> int:
    """Runs the engine; all but the backend's folder comes on stdin."""
    arguments = sys.argv[1:] if argv is None else argv
    prepare(Path(arguments[1]) if arguments[:1] == ["--libraries"] else None)
    process = importlib.import_module("app.engine.process")
    return int(process.run())


if __name__ == "__main__":
    sys.exit(main())
