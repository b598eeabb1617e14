"""An agent in one folder: one conversation, any number of requests, one at a time."""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Sequence
from datetime import date
from typing import Any

from app.agent import record
from app.agent.asking import ModelAnswer
from app.agent.events import AgentEvent, RunEnded, RunStarted, Tier, TierChosen
from app.agent.loop import NOT_RUN_STOPPED, ToolLoop
from app.agent.prompt import first_turn, json_system_prompt, system_prompt, whole_file_prompt
from app.agent.run import (
    AgentOptions,
    Conversation,
    Ended,
    Mailbox,
    Run,
    Stopped,
    response_message,
    result_message,
)
from app.agent.tiers import ModelTraits, TierChoice, choose_tier
from app.agent.types import Change, Hands
from app.agent.whole_file import CallsTools, WholeFileLoop
from app.core.errors import GarretError
from app.core.messages import Message
from app.core.ports import ChatEngine, RunHead, RunRecords, ToolSpec

_log = logging.getLogger(__name__)


class Agent:
    """Works for the user in the folder that `hands` hold.

    Args:
        traits: what is known of the model; decides the tier unless the options name one.
        records: where the run is written down as it happens; None keeps nothing.
        context_tokens: the model's real context; None where the engine cannot tell.
        run_id: goes on with a run that was interrupted, together with `messages`.
    """

    def __init__(
        self,
        engine: ChatEngine,
        hands: Hands,
        options: AgentOptions,
        *,
        traits: ModelTraits | None = None,
        records: RunRecords | None = None,
        context_tokens: int | None = None,
        run_id: str | None = None,
        messages: Sequence[Message] = (),
    ) -> None:
        self.run_id = run_id or uuid.uuid4().hex
        self._engine = engine
        self._hands = hands
        self._options = options
        self._records = records
        self._context_tokens = context_tokens
        self._is_new = run_id is None
        self._talk = Conversation(messages)
        self._mailbox = Mailbox()
        self._turn = sum(message.role == "user" for message in messages)
        self._busy = False
        self.choice: TierChoice = choose_tier(traits or ModelTraits(options.model), options.tier)

    @property
    def hands(self) -> Hands:
        return self._hands

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation as the engine is sent it."""
        return self._talk.messages

    def stop(self) -> None:
        """Ends what is going on at once; the conversation stays whole."""
        self._mailbox.stop.set()

    def say(self, text: str) -> None:
        """A message typed while the agent works; delivered after the current tool."""
        if text.strip():
            self._mailbox.said.append(text)

    def take_unsaid(self) -> tuple[str, ...]:
        """Messages that came too late to be delivered; they are the caller's again."""
        said = tuple(self._mailbox.said)
        self._mailbox.said.clear()
        return said

    async def send(self, text: str) -> AsyncGenerator[AgentEvent, None]:
        """Works on one request; the last event is RunEnded. Closing the iterator stops it."""
        if self._busy:
            raise RuntimeError("the agent is already working; use say()")
        self._busy = True
        self._mailbox.stop.clear()
        events: asyncio.Queue[AgentEvent | None] = asyncio.Queue()
        task = asyncio.create_task(self._request(text, events))
        task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            await task
        finally:
            if not task.done():
                self._mailbox.stop.set()
                task.cancel()
                await asyncio.wait({task})
            self._busy = False

    async def _request(self, text: str, events: asyncio.Queue[AgentEvent | None]) -> None:
        started = time.monotonic()
        run = Run(
            self.run_id,
            self._engine,
            self._hands,
            self._options,
            self._talk,
            self._mailbox,
            events.put_nowait,
            records=self._records,
            context_tokens=self._context_tokens,
        )
        try:
            await self._begin(text)
            self._turn += 1
            self._hands.begin_turn(self.run_id, self._turn)
            run.emit(
                RunStarted(self.run_id, self._options.model, self.choice.tier, self._context_tokens)
            )
            await run.note({"kind": "request", "text": text, "tier": self.choice.tier.value})
            ended = await self._work(run, text)
        except Stopped:
            ended = Ended("stopped", "Stopped.")
        except GarretError as error:
            ended = Ended("failed", str(error))
        except Exception:  # noqa: BLE001  # the owner of the run: a bug ends it, not the app
            _log.exception("the agent run %s failed", self.run_id)
            ended = Ended("failed", "Something went wrong inside Garret; the log says what.")
        await self._close_open_calls(run)
        await self._end(run, ended)
        run.emit(
            RunEnded(
                ended.status,
                ended.message,
                run.steps,
                run.tokens,
                await asyncio.to_thread(self._changes),
                time.monotonic() - started,
                dict(run.facts),
            )
        )

    async def _begin(self, text: str) -> None:
        if self._records is not None and self._is_new:
            await self._records.begin(
                RunHead(
                    self.run_id,
                    str(self._hands.workspace.root),
                    self._options.model,
                    str(self._hands.mode),
                    text,
                    time.time(),
                )
            )
        self._is_new = False

    async def _work(self, run: Run, text: str) -> Ended:
        if self.choice.tier is Tier.WHOLE_FILE:
            try:
                return await self._work_on_whole_files(run, text)
            except CallsTools as found:
                reason = "The model called a tool, so it is given tools."
                self.choice = TierChoice(Tier.NATIVE, reason)
                run.emit(TierChosen(Tier.NATIVE, reason))
                await run.restart(await asyncio.to_thread(self._opening, text))
                return await self._work_with_tools(run, text, found.answer)
        if not self._talk.messages:
            for message in await asyncio.to_thread(self._opening, text):
                await run.add(message)
        else:
            await run.add(Message.of("user", text))
        return await self._work_with_tools(run, text, None)

    async def _work_with_tools(self, run: Run, text: str, first: ModelAnswer | None) -> Ended:
        loop = ToolLoop(run, self.choice.tier, text)
        try:
            return await loop.work(first)
        finally:
            if loop.tier is not self.choice.tier:
                self.choice = TierChoice(loop.tier, "The engine takes no tools for this model.")

    async def _work_on_whole_files(self, run: Run, text: str) -> Ended:
        environment = ""
        if not self._talk.messages:
            system = await asyncio.to_thread(whole_file_prompt, self._hands.workspace)
            await run.add(Message.of("system", system))
        return await WholeFileLoop(run, text).work(environment)

    def _opening(self, text: str) -> list[Message]:
        specs: tuple[ToolSpec, ...] = self._hands.specs()
        jail = self._hands.workspace
        system = (
            json_system_prompt(jail, specs)
            if self.choice.tier is Tier.JSON
            else system_prompt(jail)
        )
        return [
            Message.of("system", system),
            Message.of("user", first_turn(text, self._hands, date.today())),  # noqa: DTZ011
        ]

    async def _close_open_calls(self, run: Run) -> None:
        """Gives every call a result, so that the conversation can go on."""
        for call in record.open_calls(self._talk.messages):
            try:
                await run.add(result_message(call, NOT_RUN_STOPPED, is_error=True))
            except GarretError:
                self._talk.add(result_message(call, NOT_RUN_STOPPED, is_error=True))
        last = self._talk.messages[-1:] and self._talk.messages[-1]
        if last and last.role == "assistant" and "<tool_call>" in last.text:
            self._talk.add(response_message([NOT_RUN_STOPPED]))

    async def _end(self, run: Run, ended: Ended) -> None:
        if self._records is None:
            return
        try:
            await run.note({"kind": "ended", "status": ended.status, "message": ended.message})
            await self._records.end(self.run_id, ended.status)
        except GarretError:
            run.count("records_failed")  # the work is done; the record alone is not

    def _changes(self) -> tuple[Change, ...]:
        """What is different now from before this request."""
        return self._hands.undo.changes(self.run_id, self._turn) or ()


async def resume(
    run_id: str, records: RunRecords, engine: ChatEngine, hands: Hands, **more: Any
) -> Agent | None:
    """The agent of an interrupted run with its conversation; None for an unknown run.

    `more` are the other arguments of `Agent`.
    """
    head = await records.head(run_id)
    if head is None:
        return None
    options = more.pop("options", None) or AgentOptions(model=head.model)
    messages = record.conversation(await records.entries(run_id))
    return Agent(engine, hands, options, records=records, run_id=run_id, messages=messages, **more)
