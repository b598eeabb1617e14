"""Lets this process use the llama.cpp of another folder: one folder per backend.

Must run before llama_cpp is imported. The folder comes on our command line, never from the
environment, and must lie in the app's own folder or beside llama_cpp's own libraries.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import sys
import types
from pathlib import Path

from app.core.errors import EngineError

_NAMES = {"win32": "ggml.dll", "darwin": "libggml.dylib"}


def use_libraries(folder: Path, allowed: tuple[Path, ...] = ()) -> None:
    """Makes llama_cpp load its libraries from `folder`.

    Raises:
        EngineError: the folder is not one of ours, or holds no ggml.
    """
    real = folder.resolve()
    if not any(real.is_relative_to(root.resolve()) for root in (allowed or _own_folders())):
        raise EngineError("These engine libraries are not a part of Garret.", folder=str(folder))
    ggml = real / _NAMES.get(sys.platform, "libggml.so")
    if not ggml.exists():
        raise EngineError("The folder holds no engine libraries.", folder=str(folder))
    os.environ["LLAMA_CPP_LIB_PATH"] = str(real)
    if sys.platform == "win32":
        os.add_dll_directory(str(real))
    # llama_cpp's own _ggml does not look at the variable: it would load a second copy.
    stand_in = types.ModuleType("llama_cpp._ggml")
    stand_in.libggml_base_path = real  # type: ignore[attr-defined]
    stand_in.libggml = ctypes.CDLL(str(ggml))  # type: ignore[attr-defined]
    sys.modules["llama_cpp._ggml"] = stand_in


def _own_folders() -> tuple[Path, ...]:
    bundle = getattr(sys, "_MEIPASS", None)
    root = Path(bundle) if bundle else Path(__file__).resolve().parents[2]
    found = importlib.util.find_spec("llama_cpp")
    beside = [Path(place) for place in (found.submodule_search_locations or ())] if found else []
    return (root / "backends", *beside)
