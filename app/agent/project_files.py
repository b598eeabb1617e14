"""Which files a request concerns, and how the project's tests are run (whole-file tier)."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from app.agent.types import Jail
from app.core.errors import GarretError

MOST_FILES = 400
LARGEST_FILE_BYTES = 64_000
_SKIPPED_FOLDERS = {
    "node_modules", "__pycache__", "venv", "env", "dist", "build", "target", "vendor",
    "site-packages",
}  # fmt: skip
_CODE = {
    ".py", ".js", ".ts", ".tsx", ".jsx", ".go", ".rs", ".java", ".c", ".h", ".cpp", ".hpp", ".cs",
    ".rb", ".php", ".sh", ".html", ".css", ".sql", ".lua", ".kt", ".swift", ".toml", ".json",
    ".yaml", ".yml", ".md", ".txt", ".cfg", ".ini",
}  # fmt: skip
_SECRET = re.compile(r"(?:^|/)(?:\.|id_(?:rsa|ed25519|ecdsa)|credentials)|\.(?:pem|key|p12)$", re.I)
_TEST = re.compile(r"(?:^|/)(?:tests?/|test_[^/]*$|[^/]*_test\.\w+$|[^/]*\.(?:test|spec)\.\w+$)")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{2,}")
_PATH_IN_TASK = re.compile(r"[\w./-]*\w\.[A-Za-z]{1,6}\b")


@dataclass(frozen=True, slots=True)
class ProjectFile:
    """One text file as the model is shown it."""

    path: str
    content: str

    @property
    def is_test(self) -> bool:
        return bool(_TEST.search(self.path))


@dataclass(frozen=True, slots=True)
class Selection:
    """What goes into the prompt, and the names of what does not."""

    files: tuple[ProjectFile, ...]
    other_paths: tuple[str, ...]


def select_files(jail: Jail, task: str, budget_chars: int) -> Selection:
    """The files most likely concerned, as many as fit; tests among them."""
    paths = list(_walk(jail.root))
    loaded = [file for path in paths if (file := _load(jail, path)) is not None]
    words = {word.lower() for word in _WORD.findall(task)}
    ranked = sorted(loaded, key=lambda file: (-_score(file, task, words), len(file.content)))
    chosen: list[ProjectFile] = []
    left = budget_chars
    for file in ranked:
        if len(file.content) <= left:
            chosen.append(file)
            left -= len(file.content) + len(file.path) + 16
    chosen.sort(key=lambda file: (file.is_test, file.path))
    shown = {file.path for file in chosen}
    return Selection(tuple(chosen), tuple(path for path in paths if path not in shown))


def named_in(task: str) -> list[str]:
    """File names the task mentions, as they stand there."""
    return [name.removeprefix("./") for name in _PATH_IN_TASK.findall(task)]


def test_command(jail: Jail, paths: Sequence[str]) -> str:
    """The command that runs the project's tests; empty when none is to be seen."""
    if any(path.endswith(".py") and _TEST.search(path) for path in paths):
        return _python_tests(jail.root)
    if "package.json" in paths:
        try:
            scripts = json.loads(jail.read_bytes("package.json")).get("scripts", {})
        except (GarretError, OSError, ValueError, AttributeError):
            return ""
        return "npm test --silent" if isinstance(scripts, dict) and scripts.get("test") else ""
    if "Cargo.toml" in paths:
        return "cargo test --quiet --offline"
    return "go test ./..." if "go.mod" in paths else ""


def _python_tests(root: Path) -> str:
    """pytest where there is one, else unittest; neither leaves caches in the folder (-B)."""
    no_cache = "-q -x -p no:cacheprovider"
    if (root / ".venv" / "bin" / "pytest").exists():
        return f".venv/bin/python -B -m pytest {no_cache}"
    pytest = shutil.which("pytest")
    python = "python3" if shutil.which("python3") else "python"
    if pytest is None:
        return f"{python} -B -m unittest -q"
    beside = shutil.which(python) or ""
    if os.path.dirname(beside) == os.path.dirname(pytest):
        return f"{python} -B -m pytest {no_cache}"
    return f"pytest {no_cache}"


def _walk(root: Path) -> Iterator[str]:
    """Relative paths of ordinary files, hidden and generated folders left out."""
    count = 0
    for folder, folders, names in os.walk(root, followlinks=False):
        folders[:] = sorted(
            name for name in folders if name not in _SKIPPED_FOLDERS and not name.startswith(".")
        )
        for name in sorted(names):
            path = (Path(folder) / name).relative_to(root).as_posix()
            if Path(name).suffix.lower() in _CODE and not _SECRET.search(path):
                yield path
                count += 1
                if count >= MOST_FILES:
                    return


def _load(jail: Jail, path: str) -> ProjectFile | None:
    try:
        raw = jail.read_bytes(path, limit_bytes=LARGEST_FILE_BYTES + 1)
        if len(raw) > LARGEST_FILE_BYTES or b"\0" in raw:
            return None
        return ProjectFile(path, raw.decode("utf-8").replace("\r\n", "\n"))
    except (GarretError, OSError, ValueError):
        return None


def _score(file: ProjectFile, task: str, words: set[str]) -> float:
    name = file.path.rpartition("/")[2]
    score = 0.0
    if file.path in task:
        score += 100
    elif name in task:
        score += 60
    elif name.partition(".")[0].removeprefix("test_").lower() in words:
        score += 30
    in_file = {word.lower() for word in _WORD.findall(file.content)}
    score += min(20, len(words & in_file))
    if Path(name).suffix in (".md", ".txt", ".json", ".toml", ".yaml", ".yml", ".cfg", ".ini"):
        score -= 15
    return score
