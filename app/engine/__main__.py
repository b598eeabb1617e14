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


def prepare() -> None:
    """A clean environment, the app's own folder as working directory, no core dumps."""
    for name in list(os.environ):
        if name in _SCRUBBED or name.endswith("_API_KEY"):
            del os.environ[name]
    os.environ["GGML_NO_BACKTRACE"] = "1"
    os.chdir(Path(__file__).resolve().parents[2])
    if sys.platform != "win32":
        resource = importlib.import_module("resource")
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(argv: list[str] | None = None) -> int:
    del argv  # everything comes on stdin
    prepare()
    process = importlib.import_module("app.engine.process")
    return int(process.run())


if __name__ == "__main__":
    sys.exit(main())
