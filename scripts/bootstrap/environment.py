"""The folder `.venv`: made, checked, and filled from the locks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from scripts.bootstrap import commands, interpreter
from scripts.bootstrap.console import SetupFailed, Step

ENGINE_PACKAGE = "llama-cpp-python"


class Environment:
    """One virtual environment and the log of what was done to it."""

    def __init__(self, root: Path, folder: Path | None = None) -> None:
        self.root = root
        self.folder = folder or root / ".venv"
        windows = os.name == "nt"
        self.python = self.folder / ("Scripts/python.exe" if windows else "bin/python")
        self.log = self.folder / "setup.log"

    def runs(self) -> bool:
        """True if it is whole: its interpreter starts, fits, and knows that it lives here."""
        if not self.python.exists() or interpreter.probe(str(self.python)) is None:
            return False
        answer = subprocess.run(
            [str(self.python), "-I", "-c", "import pip, sys; print(sys.prefix)"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        where = answer.stdout.strip()
        return answer.returncode == 0 and os.path.realpath(where) == os.path.realpath(self.folder)

    def make(self) -> None:
        """Creates the environment with a suitable Python, or keeps the one that is there."""
        if self.runs():
            return
        found = interpreter.find()
        if found is None:
            raise SetupFailed(
                "Garret needs Python 3.11, 3.12 or 3.13, and none was found.",
                "Install one of them (python.org, or your system's package manager) and run "
                "the same command again.",
            )
        with Step(f"Making a Python environment with {_version(found)}"):
            if self.folder.exists():
                shutil.rmtree(self.folder)
            self._create(found)

    def _create(self, python: str) -> None:
        # Copies of Python made for one program (ensurepip left out) still have pip elsewhere.
        code, tail = commands.run([python, "-I", "-m", "venv", str(self.folder)], self.log)
        if code == 0 and self.runs():
            return
        if self.folder.exists():
            shutil.rmtree(self.folder)
        bare = [python, "-I", "-m", "venv", "--without-pip", str(self.folder)]
        code, tail = commands.run(bare, self.log)
        if code != 0:
            raise commands.explain(tail, "Making the Python environment", self.log)
        seed = [python, "-m", "pip", "--python", str(self.python), "install", "pip"]
        code, tail = commands.run(seed, self.log, env=commands.pip_environment())
        if code != 0:
            raise SetupFailed(
                "This Python has neither the venv module's pip nor pip itself.",
                "Install them, for example:  sudo apt install python3-venv python3-pip",
            )

    def install(self, lock: Path, title: str) -> None:
        """Installs a lock exactly as it is, hashes checked; the engine is built apart."""
        chosen = self.folder / f"{lock.stem}.without-engine.txt"
        text = without_package(lock.read_text(encoding="utf-8"), ENGINE_PACKAGE)
        chosen.write_text(text, encoding="utf-8")
        total = len(re.findall(r"^[a-z0-9][^\s]*==", text, re.MULTILINE))
        with Step(f"{title} ({total} packages)") as step:
            count = 0

            def watch(line: str) -> None:
                nonlocal count
                if found := re.match(r"\s*Collecting (\S+?)==", line):
                    count += 1
                    step.say(f"{count}/{total}  {found.group(1)}")
                elif found := re.match(r"\s*Downloading (\S+?)-\d\S* \(([\d.]+ MB)\)", line):
                    step.say(f"{count}/{total}  {found.group(1)}, {found.group(2)}")
                elif line.startswith("Installing collected"):
                    step.say("unpacking")

            command = [
                str(self.python), "-m", "pip", "install", "--no-deps", "--require-hashes",
                "--only-binary", ":all:", "-r", str(chosen),
            ]  # fmt: skip
            code, tail = commands.run(
                command, self.log, env=commands.pip_environment(), on_line=watch
            )
            if code != 0:
                raise commands.explain(tail, title, self.log)

    def point_to_source(self) -> None:
        """Lets this environment's Python find `app` from any working directory."""
        target = self.packages() / "garret-source.pth"
        target.write_text(f"{self.root}\n", encoding="utf-8")

    def packages(self) -> Path:
        """Its site-packages folder."""
        answer = subprocess.run(
            [
                str(self.python),
                "-I",
                "-c",
                "import sysconfig; print(sysconfig.get_path('purelib'))",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
        return Path(answer.stdout.strip())


def without_package(lock_text: str, package: str) -> str:
    """A lock without one package and its hashes."""
    return lock_text.replace(package_block(lock_text, package), "")


def package_block(lock_text: str, package: str) -> str:
    """The lines of one package with its hashes; "" if the lock does not hold it."""
    pattern = rf"^{re.escape(package)}==(?:[^\n]*\\\n)*[^\n]*\n?"
    found = re.search(pattern, lock_text, re.MULTILINE)
    return found.group() if found else ""


def pinned_version(lock_text: str, package: str) -> str:
    """The version a lock holds; a missing package is a bug in the lock."""
    found = re.search(rf"^{re.escape(package)}==(\S+)", lock_text, re.MULTILINE)
    if found is None:
        raise SetupFailed(
            f"The lock file does not name {package}.", "Run scripts/lock.py in a good checkout."
        )
    return found.group(1)


def _version(python: str) -> str:
    if python == sys.executable:
        return f"Python {sys.version_info.major}.{sys.version_info.minor}"
    say_version = subprocess.run(
        [python, "-V"], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return say_version.stdout.strip() or "Python"
