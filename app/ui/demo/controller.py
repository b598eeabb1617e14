"""Runs the demo cards on the page: reads their prompts beforehand, tells what happens, resets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

from PySide6.QtCore import QObject, Signal

from app.agent.events import (
    AnswerDiscarded,
    Approval,
    CallFinished,
    CallOutput,
    CallProposed,
    Correction,
    Question,
    Reading,
    RunEnded,
    StepEnded,
    StepStarted,
    TestsRun,
    Text,
    TierChosen,
    WaitingForEngine,
    WritingCall,
)
from app.agent.types import Answer
from app.core.engine_view import EngineView
from app.core.errors import GarretError
from app.session.demo_events import DemoEnded, DemoEvent, EngineRestarted
from app.session.demo_run import DemoRunner
from app.session.demos import DemoCard, missing_program
from app.ui.agent.story import Story
from app.ui.demo.page import DemoPage
from app.ui.demo.values import CardFace, card_face, end_line, facts
from app.ui.tasks import TaskOwner

_WARM, _RUN, _RESET = "demo-warm", "demo-run", "demo-reset"


class DemoController(QObject):
    """One page, one runner.

    Args:
        name_of: a model's name for people.
        is_busy: whether a chat or an agent needs the engine; then nothing is read beforehand.
        open_path: shows a file or a folder with the system's own program.
    """

    leave_large_type = Signal()

    def __init__(
        self,
        page: DemoPage,
        runner: DemoRunner,
        cards: tuple[DemoCard, ...],
        tasks: TaskOwner,
        name_of: Callable[[str], str],
        is_busy: Callable[[], bool],
        open_path: Callable[[Path], object] = lambda _path: None,
    ) -> None:
        super().__init__(page)
        self._page = page
        self._runner = runner
        self._cards = {card.card_id: card for card in cards}
        self._tasks = tasks
        self._name_of = name_of
        self._is_busy = is_busy
        self._open_path = open_path
        self._written: tuple[str, ...] = ()
        self._story = Story(page.transcript)
        self._asked: dict[int, Approval | Question] = {}
        self._read: set[str] = set()
        self._model_id = ""
        self._open = ""
        page.shown.connect(self._on_shown)
        page.card_chosen.connect(self.open_card)
        page.card_focused.connect(self._on_focused)
        page.run_wanted.connect(self.run)
        page.stop_wanted.connect(runner.stop)
        page.reset_wanted.connect(self.reset)
        page.escaped.connect(self._on_escape)
        page.open_wanted.connect(self._on_open)
        page.card_action.connect(self._on_answer)
        self._draw()

    @property
    def is_running(self) -> bool:
        return self._tasks.running(_RUN)

    def set_engine_view(self, view: EngineView) -> None:
        """Another model reads anew; what it can do is drawn anew."""
        model_id = view.model.model_id if view.model is not None else ""
        if model_id != self._model_id:
            self._model_id = model_id
            self._read.clear()
            self._draw()
            self._warm()

    def open_card(self, card_id: str) -> None:
        """Opens a card; it runs at once unless something it needs is missing."""
        card = self._cards[card_id]
        self._open = card_id
        self._story.clear()
        obstacle = self._obstacle(card)
        self._page.open_stage(card_id, card.title, card.say, obstacle)
        self._page.set_running(False)
        if not obstacle:
            self.run()

    def run(self) -> None:
        """The open card, from its beginning."""
        self._tasks.cancel(_WARM)
        self._tasks.start(_RUN, self._run(self._cards[self._open]))

    def reset(self) -> None:
        """One key: what runs ends, every folder goes, the stage is clear, the card begins anew."""
        if self._page.is_on_stage:
            self._tasks.start(_RESET, self._reset())

    # -- slots ------------------------------------------------------------------------------

    def _on_shown(self) -> None:
        self._draw()
        if not self._page.is_on_stage:
            self._page.cards.focus_card(self._open)
        self._warm()

    def _on_focused(self, card_id: str) -> None:
        if card_id not in self._read:
            self._warm(first=card_id)

    def _on_escape(self) -> None:
        if self.is_running:
            self._runner.stop()
        elif self._page.is_on_stage:
            self._story.clear()
            self._page.close_stage()
            self._warm()
        else:
            self.leave_large_type.emit()

    def _on_open(self) -> None:
        """A page is opened itself, anything else by its folder."""
        folder = self._runner.workspace
        if folder is not None:
            pages = [name for name in self._written if name.endswith(".html")]
            self._open_path(folder / pages[0] if pages else folder)

    def _on_answer(self, card_id: int, verb: str, _about: object) -> None:
        asked = self._asked.pop(card_id, None)
        if isinstance(asked, Approval):
            allowed = verb.startswith("allow")
            asked.resolve(Answer("allow_once" if allowed else "deny"))
            words = self.tr("You allowed this once.") if allowed else self.tr("Not allowed.")
            self._story.approval(card_id, asked, words)
        elif isinstance(asked, Question):
            asked.resolve(verb == "yes")
            self._story.question(card_id, asked, self.tr("Answered."))

    # -- work -------------------------------------------------------------------------------

    def _warm(self, first: str = "") -> None:
        if self._page.isVisible() and self._model_id and not self.is_running:
            self._tasks.start(_WARM, self._read_beforehand(first))

    async def _read_beforehand(self, first: str) -> None:
        """Every card this model can do, the chosen one first; rests while others ask."""
        order = sorted(self._cards.values(), key=lambda card: card.card_id != first)
        for card in order:
            if card.card_id in self._read or self._obstacle(card):
                continue
            while self._is_busy():  # noqa: ASYNC110  any answer anywhere, not one event
                await asyncio.sleep(0.5)
            if not self._page.isVisible():
                return
            if await self._runner.warm(card):
                self._read.add(card.card_id)
                self._draw()

    async def _run(self, card: DemoCard) -> None:
        page, story = self._page, self._story
        story.clear()
        page.show_facts(())
        page.offer_files(False)
        page.set_running(True)
        story.say(card.prompt)
        try:
            async with aclosing(self._runner.run(card)) as events:
                async for event in events:
                    self._take(card, event)
        except GarretError as error:
            story.note(str(error), is_problem=True)
        finally:
            story.close()
            page.set_running(False)
            for card_id in list(self._asked):
                self._on_answer(card_id, "deny", None)
        self._draw()

    async def _reset(self) -> None:
        self._runner.stop()
        self._tasks.cancel(_RUN)
        self._tasks.cancel(_WARM)
        while self._tasks.running(_RUN) or self._tasks.running(_WARM):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await self._runner.reset()
        card = self._cards[self._open]
        self._read.discard(card.card_id)
        self._story.clear()
        self._page.open_stage(card.card_id, card.title, card.say, self._obstacle(card))
        self._page.run.setText(self.tr("Run"))
        self._page.set_running(False)
        self._page.run.setFocus()
        if not self._obstacle(card) and await self._runner.warm(card):
            self._read.add(card.card_id)
            self._page.show_status(self.tr("Ready. Nothing of the last run is left."))

    def _take(self, card: DemoCard, event: DemoEvent) -> None:
        if self._take_words(event):
            return
        story = self._story
        match event:
            case CallProposed(call, _kind, summary):
                story.end_step()
                story.call(call.call_id, summary)
                self._page.show_status(summary)
            case CallOutput(call_id, text):
                story.output(call_id, text)
            case CallFinished(call, outcome, seconds):
                story.finished(call.call_id, outcome, seconds)
            case Approval() | Question():
                card_id = story.new_id()
                self._asked[card_id] = event
                if isinstance(event, Approval):
                    story.approval(card_id, event, "")
                else:
                    story.question(card_id, event, "")
                self._page.show_status(self.tr("Waiting for you"))
            case TestsRun(command, passed, output):
                story.tests(command, passed, output)
            case RunEnded():
                story.end_step()
                if event.status != "done":
                    story.note(event.message, is_problem=event.status == "failed")
            case DemoEnded(report):
                self._page.show_status(end_line(report))
                self._page.show_facts(facts(card, report))
                self._written = report.files_written
                self._page.offer_files(bool(report.files_written))

    def _take_words(self, event: DemoEvent) -> bool:
        """The model's own words, and notes on the way."""
        story, status = self._story, self._page.show_status
        match event:
            case StepStarted(number):
                story.begin_step()
                status(self.tr("Working…") if number == 1 else self.tr("Step {}").format(number))
            case Reading(progress):
                story.reading(progress)
            case Text(text):
                story.text(text)
            case AnswerDiscarded():
                story.discard()
            case StepEnded():
                story.end_step()
            case WritingCall(name, characters):
                status(self.tr("Writing {} ({} characters)").format(name, characters))
            case Correction(text):
                story.note(text)
            case TierChosen(_tier, reason):
                story.note(reason)
            case EngineRestarted(sentence) | WaitingForEngine(sentence):
                words = self.tr("{} It is being started again; the card goes on then.")
                story.note(words.format(sentence), is_problem=True)
            case _:
                return False
        return True

    def _obstacle(self, card: DemoCard) -> str:
        model = self._runner.model
        if model is None:
            return self.tr("No model is loaded.")
        return card.obstacle(model.n_params) or missing_program(card)

    def _face(self, card: DemoCard) -> CardFace:
        return card_face(
            card,
            self._runner.expected_s(card),
            is_read=card.card_id in self._read,
            obstacle=self._obstacle(card),
        )

    def _draw(self) -> None:
        name = self._name_of(self._model_id) if self._model_id else ""
        note = self.tr("No model is loaded yet.")
        if name:
            note = self.tr(
                "{} answers, on this computer and without a network. Choose a card: it runs at "
                "once, in a folder of its own."
            ).format(name)
        self._page.show_cards(note, [self._face(card) for card in self._cards.values()])
