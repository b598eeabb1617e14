"""PyInstaller: llama_cpp opens its libraries by path, which no analysis sees."""

from __future__ import annotations

import sys
from pathlib import Path

from bundle_contents import engine_libraries
from PyInstaller.utils.hooks import get_module_file_attribute

_package = Path(get_module_file_attribute("llama_cpp")).parent
binaries = [
    (str(path), "llama_cpp/lib") for path in engine_libraries(_package / "lib", sys.platform)
]
excludedimports = ["llama_cpp.server"]
