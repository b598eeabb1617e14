"""Pictures of the window in every state, as PNG files and one HTML page.

    python scripts/screenshots.py --out DIR            every scene, light and dark, at 1x and 2x
    python scripts/screenshots.py --out DIR --only chat,error
    python scripts/screenshots.py --readme             resources/screenshots/{light,dark}.png

The window, its storage and everything in it are real. In the scenes the engine is a script, so
that each state can be held still; the README's pictures show the starter model in our own engine
process, with what it really wrote and how fast (needs the starter model: see scripts/run.py).
"""

from __future__ import annotations

import argparse
import asyncio
import html
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PySide6.QtCore import QCoreApplication
from PySide6.QtGui import QFont, QFontDatabase
from PySide6.QtWidgets import QApplication, QWidget

from app.core.control import ModelInfo
from app.core.engine_view import EngineView
from app.core.errors import BadModelFile, EngineDied, OutOfMemory
from app.core.events import (
    PromptProgress,
    TextDelta,
    ThinkingDelta,
    Timings,
    TurnEnded,
    TurnEvent,
    Usage,
)
from app.core.messages import AttachmentPart
from app.core.paths import find_paths
from app.core.settings import Settings
from app.library.starter import add_starter
from app.library.store import Store
from app.session.engine_seat import EngineSeat
from app.session.engines import build_engine
from app.storage.storage import Storage, open_storage
from app.ui.application import create_application, icons_folder, run
from app.ui.icons import Icons
from app.ui.late_pages import LatePages, add_late_pages
from app.ui.main_window import MainWindow
from app.ui.ports import ChatServices
from app.ui.settings.build import SettingsArea
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from app.ui.window_state import WindowState
from scripts.scene_texts import ANSWER, LONG_CODE, MATH, QUESTION, SCRIPTS, pseudo
from tests.fakes import FakeEngine, FakeEngineControl

ROOT = Path(__file__).resolve().parents[1]
SIZE = (1180, 780)
SCHEMES = ("light", "dark")
SCALES = (1, 2)
MODEL = ModelInfo("smollm2-135m-instruct", n_ctx=8192)
STARTER = Path.home() / ".cache" / "garret" / "starter" / "SmolLM2-135M-Instruct.Q4_1.gguf"
FONTS = ("Inter", "Noto Sans", "Cantarell", "Ubuntu")


@dataclass
class Stage:
    """A window to be set up and photographed."""

    window: MainWindow
    storage: Storage
    engine: FakeEngine
    control: FakeEngineControl
    theme: Theme
    icons: Icons
    tasks: TaskOwner
    home: Path
    pages: LatePages | None = None

    def add_pages(self) -> None:
        """The other pages, as `app.compose` adds them."""
        paths = find_paths({"GARRET_HOME": str(self.home)})
        paths.make()
        settings = Settings.load(paths.settings_file)
        area = SettingsArea(settings, self.theme, self.tasks, lambda: self.control.view)
        self.window.add_page("settings", "Settings", "settings", area.page, "Ctrl+,")
        seat = EngineSeat()
        parts = (self.window, paths, settings, seat, self.theme, self.icons, self.tasks)
        self.pages = add_late_pages(*parts)

    def script(self, *steps: object) -> None:
        """What the engine says next."""
        self.engine.scripts = ([cast("Step", step) for step in steps],)
        self.engine.requests.clear()

    async def ask(
        self, question: str, *steps: object, files: tuple[AttachmentPart, ...] = ()
    ) -> None:
        """One question, answered to its end."""
        self.script(*steps)
        self.window.chats.send(question, files)
        await pause(0.15)
        while self.window.chats.is_answering:
            await pause(0.03)
        await pause(0.2)

    def hold(self, question: str, *steps: object) -> None:
        """A question whose answer never ends."""
        self.script(*steps, 600.0)
        self.window.chats.send(question)


Step = TurnEvent | float | BaseException
Scene = Callable[[Stage], Awaitable[QWidget | None]]


async def pause(seconds: float) -> None:
    """Lets the window work."""
    await asyncio.sleep(seconds)


def told(text: str, tokens: int = 412) -> list[object]:
    """An answer with figures."""
    ended = TurnEnded(
        "stop",
        Usage(1_840, tokens, 1_622),
        Timings(1_622, 218, 410.0, tokens, tokens * 1_000 / 38.4),
    )
    return [TextDelta(text), ended]


async def empty(stage: Stage) -> None:
    """The first thing one sees."""


async def chat(stage: Stage) -> None:
    """A finished answer with code, a list and a table."""
    await stage.ask(QUESTION, *told(ANSWER))
    await stage.ask("And how do I measure it?", *told(LONG_CODE, 288))


