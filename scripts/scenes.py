"""The scenes of the picture gallery: each sets up a real window and leaves it held still."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

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
from app.session.demos import load_demos
from app.session.engine_seat import EngineSeat
from app.session.first_run import Offer
from app.storage.storage import Storage
from app.ui.agent.story import Story
from app.ui.demo.page import DemoPage
from app.ui.demo.values import end_line, facts
from app.ui.first_run.values import coming_notice, panel_view
from app.ui.help.guide_page import GuideView
from app.ui.icons import Icons
from app.ui.late_pages import LatePages, add_late_pages
from app.ui.main_window import MainWindow
from app.ui.settings.build import SettingsArea
from app.ui.settings.page import SettingsPage
from app.ui.settings.privacy_panel import PrivacyPanel
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from scripts.chat_scenes import CHAT_SCENES
from scripts.hardware_scenes import HARDWARE_SCENES
from scripts.model_scenes import MODEL_SCENES
from scripts.scene_texts import ANSWER, LONG_CODE, MATH, QUESTION, SCRIPTS
from scripts.scene_values import (
    COMING,
    CONNECTIONS,
    FOUND,
    GOOD_OFFER,
    LOG,
    REPORT,
    findings,
)
from tests.fakes import FakeEngine, FakeEngineControl, FakeSeat

MODEL = ModelInfo("smollm2-135m-instruct", n_ctx=8192)


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
    closers: list[Callable[[], Awaitable[None]]] = field(default_factory=list)

    def add_pages(self) -> None:
        """The other pages, as `app.compose` adds them."""
        paths = find_paths({"GARRET_HOME": str(self.home)})
        paths.make()
        settings = Settings.load(paths.settings_file)
        area = SettingsArea(settings, self.theme, self.tasks, lambda: self.control.view)
        self.window.add_page("settings", "Settings", "settings", area.page, "Ctrl+,")
        seat = cast("EngineSeat", FakeSeat("smollm2-135m-instruct", self.control.choices()))
        parts = (self.window, paths, settings, seat, self.theme, self.icons, self.tasks)
        self.pages = add_late_pages(*parts, settings_area=area, doctor=findings)

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


async def first_run(stage: Stage) -> None:
    """The first start: the tiny model answers, a good one is offered."""
    stage.window.chat_page.welcome.panel.show_view(panel_view(GOOD_OFFER, None))
    await pause(0.3)


async def first_run_coming(stage: Stage) -> None:
    """The good model is on its way."""
    stage.window.chat_page.welcome.panel.show_view(panel_view(GOOD_OFFER, COMING))
    await pause(0.3)


async def first_run_offline(stage: Stage) -> None:
    """No network; models of other programs were found."""
    problem = "huggingface.co cannot be reached. Check the network and try again. Everything else "
    view = panel_view(replace(GOOD_OFFER, found=FOUND), None, f"{problem}works without it.")
    stage.window.chat_page.welcome.panel.show_view(view)
    await pause(0.3)


async def first_run_small(stage: Stage) -> None:
    """A computer too small for a good model."""
    words = (
        "This computer has 2 GB of memory. The smallest model that helps with code, "
        "Qwen3.5 2B, needs about 3 GB for itself."
    )
    stage.window.chat_page.welcome.panel.show_view(panel_view(Offer(too_small=words), None))
    await pause(0.3)


async def coming_strip(stage: Stage) -> None:
    """A conversation goes on while the good model is on its way."""
    await stage.ask(QUESTION, *told(ANSWER))
    stage.window.chat_page.coming.set_notice(coming_notice(COMING))
    await pause(0.3)


async def demo_cards(stage: Stage) -> None:
    """The demo cards."""
    stage.add_pages()
    stage.window.show_page("demo")
    await pause(0.8)


async def demo_run(stage: Stage) -> None:
    """A card has run; what just happened."""
    stage.add_pages()
    stage.window.show_page("demo")
    page = cast("DemoPage", stage.window.page_widget("demo"))
    card = load_demos()[0]
    page.open_stage(card.card_id, card.title, card.say, "")
    page.set_running(False)
    story = Story(page.transcript)
    story.say(card.prompt)
    story.begin_step()
    story.text(ANSWER.partition("| items")[0])
    story.end_step()
    page.show_status(end_line(REPORT))
    page.show_facts(facts(card, REPORT))
    await pause(0.8)


async def demo_stage(stage: Stage) -> None:
    """The same in presentation mode."""
    await demo_run(stage)
    stage.window.actions_by_name["present"].trigger()
    await pause(0.6)


async def guide(stage: Stage) -> None:
    """The built-in guide."""
    stage.add_pages()
    stage.window.show_page("help")
    await pause(0.5)


async def guide_search(stage: Stage) -> None:
    """Searching the guide."""
    stage.add_pages()
    stage.window.show_page("help")
    view = cast("GuideView", stage.window.page_widget("help"))
    view.search.setText("context")
    view.show_page("models")
    await pause(0.5)


async def privacy(stage: Stage) -> None:
    """Every connection, listed."""
    stage.add_pages()
    page = cast("SettingsPage", stage.window.page_widget("settings"))
    panel = page.findChild(PrivacyPanel)
    stage.window.show_page("settings")
    page.show_section("privacy")
    await pause(0.5)
    assert isinstance(panel, PrivacyPanel)
    panel.show_connections(CONNECTIONS)
    panel.show_kept(1_830_000_000)
    await pause(0.3)


async def endpoint(stage: Stage) -> None:
    """The endpoint with text for each client."""
    stage.add_pages()
    stage.window.show_page("settings")
    cast("SettingsPage", stage.window.page_widget("settings")).show_section("endpoint")
    await pause(0.5)


async def doctor(stage: Stage) -> QWidget | None:
    """The check of this computer."""
    stage.add_pages()
    shown = await dialog(stage, "doctor")
    await pause(0.4)
    return shown


async def log(stage: Stage) -> QWidget | None:
    """The log for a bug report."""
    stage.add_pages()
    logs = stage.home / "data" / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    (logs / "garret.log").write_text(LOG, encoding="utf-8")
    shown = await dialog(stage, "log")
    await pause(0.6)
    return shown


async def licences(stage: Stage) -> QWidget | None:
    """The parts and their licences."""
    stage.add_pages()
    shown = await dialog(stage, "licences")
    await pause(1.5)
    return shown


SCENES: dict[str, Scene] = {
    scene.__name__: scene
    for scene in (
        empty, chat, streaming, reading, thinking, formulas, scripts, files, error, no_model,
        loading, out_of_memory, bad_file, engine_lost, search, find, edit, presentation, narrow,
        settings_page, agent_page, models_page, tune, prompts, keys, about,
        switcher, context, first_run, first_run_coming, first_run_offline, first_run_small,
        coming_strip, demo_cards, demo_run, demo_stage, guide, guide_search, privacy, endpoint,
        doctor, log, licences,
    )
}  # fmt: skip
SCENES |= MODEL_SCENES | HARDWARE_SCENES | CHAT_SCENES
