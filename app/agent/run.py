"""One request being worked on: what both ways of working (with and without tools) need.

Everything that waits (the model, a tool, a person) ends at once when `stop` is set.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from app.agent import record
from app.agent.asking import CHARS_PER_TOKEN, Asker, Emit, ModelAnswer
from app.agent.events import (
    Approval,
    CallFinished,
    CallOutput,
    CallProposed,
    Question,
    QuestionKind,
    RunStatus,
    StepEnded,
    StepStarted,
    Tier,
    TodosChanged,
    TokenCount,
    UserSaid,
)
from app.agent.types import (
    Answer,
    Change,
    Hands,
    PermissionRequest,
    Todo,
    ToolOutcome,
)
from app.core.messages import Message, TextPart, ToolCallPart, ToolResultPart
from app.core.ports import ChatEngine, RunRecords, ToolSpec, TurnRequest

T = TypeVar("T")

LARGEST_RESULT_CHARS = 10_000
SMALLEST_RESULT_CHARS = 1_000
_TOOL_STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """How an agent works. `tier` None means: chosen from the model.

    `retry_for_s` is how long an engine that answered before may be away; `test_command` is for
    the whole-file tier, empty means: found in the folder. `compact_at` is a share of the context.
    """

    model: str
    tier: Tier | None = None
    max_steps: int = 40
    max_test_rounds: int = 3
    test_command: str = ""
    test_timeout_s: float = 120.0
    retry_for_s: float = 60.0
    sampling: Mapping[str, float | int] = field(default_factory=dict)
    max_tokens: int | None = None
    compact_at: float = 0.75


class Stopped(Exception):
    """The user pressed Stop."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How the work came to its end."""

    status: RunStatus
    message: str


class Conversation:
    """The messages sent to the engine. They are only ever added to, or replaced as a whole."""

    def __init__(self, messages: Sequence[Message] = ()) -> None:
        self._messages = list(messages)
        self.used_tokens = 0  # as the engine counted when it last answered
        self.new_chars = 0  # added since then

    @property
    def messages(self) -> tuple[Message, ...]:
        return tuple(self._messages)

    def add(self, message: Message) -> None:
        self._messages.append(message)
        self.new_chars += message_chars(message)

    def counted(self, tokens: int) -> None:
        """The engine has just counted everything there is."""
        if tokens > 0:
            self.used_tokens, self.new_chars = tokens, 0

    def restart(self, messages: Sequence[Message]) -> None:
        """Replaces the conversation by a shorter one."""
        self._messages = list(messages)
        self.used_tokens = 0
        self.new_chars = sum(message_chars(message) for message in messages)

    @property
    def estimated_tokens(self) -> int:
        """Tokens of the next prompt: counted ones plus an estimate for what is new."""
        return self.used_tokens + int(self.new_chars / CHARS_PER_TOKEN)


def message_chars(message: Message) -> int:
    """Characters a message puts into the prompt, roughly."""
    return sum(
        len(getattr(part, "text", "")) + len(getattr(part, "arguments", "")) + 16
        for part in message.parts
    )


@dataclass(slots=True)
class Mailbox:
    """What the user typed while the agent worked, and whether Stop was pressed."""

    said: list[str] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)


