"""The run as a readable story in the transcript: prose as it streams, a card for each call."""

from __future__ import annotations

from collections.abc import Sequence

from app.agent.events import Approval, Question, RunEnded
from app.agent.types import Todo, ToolOutcome
from app.core.events import PromptProgress
from app.ui.agent.values import (
    ApprovalCard,
    CardState,
    QuestionCard,
    TodoCard,
    ToolCard,
    end_words,
)
from app.ui.transcript.blocks import clean
from app.ui.transcript.cells import CustomCell, NoticeCell, UserCell, markdown_cells
from app.ui.transcript.messages import MessageItem
from app.ui.transcript.transcript import Transcript

_MAX_LIVE_CHARS = 60_000


class Story:
    """Turns what happens into cells; ids of cells rise by one."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._last_id = 0
        self._step: int | None = None
        self._text: list[str] = []
        self._calls: dict[str, tuple[int, ToolCard]] = {}
        self._todos: int | None = None

    def new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def clear(self) -> None:
        """An empty story."""
        self._transcript.set_messages([])
        self._step, self._todos = None, None
        self._text.clear()
        self._calls.clear()

    def say(self, text: str) -> None:
        """What the person asked for."""
        self._transcript.set_cells(self.new_id(), [UserCell(clean(text))])

    def begin_step(self) -> None:
        """The model is asked; until it says something its progress is shown."""
        self.end_step()
        self._step = self.new_id()
        self._transcript.begin_answer(MessageItem(self._step, "assistant", ()))

    def reading(self, progress: PromptProgress) -> None:
        if self._step is not None and not self._text:
            self._transcript.set_progress(self._step, progress)

    def text(self, text: str) -> None:
        if self._step is None:
            self.begin_step()
        assert self._step is not None
        self._text.append(text)
        self._transcript.append_text(self._step, text)

    def discard(self) -> None:
        """What was written in this step does not count."""
        self._text.clear()
        if self._step is not None:
            self._transcript.remove_message(self._step)
            self._step = None

    def end_step(self) -> None:
        """The answer is complete: parsed once more as a whole, or taken away when empty."""
        if self._step is None:
            return
        step, self._step = self._step, None
        text = "".join(self._text)
        self._text.clear()
        self._transcript.remove_message(step)
        if text.strip():
            self._transcript.set_cells(step, list(markdown_cells(clean(text))))

    def call(self, call_id: str, summary: str) -> None:
        """A tool is about to run."""
        self._put(call_id, self.new_id(), ToolCard(call_id, summary))

    def output(self, call_id: str, text: str) -> None:
        """More of what a command prints."""
        if call_id in self._calls:
            cell_id, card = self._calls[call_id]
            details = (card.details + text)[-_MAX_LIVE_CHARS:]
            self._put(call_id, cell_id, ToolCard(call_id, card.summary, "running", details))

    def finished(self, call_id: str, outcome: ToolOutcome, seconds: float) -> None:
        """A tool came to its end."""
        if call_id not in self._calls:
            return
        cell_id, card = self._calls[call_id]
        added = sum(change.added_lines for change in outcome.changes)
        removed = sum(change.removed_lines for change in outcome.changes)
        notes = []
        if outcome.changes:
            notes.append(f"+{added} −{removed}")
        if seconds >= 1:
            notes.append(f"{seconds:.0f} s")
        details = outcome.display or outcome.text
        is_diff = outcome.display_kind == "diff"
        card = ToolCard(call_id, card.summary, _state(outcome), details, is_diff, " · ".join(notes))
        self._put(call_id, cell_id, card)

    def approval(self, card_id: int, approval: Approval, answered: str) -> None:
        card = ApprovalCard(approval.request, approval.reason, answered)
        self._transcript.set_cells(card_id, [CustomCell("approval", card)])

    def question(self, card_id: int, question: Question, answered: str) -> None:
        card = QuestionCard(question.text, answered)
        self._transcript.set_cells(card_id, [CustomCell("question", card)])

    def todos(self, items: Sequence[Todo]) -> None:
        """The checklist, kept in one place."""
        if self._todos is None:
            self._todos = self.new_id()
        self._transcript.set_cells(self._todos, [CustomCell("todos", TodoCard(tuple(items)))])

    def tests(self, command: str, passed: bool, output: str) -> None:
        """The tests were run."""
        state: CardState = "done" if passed else "failed"
        words = "Tests pass" if passed else "Tests fail"
        card = ToolCard("", f"{words}: {command}", state, output)
        self._transcript.set_cells(self.new_id(), [CustomCell("tool", card)])

    def note(self, text: str, *, is_problem: bool = False) -> None:
        cell = NoticeCell("warning" if is_problem else "info", clean(text))
        self._transcript.set_cells(self.new_id(), [cell])

    def ended(self, event: RunEnded) -> None:
        """The last line of a request."""
        self.end_step()
        self._todos = None
        if event.status != "done":
            self.note(event.message, is_problem=event.status == "failed")
        self.note(end_words(event))

    def close(self) -> None:
        """Nothing more comes: what still looks busy is over."""
        self.end_step()
        for call_id, (cell_id, card) in list(self._calls.items()):
            if card.state == "running":
                stopped = ToolCard(call_id, card.summary, "stopped", card.details)
                self._put(call_id, cell_id, stopped)

    def _put(self, call_id: str, cell_id: int, card: ToolCard) -> None:
        self._calls[call_id] = (cell_id, card)
        self._transcript.set_cells(cell_id, [CustomCell("tool", card)])


def _state(outcome: ToolOutcome) -> CardState:
    if outcome.denied:
        return "denied"
    if outcome.stopped:
        return "stopped"
    return "failed" if outcome.is_error else "done"