async def streaming(stage: Stage) -> None:
    """In the middle of an answer."""
    stage.hold(QUESTION, TextDelta(ANSWER[: len(ANSWER) // 2]))
    await pause(0.4)


async def reading(stage: Stage) -> None:
    """A long prompt is being read; another question waits."""
    stage.hold("Summarise the log I attached.", PromptProgress(7_688, 500, 12_400, 20.0))
    await pause(0.3)
    stage.window.chats.send("And tell me which host is to blame.")
    await pause(0.3)


async def thinking(stage: Stage) -> None:
    """Reasoning, folded."""
    await stage.ask(
        "Is 2^31 - 1 prime?",
        ThinkingDelta("It is a Mersenne number with a prime exponent. Euler showed it."),
        *told("Yes. $2^{31}-1 = 2147483647$ is a **Mersenne prime**; Euler proved it in 1772.", 34),
    )
    await pause(1.5)


async def formulas(stage: Stage) -> None:
    """LaTeX."""
    await stage.ask("Show me some formulas.", *told(MATH, 120))
    await pause(2.5)


async def scripts(stage: Stage) -> None:
    """Right to left, CJK, emoji, task lists, footnotes, long words."""
    await stage.ask("Show me some scripts.", *told(SCRIPTS, 160))


async def files(stage: Stage) -> None:
    """Attachments, sent and waiting."""
    log = AttachmentPart("server.log", "text/plain", "12:00 ok\n" * 900)
    await stage.ask("What went wrong here?", *told("Nothing: every line says ok.", 8), files=(log,))
    composer = stage.window.chat_page.composer
    composer.files.add(AttachmentPart("app.py", "text/x-python", "print(1)\n" * 40))
    composer.set_text("Compare it with this file.\nOnly the differences, please.")
    await pause(0.2)


async def error(stage: Stage) -> None:
    """The engine died in mid-answer."""
    died = EngineDied("The engine stopped while answering.", "It has been started again.")
    await stage.ask(QUESTION, TextDelta(ANSWER[:240]), died)


async def no_model(stage: Stage) -> None:
    """Nothing is loaded."""
    stage.window.set_engine_view(EngineView("idle"))


async def loading(stage: Stage) -> None:
    """A model is on its way into memory."""
    view = EngineView("loading", loading_id="qwen3-coder-next-q4_k_m", load_fraction=0.62)
    stage.window.set_engine_view(view)


async def out_of_memory(stage: Stage) -> None:
    """The model does not fit."""
    problem = OutOfMemory(
        "Qwen3-Coder-Next needs 48.6 GB; 31.2 GB are free.",
        "Choose a smaller plan, or close other programs.",
    )
    stage.window.set_engine_view(EngineView("idle", error=problem))


async def bad_file(stage: Stage) -> None:
    """A damaged model file."""
    problem = BadModelFile("This file is not a complete GGUF model.", "Download it again.")
    stage.window.set_engine_view(EngineView("idle", error=problem))


async def engine_lost(stage: Stage) -> None:
    """The engine keeps dying."""
    problem = EngineDied("The engine crashed five times in two minutes.", "See the log.")
    stage.window.set_engine_view(EngineView("failed", error=problem))


async def search(stage: Stage) -> None:
    """Hits in all chats."""
    await chat(stage)
    stage.window.sidebar.search.setText("binary")
    await pause(0.6)


async def find(stage: Stage) -> None:
    """Hits in this chat."""
    await chat(stage)
    stage.window.actions_by_name["find"].trigger()
    stage.window.chat_page.find_bar.field.setText("list")
    await pause(0.5)


async def edit(stage: Stage) -> None:
    """A question is asked anew; the answer has siblings."""
    await stage.ask(QUESTION, *told(ANSWER))
    stage.script(*told("A shorter answer this time: halve the range until it is empty.", 14))
    stage.window.actions_by_name["regenerate"].trigger()
    await pause(0.6)
    stage.window.actions_by_name["edit_last"].trigger()
    await pause(0.2)


async def presentation(stage: Stage) -> None:
    """For a stage."""
    await chat(stage)
    stage.window.actions_by_name["present"].trigger()
    await pause(0.4)


async def narrow(stage: Stage) -> None:
    """The smallest window."""
    await chat(stage)
    stage.window.resize(560, 620)
    await pause(0.4)


async def pseudo_locale(stage: Stage) -> None:
    """Longer words everywhere, to see what is cut."""
    stage.window.set_engine_view(EngineView("idle"))
    for widget in stage.window.findChildren(QWidget):
        words = getattr(widget, "text", None)
        if callable(words) and hasattr(widget, "setText") and isinstance(words(), str) and words():
            widget.setText(pseudo(words()))
            widget.updateGeometry()
    await pause(0.2)


async def tune(stage: Stage) -> QWidget | None:
    """Instructions and sampling."""
    stage.window.chats.set_tuning("Answer briefly, in British English.", {"temperature": 0.4})
    return await dialog(stage, "tune")


async def prompts(stage: Stage) -> QWidget | None:
    """The prompt library."""
    library = stage.storage.prompts
    await library.save("review", "Review this {{language|Python}} code:", "finds problems")
    await library.save("explain", "Explain this to a beginner:", "plain words")
    stage.window.composing.reload_prompts()
    await pause(0.3)
    return await dialog(stage, "prompts")


async def keys(stage: Stage) -> QWidget | None:
    """The keyboard map."""
    return await dialog(stage, "keys")


async def about(stage: Stage) -> QWidget | None:
    """About."""
    return await dialog(stage, "about")


async def switcher(stage: Stage) -> QWidget | None:
    """Ctrl+K."""
    await chat(stage)
    return await dialog(stage, "switch_chat")


async def context(stage: Stage) -> QWidget | None:
    """What fills the context."""
    await chat(stage)
    await pause(0.8)
    before = set(QApplication.topLevelWidgets())
    stage.window.composing.show_context()
    await pause(0.2)
    return next(iter(set(QApplication.topLevelWidgets()) - before), None)


async def dialog(stage: Stage, command: str) -> QWidget | None:
    """The window that a command opens."""
    before = set(QApplication.topLevelWidgets())
    stage.window.actions_by_name[command].trigger()
    await pause(0.4)
    return next((w for w in set(QApplication.topLevelWidgets()) - before if w.isVisible()), None)


async def settings_page(stage: Stage) -> None:
    """The settings."""
    stage.add_pages()
    stage.window.show_page("settings")
    await pause(0.6)


async def agent_page(stage: Stage) -> None:
    """The agent, before its first task."""
    stage.add_pages()
    stage.window.show_page("agent")
    await pause(0.6)


async def models_page(stage: Stage) -> None:
    """The models for this machine."""
    stage.add_pages()
    stage.window.show_page("models")
    await pause(4.0)


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        empty, chat, streaming, reading, thinking, formulas, scripts, files, error, no_model,
        loading, out_of_memory, bad_file, engine_lost, search, find, edit, presentation, narrow,
        pseudo_locale, settings_page, agent_page, models_page, tune, prompts, keys, about,
        switcher, context,
    )
}  # fmt: skip


def pick_font(app: QApplication) -> None:
    """A calm screen font where the system's own is unset (offscreen has none of its own)."""
    families = set(QFontDatabase.families())
    family = next((name for name in FONTS if name in families), "")
    if family:
        app.setFont(QFont(family, 10))


async def shoot(app: QApplication, folder: Path, scheme: str, scale: int, names: list[str]) -> None:
    """Every scene in one look, each in a fresh window with a fresh store."""
    for name in names:
        with tempfile.TemporaryDirectory() as home:
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
            subject = await SCENES[name](stage)
            await pause(0.25)
            (subject or window).grab().save(str(folder / f"{name}-{scheme}-{scale}x.png"))
            if subject is not None:
                subject.close()
            window.close()
            await window.until_closed()
            if stage.pages is not None:
                await stage.pages.close()
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
    for scheme in SCHEMES:
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
    "And how do I call it?",
)


