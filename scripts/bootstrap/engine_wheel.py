"""Gets llama-cpp-python: from the wheel cache, ready-made, or built for this machine and kept."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

from scripts.bootstrap import accelerator, commands, wheel_index
from scripts.bootstrap.accelerator import Accelerator
from scripts.bootstrap.console import SetupFailed, Step, clock, say
from scripts.bootstrap.environment import ENGINE_PACKAGE, Environment, package_block, pinned_version
from scripts.bootstrap.system_packages import need_compiler

VERIFY = (
    "import llama_cpp as l; l.llama_backend_init(); print(l.llama_print_system_info().decode())"
)
VERIFY_LIMIT_S = 120


@dataclass(frozen=True, slots=True)
class WheelCache:
    """Wheels of this user by version, backend and, for tuned builds, processor."""

    folder: Path

    def slot(self, version: str, backend: str, processor: str) -> Path:
        return self.folder / f"{ENGINE_PACKAGE}-{version}-{backend}-{processor}"

    def find(self, version: str, backend: str, processor: str) -> Path | None:
        """A cached wheel that runs here: a tuned build of this processor, or a general one."""
        for key in (processor, "any"):
            for wheel in sorted(self.slot(version, backend, key).glob("*.whl")):
                return wheel
        return None

    def keep(self, wheel: Path, version: str, backend: str, processor: str) -> Path:
        """Moves a finished wheel into its slot in one step."""
        slot = self.slot(version, backend, processor)
        slot.mkdir(parents=True, exist_ok=True)
        target = slot / wheel.name
        incoming = slot / f".{wheel.name}.incoming"
        shutil.copyfile(wheel, incoming)
        os.replace(incoming, target)
        return target


class EngineWheel:
    """Puts llama-cpp-python into an environment, whatever that takes."""

    def __init__(self, environment: Environment, cache: WheelCache, locks: Path) -> None:
        self._environment = environment
        self._cache = cache
        self._locks = locks
        self._app_lock = environment.root / "requirements.lock"
        self._version = pinned_version(self._app_lock.read_text("utf-8"), ENGINE_PACKAGE)

    def install(self) -> str:
        """Installs and tries the engine; returns the backend it was made for."""
        kind = accelerator.detect()
        processor = accelerator.processor_key()
        wheel = self._cache.find(self._version, kind.backend, processor)
        if wheel is not None:
            self._put(wheel, "Installing the engine (built before)")
            if self._works():
                return kind.backend
            say("  The engine built before does not run on this processor; getting another one.")
            wheel.unlink(missing_ok=True)
        published = self._from_index(kind)
        if published is not None:
            return published
        wheel = self._build(kind, processor)
        self._put(wheel, "Installing the engine")
        if not self._works():
            raise SetupFailed(
                "The engine was built but does not start on this machine.",
                f"Please report this with the end of {self._environment.log}.",
            )
        return kind.backend

    def portable(self, kind: Accelerator, key: str) -> Path:
        """A wheel for other machines: from the cache, or built with the flags of `kind`."""
        return self._cache.find(self._version, kind.backend, key) or self._build(kind, key)

    def put(self, wheel: Path) -> None:
        """Installs a wheel into the environment."""
        self._put(wheel, "Installing the engine")

    def _from_index(self, kind: Accelerator) -> str | None:
        with Step(f"Looking for a ready-made engine for your {kind.title}"):
            found = wheel_index.find_published(kind.published, self._version)
        if found is None:
            return None
        requirement = found.url + (f"#sha256={found.sha256}" if found.sha256 else "")
        into = self._cache.folder / "incoming"
        shutil.rmtree(into, ignore_errors=True)
        with Step("Downloading the engine"):
            code, _tail = self._pip(
                "download", "--no-deps", "--timeout", "20", "--retries", "1", "-d", str(into),
                f"{ENGINE_PACKAGE} @ {requirement}",
            )  # fmt: skip
        wheels = sorted(into.glob("*.whl"))
        if code != 0 or not wheels:
            say("  That did not work; building it here instead.")
            return None
        kept = self._cache.keep(wheels[0], self._version, found.backend, "any")
        self._put(kept, "Installing the engine")
        if self._works():
            return found.backend
        say("  The ready-made engine does not run here; building it instead.")
        kept.unlink(missing_ok=True)
        return None

    def _build(self, kind: Accelerator, processor: str) -> Path:
        need_compiler(self._environment.log)
        work = self._cache.folder / "building" / f"{self._version}-{kind.backend}-{processor}"
        tools = self._build_tools(work)
        source = self._source(work, tools)
        jobs = accelerator.build_jobs()
        say(
            f"  Building the engine for your {kind.title} with {jobs} "
            f"compiler{'s' if jobs > 1 else ''} at once. This happens once and takes about "
            f"{max(3, round(18 / jobs))} minutes;\n"
            "  you can stop it with Ctrl+C and go on later."
        )
        out = work / "out"
        shutil.rmtree(out, ignore_errors=True)
        with Step("Building the engine") as step:

            def watch(line: str) -> None:
                if found := re.search(r"\[\s*(\d+)/(\d+)\]\s*(.*)", line):
                    done, total = int(found.group(1)), int(found.group(2))
                    step.say(_build_detail(done, total, found.group(3), step.elapsed_s))
                elif found := re.search(r"\[\s*(\d+)%\]\s*(.*)", line):
                    step.say(
                        _build_detail(int(found.group(1)), 100, found.group(2), step.elapsed_s)
                    )

            code, tail = self._pip(
                "wheel", "-v", "--no-deps", "--no-build-isolation",
                "--config-settings", f"build-dir={work / 'objects'}",
                "-w", str(out), str(source),
                env=self._build_environment(tools, kind, jobs),
                on_line=watch,
            )  # fmt: skip
        wheels = sorted(out.glob("*.whl"))
        if code != 0 or not wheels:
            raise commands.explain(tail, "Building the engine", self._environment.log)
        kept = self._cache.keep(wheels[0], self._version, kind.backend, processor)
        shutil.rmtree(work, ignore_errors=True)
        return kept

    def _build_tools(self, work: Path) -> Path:
        tools = work / "tools"
        done = work / "tools.done"
        if done.exists():
            return tools
        shutil.rmtree(tools, ignore_errors=True)
        with Step("Getting the build tools (CMake, Ninja)"):
            code, tail = self._pip(
                "install", "--no-deps", "--require-hashes", "--only-binary", ":all:",
                "--target", str(tools), "-r", str(self._locks / "wheel.lock"),
            )  # fmt: skip
        if code != 0:
            raise commands.explain(tail, "Getting the build tools", self._environment.log)
        done.touch()
        return tools

    def _source(self, work: Path, tools: Path) -> Path:
        source = work / "source"
        if source.exists():
            return source
        pinned = work / "engine.lock"
        lock = self._app_lock.read_text("utf-8")
        pinned.write_text(package_block(lock, ENGINE_PACKAGE), "utf-8")
        sdist = work / "sdist"
        with Step("Downloading the engine's source (77 MB)"):
            code, tail = self._pip(
                "download", "--no-deps", "--require-hashes", "--no-build-isolation",
                "--no-binary", ENGINE_PACKAGE, "-d", str(sdist), "-r", str(pinned),
                env={**commands.pip_environment(), "PYTHONPATH": str(tools)},
            )  # fmt: skip
            if code != 0:
                raise commands.explain(
                    tail, "Downloading the engine's source", self._environment.log
                )
            archive = next(iter(sorted(sdist.glob("*.tar.gz"))))
            unpacked = work / "unpacking"
            shutil.rmtree(unpacked, ignore_errors=True)
            with tarfile.open(archive) as tar:
                # Python before 3.11.4 has no filters; the archive's hash is already checked.
                if hasattr(tarfile, "data_filter"):
                    tar.extraction_filter = tarfile.data_filter
                tar.extractall(unpacked)
            os.replace(next(unpacked.iterdir()), source)
        return source

    def _build_environment(self, tools: Path, kind: Accelerator, jobs: int) -> dict[str, str]:
        env = commands.pip_environment()
        env.pop("SOURCE_DATE_EPOCH", None)  # it would switch all vector instructions off
        env["PYTHONPATH"] = str(tools)
        env["PATH"] = f"{tools / 'bin'}{os.pathsep}{env.get('PATH', '')}"
        env["CMAKE_ARGS"] = " ".join((*kind.cmake, env.get("CMAKE_ARGS", ""))).strip()
        env["CMAKE_BUILD_PARALLEL_LEVEL"] = str(jobs)
        env["CMAKE_GENERATOR"] = "Ninja"
        return env

    def _put(self, wheel: Path, title: str) -> None:
        with Step(title):
            code, tail = self._pip(
                "install", "--no-deps", "--no-index", "--force-reinstall", str(wheel)
            )
        if code != 0:
            raise commands.explain(tail, title, self._environment.log)
        link_copies(self._environment.packages() / "llama_cpp" / "lib")

    def _works(self) -> bool:
        try:
            answer = subprocess.run(
                [str(self._environment.python), "-I", "-c", VERIFY],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                cwd=self._environment.folder,
                timeout=VERIFY_LIMIT_S,
            )
        except subprocess.TimeoutExpired:
            return False
        with self._environment.log.open("a", encoding="utf-8") as file:
            file.write(f"\nengine check: {answer.returncode}\n{answer.stdout}{answer.stderr}")
        return answer.returncode == 0

    def _pip(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        on_line: commands.LineWatcher | None = None,
    ) -> tuple[int, list[str]]:
        return commands.run(
            [str(self._environment.python), "-m", "pip", *arguments],
            self._environment.log,
            env=env or commands.pip_environment(),
            on_line=on_line,
        )


def link_copies(folder: Path) -> None:
    """Makes the copies of each library (x.so, x.so.0, x.so.0.1) one file with links to it.

    Wheels hold no links. A copy opened by its path while the linker loads another by its name
    would be a second library with its own state: callbacks set in one are not seen by the other.
    """
    if os.name != "posix":
        return
    families: dict[str, list[Path]] = {}
    for file in sorted(folder.glob("lib*")):
        if re.search(r"\.(so|dylib)(\.|$)", file.name):
            families.setdefault(file.name.split(".")[0], []).append(file)
    for copies in families.values():
        real = max(copies, key=lambda file: len(file.name))
        for copy in copies:
            if copy == real or copy.is_symlink() or copy.read_bytes() != real.read_bytes():
                continue
            link = copy.with_name(f".{copy.name}.link")
            link.unlink(missing_ok=True)
            link.symlink_to(real.name)
            os.replace(link, copy)


def _build_detail(done: int, total: int, what: str, elapsed_s: float) -> str:
    name = what.strip().rsplit("/", 1)[-1].removesuffix(".o")[:40]
    left = elapsed_s * (total - done) / done if done >= 5 else 0.0
    rest = f", about {clock(left)} left" if left else ""
    return f"{done}/{total}{rest}  {name}"
