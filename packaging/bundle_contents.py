"""What goes into the bundle on each system, and what stays out. Imported by garret.spec."""

from __future__ import annotations

import py_compile
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

# llama_cpp opens the first by its path; the others are what the linker then asks for by name.
ENGINE_LIBRARIES: dict[str, tuple[str, ...]] = {
    "linux": ("libllama.so", "libggml.so.0", "libggml-base.so.0", "libggml-cpu.so.0"),
    "darwin": (
        "libllama.dylib",
        "libggml.0.dylib",
        "libggml-base.0.dylib",
        "libggml-cpu.0.dylib",
        "libggml-metal.0.dylib",
        "libggml-blas.0.dylib",
    ),
    "win32": ("llama.dll", "ggml.dll", "ggml-base.dll", "ggml-cpu.dll"),
}
# Names they are opened by, as links: a second copy would be a second library with its own state.
ENGINE_LINKS: dict[str, dict[str, str]] = {
    "linux": {"libggml.so": "libggml.so.0", "libggml-base.so": "libggml-base.so.0"},
    "darwin": {"libggml.dylib": "libggml.0.dylib", "libggml-base.dylib": "libggml-base.0.dylib"},
    "win32": {},
}
# Present only in wheels made for that backend; taken along when there.
BACKEND_LIBRARIES: dict[str, tuple[str, ...]] = {
    "linux": ("libggml-vulkan.so.0", "libggml-cuda.so.0"),
    "darwin": (),
    "win32": ("ggml-vulkan.dll", "ggml-cuda.dll"),
}

EXCLUDED_MODULES = (
    "tkinter",
    "PySide6.QtQml",
    "PySide6.QtQuick",
    "PySide6.QtQuickWidgets",
    "PySide6.QtOpenGL",
    "PySide6.QtOpenGLWidgets",
    "PySide6.QtDesigner",
    "PySide6.QtUiTools",
    "PySide6.QtHelp",
    "PySide6.QtSql",
    "PySide6.QtTest",
    "PySide6.QtXml",
    "PIL",
    "IPython",
    "httpx._main",  # httpx's command line; it brings rich along at every start
    "hf_xet",  # downloads are our own; metadata needs none of it
    "pytest",
    "_pytest",
    "hypothesis",
    "mypy",
    "setuptools",
    "pip",
    "pkg_resources",
    "_distutils_hack",
    "numpy.f2py",
    "numpy.distutils",
    "numpy.testing",
    "lib2to3",
    "pydoc_data",
    "unittest",
    "idlelib",
    "turtledemo",
    "test",
)

# Files of Qt, and of GTK that one of its plugins drags along, which no part of Garret uses.
_PRUNED = re.compile(
    r"""
      platformthemes/libqgtk3 | platforms/libq(eglfs|linuxfb|vnc|vkkhrdisplay|minimalegl|minimal)
    | platforms/q(direct2d|minimal) | egldeviceintegrations | networkinformation | generic/
    | virtualkeyboard | VirtualKeyboard | qmltooling | /qml/ | Qt6?(Qml|Quick|Sql|Test|Designer)
    | libQt6(Qml|Quick|VirtualKeyboard|EglFS|EglFs|Sql|Test|Designer|Pdf|WaylandEglCompositor)
    | imageformats/(lib)?q(tiff|tga|wbmp|icns|pdf)\b | /translations/qt | sqldrivers
    | (^|/)lib(gtk-3|gdk-3|gdk_pixbuf|cairo|pango|atk|atspi|gio-2|gmodule|rsvg|epoxy|harfbuzz
        |fribidi|thai|datrie|pixman|graphite2|mount|blkid|selinux|Xcursor|Xdamage|Xinerama
        |Xcomposite|Xi\b|Xrandr|Xfixes|wayland-server)
    | opengl32sw\.dll | d3dcompiler
    """,
    re.VERBOSE,
)
# The build must stop when any other library is missing: the bundle would open no window elsewhere.
MISSING_ALLOWED = re.compile(r"libgtk-3|libgdk-3|libpango|libcairo|libatk|libgdk_pixbuf")
_LIBRARY_NOT_FOUND = re.compile(r"Library not found|could not resolve '([^']+)'")


def shiboken_support(folder: Path) -> list[tuple[str, str]]:
    """PyInstaller's (source, folder) pairs for the Python part of PySide as compiled files.

    Without them PySide unpacks and compiles it from a text inside its library at every start.
    `folder` is the files.dir that PySide has made with SBK_EMBED=0.

    Raises:
        FileNotFoundError: PySide made none.
    """
    sources = sorted(folder.rglob("*.py"))
    if not sources:
        raise FileNotFoundError(f"PySide's Python files are not in {folder}")
    pairs = []
    for source in sources:
        place = Path("shiboken6", "files.dir", source.parent.relative_to(folder))
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH  # a package changes files' times
        compiled = py_compile.compile(str(source), doraise=True, invalidation_mode=mode)
        assert compiled is not None
        pairs += [(str(source), str(place)), (compiled, str(place / "__pycache__"))]
    return pairs


def is_pruned(name: str) -> bool:
    """True for a bundled file (by its path inside the bundle) that is not shipped."""
    return bool(_PRUNED.search(name.replace("\\", "/")))


def kept(entries: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """PyInstaller's (name, source, kind) rows less the pruned ones."""
    return [row for row in entries if not is_pruned(row[0])]


def engine_libraries(folder: Path, platform: str) -> list[Path]:
    """The llama.cpp libraries to ship, one copy of each.

    Raises:
        FileNotFoundError: the installed wheel lacks one of them.
    """
    needed = [folder / name for name in ENGINE_LIBRARIES[platform]]
    for path in needed:
        if not path.exists():
            raise FileNotFoundError(f"{path.name} is not in {folder}")
    extra = [folder / name for name in BACKEND_LIBRARIES[platform]]
    return needed + [path for path in extra if path.exists()]


def engine_links(platform: str) -> list[tuple[str, str, str]]:
    """PyInstaller rows for the links beside the engine libraries."""
    return [
        (f"llama_cpp/lib/{name}", target, "SYMLINK")
        for name, target in ENGINE_LINKS[platform].items()
    ]


def missing_libraries(log_lines: Sequence[str]) -> list[str]:
    """Lines of PyInstaller's log about libraries it could not find and that matter."""
    return [
        line
        for line in log_lines
        if _LIBRARY_NOT_FOUND.search(line) and not MISSING_ALLOWED.search(line)
    ]