def write_page(folder: Path, names: list[str]) -> None:
    """One HTML page with every picture."""
    rows = []
    for name in names:
        words = html.escape((SCENES[name].__doc__ or name).strip())
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
    parser.add_argument("--only", default=",".join(SCENES), help="scenes, separated by commas")
    parser.add_argument("--readme", action="store_true", help="the two pictures of the README")
    parser.add_argument("--schemes", default="light,dark")
    parser.add_argument("--scales", default="1,2")
    parser.add_argument("--scheme", help=argparse.SUPPRESS)
    parser.add_argument("--scale", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.scheme:
        return child(options)
    environ = dict(os.environ, QT_QPA_PLATFORM="offscreen", QT_LOGGING_RULES="qt.qpa.*=false")
    if options.readme:
        folder = Path(options.out) if options.out else ROOT / "resources" / "screenshots"
        with tempfile.TemporaryDirectory() as home:
            environ |= {"GARRET_HOME": home, "QT_SCALE_FACTOR": "1"}
            command = [sys.executable, __file__, "--readme", "--scheme=both", f"--out={folder}"]
            return subprocess.run(command, env=environ, check=False).returncode
    if not options.out:
        parser.error("--out DIR or --readme")
    folder = Path(options.out)
    for scheme in options.schemes.split(","):
        for scale in options.scales.split(","):
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
