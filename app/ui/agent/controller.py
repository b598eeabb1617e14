"""Ties an AgentSession to the page: events become cards, clicks become answers."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

from PySide6.QtCore import QObject

from app.agent.events import (
    AgentEvent,
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
    TidyingMemory,
    TierChosen,
    TodosChanged,
    WaitingForEngine,
    WritingCall,
)
from app.agent.types import Answer, AnswerKind, Mode, UndoReport
from app.core.errors import GarretError
from app.session.agent_session import AgentSession
from app.ui.agent.page import AgentPage
from app.ui.agent.story import Story
from app.ui.agent.values import end_words
from app.ui.tasks import TaskOwner

_ANSWERS: dict[str, tuple[AnswerKind, str]] = {
    "deny": ("deny", "You did not allow this."),
    "allow_once": ("allow_once", "You allowed this once."),
    "allow_always": ("allow_always", "You allowed this for good."),
}


class AgentController(QObject):
    """One page, one session."""

    def __init__(self, page: AgentPage, session: AgentSession, tasks: TaskOwner) -> None:
        super().__init__(page)
        self._page = page
        self._session = session
        self._tasks = tasks
        self._story = Story(page.transcript)
        self._cards: dict[int, Approval | Question] = {}
        page.folder_chosen.connect(self.open_folder)
        page.mode_chosen.connect(lambda mode: session.set_mode(Mode(mode)))
        page.new_wanted.connect(self._on_new)
        page.card_action.connect(self._on_card)
        page.composer.submitted.connect(self._on_submitted)
        page.composer.stop_requested.connect(self.stop)
        page.changes.file_chosen.connect(
            lambda path: tasks.start("agent-diff", self._show_diff(path))
        )
        page.changes.undo_file_wanted.connect(
            lambda path: tasks.start("agent-undo-file", self._undo_file(path))
        )
        page.changes.undo_all_wanted.connect(lambda: tasks.start("agent-undo", self._undo_all()))
        page.changes.redo_wanted.connect(lambda: tasks.start("agent-redo", self._redo()))
        page.show_recent(session.recent)
        page.show_mode(session.mode.value)

    def open_folder(self, path: str) -> None:
        """Another folder; a run in the old one is stopped."""
        self._tasks.cancel("agent-run")
        self._tasks.start("agent-open", self._open(path))

    def stop(self) -> None:
        """Stops the run; open cards count as no."""
        self._session.stop()

    # -- slots ------------------------------------------------------------------------------

    def _on_submitted(self, text: str, _attachments: tuple[object, ...]) -> None:
        self._page.show_problem("")
        self._page.composer.clear()
        if self._session.is_working:
            self._session.say(text)
            self._story.say(text)
            return
        self._tasks.start("agent-run", self._run(text))

    def _on_new(self) -> None:
        self._tasks.cancel("agent-run")
        self._session.new_conversation()
        self._story.clear()
        self._cards.clear()
        self._page.show_status("")
        self._page.changes.show_changes(())

    def _on_card(self, card_id: int, verb: str, _about: object) -> None:
        card = self._cards.get(card_id)
        if isinstance(card, Approval) and verb in _ANSWERS:
            kind, words = _ANSWERS[verb]
            card.resolve(Answer(kind))
            self._story.approval(card_id, card, words)
        elif isinstance(card, Question) and verb in ("yes", "no"):
            card.resolve(verb == "yes")
            self._story.question(card_id, card, "Going on." if verb == "yes" else "Stopped here.")
        else:
            return
        del self._cards[card_id]

    # -- work -------------------------------------------------------------------------------

    async def _open(self, path: str) -> None:
        try:
            opened = await self._session.open(Path(path))
        except GarretError as error:
            self._page.show_problem(str(error))
            return
        self._on_new()
        self._page.show_problem("")
        self._page.show_recent(self._session.recent)
        self._page.show_mode(self._session.mode.value)
        self._page.show_folder(
            str(opened.root), proven=opened.sandbox_proven, sentence=opened.sandbox_sentence
        )
        self._page.composer.text.setFocus()

    async def _run(self, text: str) -> None:
        self._page.composer.set_running(True)
        self._story.say(text)
        try:
            async with aclosing(self._session.send(text)) as events:
                async for event in events:
                    await self._take(event)
        except GarretError as error:
            self._story.note(str(error), is_problem=True)
        finally:
            self._page.composer.set_running(False)
            self._story.close()
            for card_id in list(self._cards):
                self._on_card(card_id, "deny", None)
                self._on_card(card_id, "no", None)

    async def _take(self, event: AgentEvent) -> None:
        if self._take_words(event) or self._take_card(event):
            return
        match event:
            case CallFinished(call, outcome, seconds):
                self._story.finished(call.call_id, outcome, seconds)
                if outcome.changes:
                    await self._refresh_changes()
            case RunEnded():
                self._story.ended(event)
                self._page.show_status(end_words(event))
                await self._refresh_changes()
            case _:
                self._take_note(event)

    def _take_words(self, event: AgentEvent) -> bool:
        """The model's own words and how far it is."""
        story, status = self._story, self._page.show_status
        match event:
            case StepStarted(number):
                story.begin_step()
                status(self.tr("Step {}").format(number))
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
            case _:
                return False
        return True

    def _take_card(self, event: AgentEvent) -> bool:
        """Calls, and what a person must decide."""
        story, status = self._story, self._page.show_status
        match event:
            case CallProposed(call, _kind, summary):
                story.end_step()
                story.call(call.call_id, summary)
                status(summary)
            case CallOutput(call_id, text):
                story.output(call_id, text)
            case Approval() | Question():
                card_id = story.new_id()
                self._cards[card_id] = event
                if isinstance(event, Approval):
                    story.approval(card_id, event, "")
                else:
                    story.question(card_id, event, "")
                status(self.tr("Waiting for you"))
            case TodosChanged(items):
                story.todos(items)
            case TestsRun(command, passed, output):
                story.tests(command, passed, output)
            case _:
                return False
        return True

    def _take_note(self, event: AgentEvent) -> None:
        match event:
            case Correction(text):
                self._story.note(text)
            case TidyingMemory(done=False):
                self._page.show_status(self.tr("Tidying memory…"))
            case TierChosen(_tier, reason):
                self._story.note(reason)
            case WaitingForEngine(sentence):
                self._story.note(sentence, is_problem=True)
            case _:
                return

    async def _refresh_changes(self) -> None:
        self._page.changes.show_changes(await self._session.changes())

    async def _show_diff(self, path: str) -> None:
        self._page.changes.show_diff(await self._session.diff(path))

    async def _undo_file(self, path: str) -> None:
        self._tell(await self._session.undo_file(path))
        await self._refresh_changes()

    async def _undo_all(self) -> None:
        self._tell(await self._session.undo_all())
        await self._refresh_changes()

    async def _redo(self) -> None:
        self._tell(await self._session.redo())
        await self._refresh_changes()

    def _tell(self, report: UndoReport) -> None:
        done = len(report.restored) + len(report.deleted) + len(report.merged)
        words = self.tr("{} files are as they were before.").format(done)
        left = [f"{one.path}: {one.reason}" for one in report.conflicts]
        if left:
            words = f"{words} Left alone: {'; '.join(left)}"
        if report.not_covered:
            words = f"{words} Not covered: {', '.join(report.not_covered)}"
        self._story.note(words, is_problem=bool(left or report.not_covered))
