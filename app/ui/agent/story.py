"""The run as a readable story in the transcript: prose as it streams, a card for each call."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QTimer

from app.agent.events import Approval, Question, RunEnded
from app.agent.types import Todo, ToolOutcome, visible
from app.core.events import PromptProgress
from app.core.messages import Message
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
_MAX_REPLAYED_CHARS = 2_000
_LIVE_MS = 100


class Story:
    """Turns what happens into cells; ids of cells rise by one."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        self._last_id = 0
        self._step: int | None = None
        self._text: list[str] = []
        self._calls: dict[str, tuple[int, ToolCard]] = {}
        self._todos: int | None = None
        self._queued: dict[int, str] = {}
        self._live: set[str] = set()
        self._output: dict[str, str] = {}
        self._frame = QTimer(transcript)
        self._frame.setSingleShot(True)
        self._frame.setInterval(_LIVE_MS)
        self._frame.timeout.connect(self._show_output)

    def new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def clear(self) -> None:
        """An empty story."""
        self._transcript.set_messages([])
        self._step, self._todos = None, None
        self._text.clear()
        self._calls.clear()
        self._queued.clear()
        self._output.clear()
        self._live.clear()

    def say(self, text: str) -> None:
        """What the person asked for."""
        self._transcript.set_cells(self.new_id(), [UserCell(clean(text))])

    def queue(self, text: str) -> None:
        """Said while it works; looks so until it is delivered."""
        cell_id = self.new_id()
        self._queued[cell_id] = text
        self._transcript.set_cells(cell_id, [UserCell(clean(text), is_queued=True)])

    def delivered(self) -> None:
        """The model has been told what was queued."""
        for cell_id, text in self._queued.items():
            self._transcript.set_cells(cell_id, [UserCell(clean(text))])
        self._queued.clear()

    def drop_queued(self) -> None:
        """What was queued was never heard; it is shown elsewhere again."""
        for cell_id in self._queued:
            self._transcript.remove_message(cell_id)
        self._queued.clear()

    def replay(self, messages: Sequence[Message]) -> None:
        """A conversation from an earlier start, in short."""
        for message in messages:
            text = message.text.strip()
            if message.role == "user" and text and not text.startswith("<tool_response>"):
                self.say(_shortened(_request_in(text)))
            elif message.role == "assistant":
                if text:
                    cells = list(markdown_cells(clean(text)))
                    self._transcript.set_cells(self.new_id(), cells)
                for call in message.tool_calls:
                    details = clean(call.arguments)[:_MAX_LIVE_CHARS]
                    card = ToolCard(call.call_id, call.name, "done", details)
                    self._transcript.set_cells(self.new_id(), [CustomCell("tool", card)])

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
        """More of what a command prints; drawn a few times a second."""
        if call_id in self._calls:
            self._output[call_id] = (self._output.get(call_id, "") + text)[-_MAX_LIVE_CHARS:]
            self._live.add(call_id)
            if not self._frame.isActive():
                self._frame.start()

    def _show_output(self) -> None:
        for call_id in self._live & self._calls.keys():
            cell_id, card = self._calls[call_id]
            if card.state == "running":
                details = visible(self._output[call_id])
                self._put(call_id, cell_id, ToolCard(call_id, card.summary, "running", details))
        self._live.clear()

    def finished(self, call_id: str, outcome: ToolOutcome, seconds: float) -> None:
        """A tool came to its end."""
        if call_id not in self._calls:
            return
        self._live.discard(call_id)
        self._output.pop(call_id, None)
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
        self.ask(card_id, QuestionCard(question.text, answered))

    def ask(self, card_id: int, card: QuestionCard) -> None:
        """A yes or no, perhaps answered already."""
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
        self._frame.stop()
        self._show_output()
        for call_id, (cell_id, card) in list(self._calls.items()):
            if card.state == "running":
                stopped = ToolCard(call_id, card.summary, "stopped", card.details)
                self._put(call_id, cell_id, stopped)

    def _put(self, call_id: str, cell_id: int, card: ToolCard) -> None:
        self._calls[call_id] = (cell_id, card)
        self._transcript.set_cells(cell_id, [CustomCell("tool", card)])


def _request_in(text: str) -> str:
    """What the person wrote, out of a first turn with facts about the folder around it."""
    text = text.partition("</environment>\n\n")[2] or text
    text = text.rpartition("\nTask: ")[2] or text
    return text.partition("\n\nWrite the code now.")[0]


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_REPLAYED_CHARS else f"{text[:_MAX_REPLAYED_CHARS]} …"


def _state(outcome: ToolOutcome) -> CardState:
    if outcome.denied:
        return "denied"
    if outcome.stopped:
        return "stopped"
    return "failed" if outcome.is_error else "done"
