"""Pictures of the window in every state, as PNG files and one HTML page.

    python scripts/screenshots.py --out DIR            every scene, light and dark, at 1x and 2x,
                                                       and in an imaginary language
    python scripts/screenshots.py --out DIR --only chat,error
    python scripts/screenshots.py --readme             resources/screenshots/{light,dark}.png

The window, its storage and everything in it are real. In the scenes the engine is a script, so
that each state can be held still; the README's pictures show the starter model in our own engine
process, with what it really wrote and how fast (needs the starter model: see scripts/run.py).
"""

from __future__ import annotations

import argparse
import html
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QFont, QFontDatabase
from PySide6.QtWidgets import QApplication

from app.core.paths import find_paths
from app.core.settings import Settings
from app.library.starter import add_starter
from app.library.store import Store
from app.session.engine_seat import EngineSeat
from app.session.engines import build_engine
from app.storage.storage import open_storage
from app.ui.application import create_application, icons_folder, run
from app.ui.icons import Icons
from app.ui.late_pages import add_late_pages
from app.ui.main_window import MainWindow
from app.ui.ports import ChatServices
from app.ui.settings.build import SettingsArea
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from app.ui.window_state import WindowState
from scripts.agent_scenes import AGENT_SCENES
from scripts.pseudo_locale import PseudoTranslator
from scripts.scenes import SCENES, Stage, pause
from tests.fakes import FakeEngine, FakeEngineControl

ROOT = Path(__file__).resolve().parents[1]
SIZE = (1180, 780)
ALL_SCENES = SCENES | AGENT_SCENES
SCHEMES = ("light", "dark", "pseudo")
SCALES = (1, 2)
STARTER = Path.home() / ".cache" / "garret" / "starter" / "SmolLM2-135M-Instruct.Q4_1.gguf"
FONTS = ("Inter", "Noto Sans", "Cantarell", "Ubuntu")


def pick_font(app: QApplication) -> None:
    """A calm screen font where the system's own is unset (offscreen has none of its own)."""
    families = set(QFontDatabase.families())
    family = next((name for name in FONTS if name in families), "")
    if family:
        app.setFont(QFont(family, 10))


async def shoot(app: QApplication, folder: Path, scheme: str, scale: str, names: list[str]) -> None:
    """Every scene in one look, each in a fresh window with a fresh store."""
    for name in names:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
            storage = await open_storage(Path(home) / "chats.sqlite3")
            theme = Theme(app)
            theme.set_scheme("dark" if scheme == "dark" else "light")
            icons = Icons(icons_folder(), theme)
            engine, control = FakeEngine(), FakeEngineControl()
            tasks = TaskOwner()
            window = MainWindow(
                theme,
                icons,
                ChatServices(storage, engine, control),
                WindowState(Path(home) / "window.ini"),
                tasks,
            )
            window.resize(*SIZE)
            window.show()
            await pause(0.25)
            stage = Stage(window, storage, engine, control, theme, icons, tasks, Path(home))
            subject = await ALL_SCENES[name](stage)
            await pause(0.25)
            (subject or window).grab().save(str(folder / f"{name}-{scheme}-{scale}x.png"))
            if subject is not None:
                subject.close()
            window.close()
            await window.until_closed()
            if stage.pages is not None:
                await stage.pages.close()
            for close in stage.closers:
                await close()
            await storage.close()
            window.deleteLater()
            theme.deleteLater()
            QCoreApplication.sendPostedEvents()
        print(f"{name} {scheme} {scale}x", flush=True)


async def shoot_readme(app: QApplication, folder: Path) -> None:
    """The starter model in our own engine process, light and dark."""
    paths = find_paths()
    paths.make()
    add_starter(Store(paths.models), STARTER)
    settings = Settings.load(paths.settings_file)
    storage = await open_storage(paths.chats_file)
    theme = Theme(app)
    theme.set_scheme("light")
    seat = EngineSeat()
    tasks = TaskOwner()
    icons = Icons(icons_folder(), theme)
    state = WindowState(paths.config / "window.ini")
    window = MainWindow(theme, icons, ChatServices(storage, seat, seat), state, tasks)
    seat.on_change = window.set_engine_view
    area = SettingsArea(settings, theme, tasks, lambda: seat.view)
    window.add_page("settings", "Settings", "settings", area.page, "Ctrl+,")
    pages = add_late_pages(window, paths, settings, seat, theme, icons, tasks)
    window.resize(*SIZE)
    window.show()
    control, engine = build_engine(paths, settings, seat.show)
    await seat.take(control, engine)
    while seat.view.phase != "ready":
        await pause(0.1)
    for question in README_QUESTIONS:
        if not question.startswith("And "):
            window.new_chat()
        await pause(0.2)
        window.chats.send(question)
        await pause(0.5)
        while window.chats.is_answering:
            await pause(0.1)
        await pause(0.5)
    for scheme in ("light", "dark"):
        theme.set_scheme("dark" if scheme == "dark" else "light")
        await pause(0.4)
        window.grab().save(str(folder / f"{scheme}.png"))
    window.close()
    await window.until_closed()
    await pages.close()
    await seat.close()
    await storage.close()


