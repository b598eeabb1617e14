"""Random agent runs, undone: the tree must be exactly as it was, the user's own edits kept.

    .venv/bin/python scripts/soak_undo.py [RUNS] [SEED]

Each run makes a tree (untracked, ignored, binary, large and odd files, links, empty folders),
lets "the agent" edit by the tools' own path and by real commands while "the user" edits other
files and sometimes the same ones, and takes everything back call by call, turn by turn or at once.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from app.agent.types import UndoReport
from app.agent.undo.log import UndoStore
from app.agent.undo.state import look
from app.agent.workspace import Workspace

Tree = dict[str, tuple[str, int, str]]
_WORDS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta")
_NAMES = (
    "a.py",
    "b.txt",
    "c.md",
    "d.bin",
    "ü.txt",
    "sp ace.txt",
    ".hidden",
    "e.log",
    "-rf",
    "Z.json",
)


def picture(root: Path) -> Tree:
    """Kind and content, permissions and link targets of everything below a folder."""
    found: Tree = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        name = path.relative_to(root).as_posix()
        if stat.S_ISLNK(mode):
            found[name] = ("link", 0, os.readlink(path))
        elif stat.S_ISDIR(mode):
            found[name] = ("directory", stat.S_IMODE(mode), "")
        else:
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[name] = ("file", stat.S_IMODE(mode), digest)
    return found


class Run:
    """One random run, reproducible by its seed."""

    def __init__(self, base: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.seed = seed
        self.root = base / "tree"
        self.root.mkdir()
        self._grow()
        self.workspace = Workspace(self.root)
        self.store = UndoStore(base / "undo", self.workspace)
        self.store.begin_turn("run", 1)
        self.calls: list[str] = []
        self.users: dict[str, bytes | None] = {}  # what the user left where, None for deleted
        self.shared: set[str] = set()  # files both wrote: undo may merge or leave them

    def _text(self) -> bytes:
        end = self.random.choice(["\n", "\r\n"])
        lines = [self.random.choice(_WORDS) + str(n) for n in range(self.random.randint(0, 30))]
        return end.join(lines).encode() + self.random.choice([b"", b"\n"])

    def _content(self) -> bytes:
        kind = self.random.random()
        if kind < 0.7:
            return self._text()
        if kind < 0.95:
            return self.random.randbytes(self.random.randint(1, 5000))
        return self.random.randbytes(3_000_000)

    def _grow(self) -> None:
        (self.root / ".gitignore").write_text("*.log\nbuild/\n")
        folders = [self.root]
        for name in ("src", "build", "src/deep", "empty", "docs"):
            folder = self.root / name
            folder.mkdir()
            folders.append(folder)
        for folder in folders[:3] + folders[3:4] + folders[5:]:
            for name in self.random.sample(_NAMES, 4):
                (folder / name).write_bytes(self._content())
                (folder / name).chmod(self.random.choice([0o644, 0o755, 0o600, 0o444]))
        (self.root / "src/link").symlink_to("../docs")
        (self.root / "dangling").symlink_to("nowhere")

    def _files(self) -> list[str]:
        return sorted(
            path.relative_to(self.root).as_posix()
            for path in self.root.rglob("*")
            if path.is_file() and not path.is_symlink()
        )

    def agent_writes(self) -> None:
        """The path edit and write_file take."""
        files = self._files()
        fresh = f"src/new{self.random.randint(0, 5)}/made{self.random.randint(0, 9)}.py"
        path = self.random.choice(files) if files and self.random.random() < 0.7 else fresh
        state = look(self.workspace, path, None, sys.maxsize)
        data = self._text() + b"# agent\n"
        self._begin(path)
        self.store.write(self.calls[-1], path, data, state.digest)

    def agent_commands(self) -> None:
        """A command that creates, deletes, renames, changes permissions, or all of it."""
        files = self._files()
        one, two = (self.random.choice(files) for _ in range(2)) if files else ("x", "y")
        number = self.random.randint(0, 99)
        command = self.random.choice(
            [
                f"rm -f -- './{one}'",
                f"mv -f -- './{one}' './moved{number}'",
                f"cp -- './{one}' './copy{number}'",
                f"chmod 7{number % 8}5 -- './{one}'",
                f"printf 'more{number}' >> './{one}'",
                f"mkdir -p 'made{number}/sub' && echo {number} > 'made{number}/sub/f'",
                "rm -rf docs",
                "rm -rf src/deep && echo file > src/deep",
                f"ln -sf ../docs 'src/l{number}'",
                "mv src src_moved && mkdir src",
                f"sed -i 's/alpha/ALPHA/' './{one}'",
                f"rm -f './{one}' && mkdir -p './{one}' && echo {number} > './{one}/inner'",
                f"truncate -s 100 './{two}'; echo log > build/out{number}.log",
                "mkdir -p shut && echo x > shut/f && chmod 555 shut",
                "rm -f src/link && mkdir -p src/link",
            ]
        )
        self._begin("")
        before = self.store.before_command()
        subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.root,
            check=False,
            capture_output=True,
            env={"PATH": "/usr/bin:/bin"},
        )
        changes = self.store.record(self.calls[-1], before, self.store.look_after(before))
        self.shared |= {change.path for change in changes if change.path in self.users}

    def _begin(self, path: str) -> None:
        self.calls.append(f"call{len(self.calls)}")
        if self.random.random() < 0.3:
            self.store.begin_turn("run", len(self.calls))
        if path in self.users:
            self.shared.add(path)

    def user_edits(self) -> None:
        """The user works meanwhile: new files, changes, deletions."""
        files = self._files()
        kind = self.random.random()
        if kind < 0.5 or not files:
            path = f"mine{self.random.randint(0, 99)}.txt"
        else:
            path = self.random.choice(files)
        place = self.root / path
        touched = {change.path for change in self.store.changes("run")}
        if path in touched:
            self.shared.add(path)
        if kind > 0.9 and files:
            place.unlink()
            self.users[path] = None
            return
        data = b"the user's " + str(self.random.random()).encode() + b"\n" + self._text()
        place.unlink(missing_ok=True)  # as editors save: a new file in the old one's place
        place.write_bytes(data)
        self.users[path] = data

    def undo(self) -> list[UndoReport]:
        """Takes all of it back, in one of three ways."""
        way = self.random.random()
        if way < 0.4:
            return [self.store.undo_run("run")]
        if way < 0.7:
            return [self.store.undo_call("run", call) for call in reversed(self.calls)]
        turns = range(len(self.calls) + 1, 0, -1)
        return [self.store.undo_turn("run", turn) for turn in turns]


def faults_of(seed: int, with_user: bool) -> list[str]:
    """What is wrong after one run and its undo; [] for nothing."""
    base = Path(tempfile.mkdtemp(prefix="garret-soak-"))
    try:
        run = Run(base, seed)
        before = picture(run.root)
        steps: list[Callable[[], None]] = [run.agent_writes, run.agent_commands]
        if with_user:
            steps.append(run.user_edits)
        for _ in range(run.random.randint(3, 10)):
            run.random.choice(steps)()
        left = picture(run.root)
        reports = run.undo()
        after = picture(run.root)
        found = _user_faults(run, before, after) if with_user else _differences(before, after)
        if not with_user:
            found += [f"report: {r}" for r in reports if r.conflicts or r.not_covered]
            found += _redo_faults(run, left, after)
        run.store.close()
        run.workspace.close()
        return [f"seed {seed}: {fault}" for fault in found]
    finally:
        subprocess.run(["chmod", "-R", "u+rwx", str(base)], check=False)
        shutil.rmtree(base, ignore_errors=True)


def _differences(before: Tree, after: Tree) -> list[str]:
    return [
        f"{path}: {before.get(path)} -> {after.get(path)}"
        for path in sorted(set(before) | set(after))
        if before.get(path) != after.get(path)
    ]


def _redo_faults(run: Run, left: Tree, undone: Tree) -> list[str]:
    """Redo gives back what the agent had left, undo takes it again."""
    for _ in range(len(run.calls) + 2):
        run.store.redo("run")
    found = [f"redo: {line}" for line in _differences(left, picture(run.root))]
    run.store.undo_run("run")
    return found + [f"undo again: {line}" for line in _differences(undone, picture(run.root))]


def _user_faults(run: Run, before: Tree, after: Tree) -> list[str]:
    """Everything but the user's own files is as it was; the user's are as the user left them.

    Where both wrote one file a merge or a conflict is right; its last words of the user must
    still be there.
    """
    found: list[str] = []
    mine = set(run.users)
    for line in _differences(before, after):
        path = line.partition(": ")[0]
        above = any(other.startswith(path + "/") for other in mine)
        below = any(path.startswith(other + "/") for other in mine)
        if path not in mine and not above and not below:
            found.append(line)
    for path, data in run.users.items():
        place = run.root / path
        if path in run.shared:
            continue
        if data is None:
            continue
        if not place.is_file() or place.read_bytes() != data:
            found.append(f"the user's {path} was lost")
    return found


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    started = time.monotonic()
    wrong: list[str] = []
    for seed in range(first, first + runs):
        wrong += faults_of(seed, with_user=seed % 2 == 0)
        if wrong and len(wrong) > 20:
            break
    for line in wrong:
        print(line)
    print(f"{runs} runs, {len(wrong)} faults, {time.monotonic() - started:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