class Run:
    """One request. `tokens`, `steps` and `changes` are its totals so far."""

    def __init__(
        self,
        run_id: str,
        engine: ChatEngine,
        hands: Hands,
        options: AgentOptions,
        talk: Conversation,
        mailbox: Mailbox,
        emit: Emit,
        *,
        records: RunRecords | None = None,
        context_tokens: int | None = None,
    ) -> None:
        self.run_id = run_id
        self.hands = hands
        self.options = options
        self.talk = talk
        self.mailbox = mailbox
        self.emit = emit
        self.context_tokens = context_tokens
        self.steps = 0
        self.tokens = TokenCount()
        self.changes: dict[str, Change] = {}
        self.facts: dict[str, int] = {}
        self._records = records
        self._used_ids: set[str] = {
            call.call_id for message in talk.messages for call in message.tool_calls
        }
        self._asker = Asker(
            engine,
            emit,
            retry_for_s=options.retry_for_s,
            hide_calls_of=[spec.name for spec in hands.specs()],
        )

    async def note(self, entry: Mapping[str, Any]) -> None:
        """Writes one entry of the run's record."""
        if self._records is not None:
            await self._records.append(self.run_id, entry)

    async def add(self, message: Message) -> None:
        """Appends to the conversation, written down first."""
        await self.note(record.message_entry(message))
        self.talk.add(message)

    async def restart(self, messages: Sequence[Message]) -> None:
        """Replaces the conversation, written down first."""
        await self.note(record.tidied_entry(messages))
        self.talk.restart(messages)

    def count(self, fact: str) -> None:
        """Counts something worth reporting (corrections, denied calls …)."""
        self.facts[fact] = self.facts.get(fact, 0) + 1

    async def ask(
        self,
        tools: Sequence[ToolSpec] = (),
        *,
        tool_choice: str = "auto",
        response_schema: Mapping[str, Any] | None = None,
        temperature: float | None = None,
        counts_as_step: bool = True,
        enough: Callable[[str], bool] = lambda text: False,
    ) -> ModelAnswer:
        """The model's next answer; the caller adds it to the conversation.

        `enough` looks at the growing text and may end the answer early.

        Raises:
            Stopped: the user pressed Stop; the engine was told at once.
            GarretError: the engine refused or stayed away.
        """
        if counts_as_step:
            self.steps += 1
            self.emit(StepStarted(self.steps))
        sampling = dict(self.options.sampling)
        if temperature is not None:
            sampling["temperature"] = temperature
        request = TurnRequest(
            model=self.options.model,
            messages=self.talk.messages,
            tools=tuple(tools),
            tool_choice=tool_choice,
            sampling=sampling,
            max_tokens=self.options.max_tokens,
            response_schema=response_schema,
        )
        started = time.monotonic()
        answer = await self.or_stop(self._asker.ask(request, enough))
        answer.calls = [self._with_new_id(call) for call in answer.calls]
        self.tokens += answer.tokens
        self.talk.counted(answer.prompt_tokens)
        if counts_as_step:
            seconds = time.monotonic() - started
            self.emit(StepEnded(self.steps, answer.tokens, seconds))
            await self.note(
                {
                    "kind": "step",
                    "number": self.steps,
                    "evaluated": answer.tokens.evaluated,
                    "reused": answer.tokens.reused,
                    "written": answer.tokens.written,
                }
            )
        return answer

    async def execute(self, call: ToolCallPart, why: str = "") -> ToolOutcome:
        """One call through the hands, shown on the way. On Stop the tool is told to end."""
        summary = self.hands.summary(call)
        self.emit(CallProposed(call, self.hands.kind_of(call.name), summary))
        started = time.monotonic()

        def output(text: str) -> None:
            self.emit(CallOutput(call.call_id, text))

        task = asyncio.ensure_future(
            self.hands.execute(
                call,
                asker=_Cards(self),
                cancel=self.mailbox.stop,
                why=why,
                output=output,
                budget_chars=self.budget_chars(),
            )
        )
        stop = asyncio.ensure_future(self.mailbox.stop.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():  # the tool has the same event and should end by itself
                await asyncio.wait({task}, timeout=_TOOL_STOP_S)
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
            outcome = (
                ToolOutcome("Stopped by the user.", is_error=True, stopped=True)
                if task.cancelled()
                else task.result()
            )
        finally:
            stop.cancel()
            if not task.done():  # this request itself was cancelled: nothing may outlive it
                task.cancel()
                await asyncio.wait({task}, timeout=_TOOL_STOP_S)
        self._note_outcome(call, outcome)
        self.emit(CallFinished(call, outcome, time.monotonic() - started))
        return outcome

    async def ask_permission(self, request: PermissionRequest, reason: str) -> Answer:
        """Shows a card and waits; Stop means deny."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.emit(Approval(request, reason, future))
        try:
            return await self.or_stop(_wait(future))
        except Stopped:
            return Answer("deny", "The user stopped the run.")
        finally:
            future.cancel()

    async def question(self, kind: QuestionKind, text: str) -> bool:
        """Asks the user; Stop means no."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.emit(Question(kind, text, future))
        try:
            return await self.or_stop(_wait(future))
        finally:
            future.cancel()

    async def deliver_said(self) -> bool:
        """Hands the messages typed meanwhile to the model; False when there were none."""
        if not self.mailbox.said:
            return False
        text = "\n\n".join(self.mailbox.said)
        self.mailbox.said.clear()
        await self.add(Message.of("user", text))
        self.emit(UserSaid(text))
        return True

    def budget_chars(self) -> int:
        """The most text one result may add: an eighth of the free context, within bounds."""
        if self.context_tokens is None:
            return LARGEST_RESULT_CHARS
        free = max(0, self.context_tokens - self.talk.estimated_tokens)
        share = int(free / 8 * CHARS_PER_TOKEN)
        return max(SMALLEST_RESULT_CHARS, min(LARGEST_RESULT_CHARS, share))

    async def or_stop(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, or Stopped as soon as Stop is pressed."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self.mailbox.stop.wait())
        try:
            await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
            if self.mailbox.stop.is_set() and not task.done():
                raise Stopped
            return task.result()
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})

    def _with_new_id(self, call: ToolCallPart) -> ToolCallPart:
        call_id = call.call_id
        number = 1
        while call_id in self._used_ids:
            number += 1
            call_id = f"{call.call_id}_{number}"
        self._used_ids.add(call_id)
        return call if call_id == call.call_id else replace(call, call_id=call_id)

    def _note_outcome(self, call: ToolCallPart, outcome: ToolOutcome) -> None:
        for change in outcome.changes:
            self.changes[change.path] = change
        self.count("tool_errors" if outcome.is_error else "tool_calls_ok")
        if outcome.denied:
            self.count("denied")
        if call.name == "todo_write" and not outcome.is_error:
            self.emit(TodosChanged(_todos(call.arguments)))


class _Cards:
    """The run as the hands see it: somebody who can be asked for permission."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def ask(self, request: PermissionRequest, reason: str) -> Answer:
        return await self._run.ask_permission(request, reason)


def result_message(call: ToolCallPart, text: str, *, is_error: bool) -> Message:
    """What a native call is answered with."""
    return Message("tool", (ToolResultPart(call.call_id, call.name, text, is_error),))


def response_message(texts: Sequence[str]) -> Message:
    """What calls that stood in the text are answered with: a user turn in Hermes' form."""
    body = "\n".join(f"<tool_response>\n{text}\n</tool_response>" for text in texts)
    return Message("user", (TextPart(body),))


async def _wait(future: asyncio.Future[T]) -> T:
    return await asyncio.shield(future)


def _todos(arguments: str) -> tuple[Todo, ...]:
    try:
        items = json.loads(arguments).get("todos", [])
    except (ValueError, AttributeError):
        return ()
    result = []
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and isinstance(item.get("content"), str):
            status = item.get("status")
            if status == "in_progress" or status == "completed":
                result.append(Todo(item["content"], status))
            else:
                result.append(Todo(item["content"]))
    return tuple(result)
