"""Ties an AgentSession to the page: events become cards, clicks become answers."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

from PySide6.QtCore import QObject, Signal

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
    RunStarted,
    RunStatus,
    StepEnded,
    StepStarted,
    TestsRun,
    Text,
    TidyingMemory,
    TierChosen,
    TodosChanged,
    UserSaid,
    WaitingForEngine,
    WritingCall,
)
from app.agent.types import Answer, AnswerKind, Mode
from app.core.errors import GarretError
from app.core.ports import RunHead
from app.session.agent_session import AgentSession
from app.ui.agent.confirm_folder import ConfirmFolder
from app.ui.agent.page import AgentPage
from app.ui.agent.review_control import ReviewControl
from app.ui.agent.servers_control import ServersControl
from app.ui.agent.story import Story
from app.ui.agent.values import QuestionCard, end_words
from app.ui.tasks import TaskOwner
from app.ui.theme import Theme
from app.ui.words import reading_words

_ANSWERS: dict[str, tuple[AnswerKind, str]] = {
    "deny": ("deny", "You did not allow this."),
    "allow_once": ("allow_once", "You allowed this once."),
    "allow_always": ("allow_always", "You allowed this for good."),
}
_GO_ON = "Go on with the task where you were interrupted. First look at what is already done."


class AgentController(QObject):
    """One page, one session."""

    run_ended = Signal(str)  # in one line

    def __init__(
        self, page: AgentPage, session: AgentSession, tasks: TaskOwner, theme: Theme
    ) -> None:
        super().__init__(page)
        self._page = page
        self._session = session
        self._tasks = tasks
        self._theme = theme
        self._story = Story(page.transcript)
        self._cards: dict[int, Approval | Question | RunHead] = {}
        self.review = ReviewControl(page, session, tasks, theme, self._story.note)
        self.servers = ServersControl(page, session, tasks, theme)
        page.folder_chosen.connect(self.open_folder)
        page.mode_chosen.connect(self._on_mode)
        page.new_wanted.connect(self.new_task)
        page.card_action.connect(self._on_card)
        page.servers_wanted.connect(self.servers.open)
        page.escape_wanted.connect(self.escape)
        page.composer.submitted.connect(self._on_submitted)
        page.composer.stop_requested.connect(self.stop)
        page.show_recent(session.recent)
        page.show_mode(session.mode.value)

    def open_folder(self, path: str, confirmed: str = "") -> None:
        """Another folder; a run in the old one is stopped."""
        self._tasks.cancel("agent-run")
        self._tasks.start("agent-open", self._open(path, confirmed))

    def stop(self) -> None:
        """Stops the run; open cards count as no."""
        self._session.stop()

    def escape(self) -> None:
        """Esc: no to the newest card; without one, Stop."""
        if not self.answer_newest("deny", "no"):
            self.stop()

    def answer_newest(self, *verbs: str) -> bool:
        """Answers the newest open card; False when there is none."""
        for card_id in reversed(self._cards):
            for verb in verbs:
                if self._on_card(card_id, verb, None):
                    return True
        return False

    def new_task(self) -> None:
        """The next request starts afresh."""
        self._tasks.cancel("agent-run")
        self._session.new_conversation()
        self._clear()
        self._page.composer.text.setFocus()

    # -- slots ------------------------------------------------------------------------------

    def _on_mode(self, mode: str) -> None:
        self._session.set_mode(Mode(mode))
        self._page.show_mode(mode)

    def _on_submitted(self, text: str, _attachments: tuple[object, ...]) -> None:
        self._page.show_problem("")
        self._page.composer.clear()
        if self._session.is_working:
            self._session.say(text)
            self._story.queue(text)
            return
        self._tasks.start("agent-run", self._run(text))

    def _clear(self) -> None:
        self._story.clear()
        self._cards.clear()
        self._page.meter.clear()
        self.review.clear()

    def _on_card(self, card_id: int, verb: str, _about: object) -> bool:
        card = self._cards.get(card_id)
        if isinstance(card, Approval) and verb in _ANSWERS:
            kind, words = _ANSWERS[verb]
            card.resolve(Answer(kind))
            self._story.approval(card_id, card, words)
        elif isinstance(card, Question) and verb in ("yes", "no"):
            card.resolve(verb == "yes")
            self._story.question(card_id, card, "Going on." if verb == "yes" else "Stopped here.")
        elif isinstance(card, RunHead) and verb in ("yes", "no"):
            self._story.ask(card_id, _resume_card(card, "yes" if verb == "yes" else "no"))
            work = self._resume(card) if verb == "yes" else self._session.drop(card.run_id)
            self._tasks.start("agent-run" if verb == "yes" else "agent-drop", work)
        else:
            return False
        del self._cards[card_id]
        if self._page.isAncestorOf(self._page.window().focusWidget() or self._page):
            self._page.composer.text.setFocus()
        return True

    # -- work -------------------------------------------------------------------------------

    async def _open(self, path: str, confirmed: str) -> None:
        try:
            opened = await self._session.open(Path(path), confirmed)
        except GarretError as error:
            if error.facts.get("needs_confirmation"):
                self._confirm(path, error)
            else:
                self._page.show_problem(str(error))
            return
        self._clear()
        self._page.show_problem("")
        self._page.show_recent(self._session.recent)
        self._page.show_mode(self._session.mode.value)
        self._page.show_folder(
            str(opened.root), proven=opened.sandbox_proven, sentence=opened.sandbox_sentence
        )
        if opened.interrupted is not None:
            card_id = self._story.new_id()
            self._cards[card_id] = opened.interrupted
            self._story.ask(card_id, _resume_card(opened.interrupted))
        self._page.composer.text.setFocus()

    def _confirm(self, path: str, error: GarretError) -> None:
        phrase = str(error.facts.get("phrase", ""))
        reason = str(error).partition("\n")[0].partition(" Choose the folder")[0]
        dialog = ConfirmFolder(self._theme, path, reason, phrase, self._page.window())
        dialog.confirmed.connect(self.open_folder)
        dialog.open()

    async def _resume(self, head: RunHead) -> None:
        try:
            self._story.replay(await self._session.resume(head.run_id))
        except GarretError as error:
            self._story.note(str(error), is_problem=True)
            return
        await self.review.refresh()
        await self._run(_GO_ON)

    async def _run(self, text: str) -> None:
        """Requests until nothing is left that was typed meanwhile."""
        while text:
            status = await self._run_one(text)
            text = self._left_over(status)

    async def _run_one(self, text: str) -> RunStatus:
        self._page.composer.set_running(True)
        self._page.meter.begin()
        self._story.say(text)
        status: RunStatus = "failed"
        try:
            async with aclosing(self._session.send(text)) as events:
                async for event in events:
                    await self._take(event)
                    if isinstance(event, RunEnded):
                        status = event.status
        except GarretError as error:
            self._story.note(str(error), is_problem=True)
        finally:
            self._page.composer.set_running(False)
            self._page.meter.end()
            self._story.close()
            for card_id in list(self._cards):
                self._on_card(card_id, "deny", None)
                self._on_card(card_id, "no", None)
        return status

    def _left_over(self, status: RunStatus) -> str:
        """What was typed too late: the next request after a good end, else it is given back."""
        left = "\n\n".join(self._session.take_unsaid())
        if left:
            self._story.drop_queued()
        if left and status != "done":
            if not self._page.composer.text.toPlainText():
                self._page.composer.set_text(left)
            return ""
        return left

    async def _take(self, event: AgentEvent) -> None:
        if self._take_words(event) or self._take_card(event):
            return
        match event:
            case CallFinished(call, outcome, seconds):
                self._story.finished(call.call_id, outcome, seconds)
                self.review.take_command(call, outcome)
                if outcome.changes:
                    await self.review.refresh()
            case RunEnded():
                self._story.ended(event)
                self.run_ended.emit(end_words(event))
                self._page.meter.end(end_words(event).partition(" · ")[0])
                await self.review.refresh()
            case _:
                self._take_note(event)

    def _take_words(self, event: AgentEvent) -> bool:
        """The model's own words and how far it is."""
        story, meter = self._story, self._page.meter
        match event:
            case StepStarted(number):
                story.begin_step()
                meter.say(self.tr("Step {}: thinking").format(number))
            case Reading(progress):
                story.reading(progress)
                meter.say(reading_words(progress))
            case Text(text):
                story.text(text)
                meter.say(self.tr("Writing"))
            case AnswerDiscarded():
                story.discard()
            case StepEnded(_number, tokens, _seconds):
                story.end_step()
                meter.add(tokens)
            case WritingCall(name, characters):
                meter.say(self.tr("Writing {} ({:,} characters)").format(name, characters))
            case _:
                return False
        return True

    def _take_card(self, event: AgentEvent) -> bool:
        """Calls, and what a person must decide."""
        story, meter = self._story, self._page.meter
        match event:
            case CallProposed(call, _kind, summary):
                story.end_step()
                story.call(call.call_id, summary)
                meter.say(summary)
            case CallOutput(call_id, text):
                story.output(call_id, text)
            case Approval() | Question():
                card_id = story.new_id()
                self._cards[card_id] = event
                if isinstance(event, Approval):
                    story.approval(card_id, event, "")
                else:
                    story.question(card_id, event, "")
                meter.say(self.tr("Waiting for you"))
                self._page.focus_card(card_id)
            case TodosChanged(items):
                story.todos(items)
            case TestsRun(command, passed, output):
                self.review.show_tests(command, passed, output)
            case _:
                return False
        return True

    def _take_note(self, event: AgentEvent) -> None:
        match event:
            case RunStarted(_run, _model, tier):
                self._page.header.show_tier(tier)
                for problem in self._session.take_problems():
                    self._story.note(f"MCP server {problem}", is_problem=True)
            case Correction(text):
                self._story.note(text)
            case TidyingMemory(done=False):
                self._page.meter.say(self.tr("Tidying memory…"))
                self._story.note(self.tr("Tidying memory: the conversation is being shortened."))
            case TierChosen(tier, reason):
                self._page.header.show_tier(tier, reason)
                self._story.note(reason)
            case UserSaid():
                self._story.delivered()
            case WaitingForEngine(sentence):
                self._story.note(sentence, is_problem=True)
            case _:
                return


def _resume_card(head: RunHead, answer: str = "") -> QuestionCard:
    task = head.task if len(head.task) <= 200 else f"{head.task[:200]} …"
    answered = {"": "", "yes": "Taken up again.", "no": "Left as it is."}[answer]
    return QuestionCard(
        f"The last task in this folder was cut off: “{task}”", answered, "Go on with it", "Leave it"
    )