README_QUESTIONS = (
    "Name two uses of a hash table. Be very brief.",
    "Write a Python function that reverses a string, and explain it in two sentences.",
)


def write_page(folder: Path, names: list[str]) -> None:
    """One HTML page with every picture."""
    rows = []
    for name in names:
        words = html.escape((ALL_SCENES[name].__doc__ or name).strip())
        shots = "".join(
            f'<a href="{name}-{scheme}-{scale}x.png"><img loading="lazy" '
            f'src="{name}-{scheme}-{scale}x.png" alt="{name}, {scheme}, {scale}x"></a>'
            for scheme in SCHEMES
            for scale in SCALES
            if (folder / f"{name}-{scheme}-{scale}x.png").exists()
        )
        rows.append(f"<h2>{name.replace('_', ' ')}</h2><p>{words}</p><div>{shots}</div>")
    style = (
        "body{font:15px/1.5 system-ui;margin:2rem;background:#e9e8e4;color:#222}"
        "div{display:grid;grid-template-columns:1fr 1fr;gap:12px}img{max-width:100%}"
    )
    page = f"<!doctype html><meta charset=utf-8><title>Garret</title><style>{style}</style>"
    (folder / "index.html").write_text(page + "\n".join(rows), encoding="utf-8")


def child(options: argparse.Namespace) -> int:
    """One look in this process: the scale factor is fixed when Qt starts."""
    app = create_application(sys.argv[:1])
    pick_font(app)
    translator = PseudoTranslator(app)
    if options.scheme == "pseudo":
        app.installTranslator(translator)
    folder = Path(options.out)
    folder.mkdir(parents=True, exist_ok=True)

    async def work() -> int:
        if options.readme:
            await shoot_readme(app, folder)
        else:
            await shoot(app, folder, options.scheme, options.scale, options.only.split(","))
        return 0

    return run(app, work)


def main() -> int:
    """Starts one child process per look."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--out", default="", help="folder for the pictures")
    parser.add_argument("--only", default=",".join(ALL_SCENES), help="scenes, separated by commas")
    parser.add_argument("--readme", action="store_true", help="the two pictures of the README")
    parser.add_argument("--schemes", default=",".join(SCHEMES), help="looks, by commas")
    parser.add_argument("--scales", default="1,2")
    parser.add_argument("--scheme", help=argparse.SUPPRESS)
    parser.add_argument("--scale", default="1", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scheme:
        return child(options)
    environ = dict(os.environ, QT_QPA_PLATFORM="offscreen", QT_LOGGING_RULES="qt.qpa.*=false")
    if options.readme:
        folder = Path(options.out) if options.out else ROOT / "resources" / "screenshots"
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
            environ |= {"GARRET_HOME": home, "QT_SCALE_FACTOR": "1"}
            command = [sys.executable, __file__, "--readme", "--scheme=both", f"--out={folder}"]
            return subprocess.run(command, env=environ, check=False).returncode
    if not options.out:
        parser.error("--out DIR or --readme")
    folder = Path(options.out)
    for scheme in options.schemes.split(","):
        for scale in options.scales.split(",") if scheme != "pseudo" else ["1"]:
            command = [sys.executable, __file__, f"--scheme={scheme}", f"--scale={scale}"]
            command += [f"--out={folder}", f"--only={options.only}"]
            environ["QT_SCALE_FACTOR"] = scale
            code = subprocess.run(command, env=environ, check=False).returncode
            if code:
                return code
    write_page(folder, options.only.split(","))
    print(folder / "index.html")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
