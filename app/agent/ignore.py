"""What a project does not count as its own: .gitignore files and heavy directories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pathspec import GitIgnoreSpec

from app.agent.workspace import Entry, Workspace
from app.core.errors import WorkspaceError

HEAVY = frozenset(
    {
        ".git", ".hg", ".svn", "node_modules", ".venv", "venv", "__pycache__", ".mypy_cache",
        ".pytest_cache", ".ruff_cache", ".tox", ".nox", ".cache", ".gradle", ".next", ".nuxt",
        ".parcel-cache", ".turbo", "bower_components", ".terraform", ".eggs", "site-packages",
        "Pods", "DerivedData", ".dart_tool", ".idea",
    }
)  # fmt: skip
_MAX_FILE_BYTES = 64 * 1024
_MAX_LINE_CHARS = 500
_MAX_WILDCARDS = 6  # a pattern is hostile input and becomes a backtracking regular expression


def _spec(data: bytes) -> GitIgnoreSpec | None:
    lines = [
        line
        for line in data.decode("utf-8", "replace").splitlines()
        if line.strip()
        and len(line) <= _MAX_LINE_CHARS
        and line.count("*") + line.count("?") <= _MAX_WILDCARDS
    ]
    try:
        return GitIgnoreSpec.from_lines(lines) if lines else None
    except (ValueError, TypeError, OverflowError):
        return None


@dataclass(slots=True)
class Ignore:
    """The .gitignore files of one folder, read as the walk meets them."""

    workspace: Workspace
    _specs: dict[str, GitIgnoreSpec | None] = field(default_factory=dict)

    def ignored(self, path: str, is_directory: bool) -> bool:
        """Whether git would ignore this path (heavy directories always count as ignored).

        Only this path is judged: a walk that skips ignored directories judges parents first.
        """
        name = path.rpartition("/")[2]
        if is_directory and name in HEAVY:
            return True
        verdict = False
        parent = ""
        rest = path
        while True:
            spec = self._spec_of(parent)
            if spec is not None:
                result = spec.check_file(rest + "/" if is_directory else rest)
                if result.include is not None:
                    verdict = result.include
            head, slash, rest = rest.partition("/")
            if not slash:
                return verdict
            parent = f"{parent}/{head}" if parent else head

    def _spec_of(self, directory: str) -> GitIgnoreSpec | None:
        if directory not in self._specs:
            self._specs[directory] = None
            path = f"{directory}/.gitignore" if directory else ".gitignore"
            entry = self.workspace.entry(path)
            if entry is not None and entry.kind == "file":
                try:
                    self._specs[directory] = _spec(self.workspace.read_bytes(path, _MAX_FILE_BYTES))
                except WorkspaceError:
                    self._specs[directory] = None
        return self._specs[directory]


def walk(
    workspace: Workspace,
    start: str = "",
    *,
    skip_ignored: bool = True,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[Entry]:
    """Every entry below a directory, directories before what they hold, sorted by name.

    Links are reported and never followed. Unreadable directories are passed over. `stop` is asked
    once a directory, so that a walk over a huge folder can be cut short.
    """
    ignore = Ignore(workspace)
    todo = [start]
    while todo and not stop():
        directory = todo.pop()
        try:
            entries = sorted(workspace.list_directory(directory), key=lambda entry: entry.path)
        except WorkspaceError:
            continue
        below: list[str] = []
        for entry in entries:
            is_directory = entry.kind == "directory"
            if skip_ignored and ignore.ignored(entry.path, is_directory):
                continue
            yield entry
            if is_directory:
                below.append(entry.path)
        todo.extend(reversed(below))
