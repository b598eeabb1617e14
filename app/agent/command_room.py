"""Where a run's commands live: the shell, the environment, the private temporary folder, and the
background jobs that end with the run."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path

import psutil

from app.agent.child_env import child_env, env_digest
from app.agent.sandbox import Sandbox
from app.agent.services import Services
from app.agent.shell import Limits, Running
from app.core.errors import WorkspaceError

_MAX_SCRIPT_BYTES = 4 << 20
_MAX_COUNTED = 2000


class CommandRoom:
    """Shared by all commands of one run.

    Args:
        environ: the app's own environment, of which commands see an allow-list.
    """

    def __init__(
        self, services: Services, sandbox: Sandbox, environ: Mapping[str, str] | None = None
    ) -> None:
        self.services = services
        self.sandbox = sandbox
        self.root = services.workspace.root
        made = tempfile.mkdtemp(prefix="garret-run-")
        self.scratch = Path(os.path.realpath(made))
        self._closing = weakref.finalize(self, shutil.rmtree, str(self.scratch), True)
        self.env = child_env(os.environ if environ is None else environ, self.root, self.scratch)
        self.env_digest = env_digest(self.env)
        self.limits = Limits(memory_bytes=int(psutil.virtual_memory().total * 0.75))
        self.jobs: list[Running] = []

    def argv(self, command: str) -> tuple[str, ...]:
        """The shell and the command text as one argument."""
        if sys.platform == "win32":
            path = self.env["PATH"]
            program = shutil.which("pwsh", path=path) or shutil.which("powershell", path=path)
            flags = ("-NoProfile", "-NonInteractive", "-Command")
            return (program or "powershell.exe", *flags, command)
        for shell in ("/bin/bash", "/usr/bin/bash", "/run/current-system/sw/bin/bash"):
            if os.path.exists(shell):
                return (shell, "--noprofile", "--norc", "-c", command)
        return ("/bin/sh", "-c", command)

    def scripts(self, words: tuple[str, ...]) -> dict[str, str]:
        """Files of the folder that a command names, with their hashes: an approval is bound to
        what they held."""
        found: dict[str, str] = {}
        for word in words:
            try:
                path = self.services.workspace.locate(word)
                entry = self.services.workspace.entry(path) if path else None
                if entry is None or entry.kind != "file" or entry.size_bytes > _MAX_SCRIPT_BYTES:
                    continue
                found[word] = hashlib.sha256(self.services.workspace.read_bytes(path)).hexdigest()
            except (WorkspaceError, OSError, ValueError):
                continue
        return found

    def is_inside(self, text: str) -> bool:
        """Whether a path in a command lies in the folder or in the private temporary folder."""
        if text.startswith(str(self.scratch) + "/"):
            return ".." not in text
        try:
            self.services.workspace.locate(text)
        except (WorkspaceError, OSError, ValueError):
            return False
        return True

    def readable_places(self, words: tuple[str, ...]) -> tuple[str, ...]:
        """The existing places outside that a command names: what it may read once a person has
        allowed exactly this command. It may still not write there."""
        found: list[str] = []
        for word in words:
            home = self.env.get("HOME", "")
            text = home + word[1:] if word == "~" or word.startswith("~/") else word
            place = os.path.realpath(os.path.join(self.root, text))
            if os.path.exists(place) and place not in ("/", os.path.realpath(home or "/")):
                found.append(place)
        return tuple(dict.fromkeys(found))

    def count_files(self, text: str) -> int:
        """How many files a path holds, counted up to a bound."""
        workspace = self.services.workspace
        try:
            todo = [workspace.locate(text)]
            entry = workspace.entry(todo[0])
        except (WorkspaceError, OSError, ValueError):
            return 0
        if entry is None:
            return 0
        if entry.kind != "directory":
            return 1
        total = 0
        while todo and total < _MAX_COUNTED:
            try:
                entries = workspace.list_directory(todo.pop())
            except WorkspaceError:
                continue
            total += sum(item.kind != "directory" for item in entries)
            todo += [item.path for item in entries if item.kind == "directory"]
        return total

    async def close(self) -> None:
        """Ends the background jobs and removes the private temporary folder."""
        for job in self.jobs:
            await job.stop()
            job.close()
        self.jobs.clear()
        await asyncio.to_thread(self._closing)
