"""One conversation: stores what the user says, lets the engine answer, keeps every branch."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import TypeVar

from app.core.errors import GarretError
from app.core.messages import AttachmentPart, Message, TextPart
from app.core.ports import ChatEngine, TurnRequest
from app.core.prompt_states import tag_of
from app.session.context import (
    ContextUse,
    RereadCost,
    TokenCounter,
    WhenFull,
    measure_use,
    reading_speed,
    shared_messages,
)
from app.session.events import AnswerStarted, MessageStored, SessionEvent
from app.session.history import branch_prompt
from app.session.recorder import CHECKPOINT_S, AnswerRecorder
from app.session.room import RoomMaker, RoomPlan, plan_room
from app.storage.storage import Storage
from app.storage.values import AnswerDetails, StoredMessage

T = TypeVar("T")
_SEEDS = 2**31
SessionEvents = AsyncGenerator[SessionEvent, None]


class ChatSession:
    """Ties one stored chat to an engine. One answer at a time.

    The verbs that make the engine answer are async generators; they end with `AnswerEnded`.
    Engine problems do not raise: the answer ends as `failed` with `details.error`. A message
    that cannot be stored raises StorageError before anything is sent.
    `memory_bytes` is what the loaded model takes, for the details of its answers; `is_hybrid`
    says that it cannot forget single tokens, for the cost of going back.
    Closing a generator, cancelling its task, or `stop` ends the answer and keeps what is written.
    """

    def __init__(
        self,
        engine: ChatEngine,
        storage: Storage,
        chat_id: int,
        *,
        default_model: str = "",
        memory_bytes: int | None = None,
        is_hybrid: bool = False,
        checkpoint_s: float = CHECKPOINT_S,
    ) -> None:
        self.engine = engine
        self.chat_id = chat_id
        self.default_model = default_model
        self._storage = storage
        self._memory_bytes = memory_bytes
        self._is_hybrid = is_hybrid
        self._checkpoint_s = checkpoint_s
        self._is_busy = False
        self._recorder: AnswerRecorder | None = None

    @property
    def is_answering(self) -> bool:
        return self._is_busy

    async def branch(self) -> list[StoredMessage]:
        """The visible branch, oldest first."""
        return await self._storage.messages.branch(self.chat_id)

    async def send(
        self,
        text: str,
        attachments: Sequence[AttachmentPart] = (),
        *,
        when_full: WhenFull = "stop",
        queued_id: int | None = None,
    ) -> SessionEvents:
        """Adds a message at the end of the visible branch and answers it.

        Yields MessageStored, (MakingRoom…, RoomMade,) AnswerStarted, AnswerProgress…,
        AnswerEnded. `queued_id` is the queued message this was until now.

        Raises: ContextFull before anything is stored, when there is no room and `when_full` is
        "stop", or when the message alone is too long. Nothing is ever cut silently.
        """
        chat = await self._storage.chats.get(self.chat_id)
        question = Message("user", (*attachments, TextPart(text)))
        asking = self._ask(chat.active_leaf, question, when_full, queued_id)
        async with aclosing(asking) as events:
            async for event in events:
                yield event

    async def edit(
        self,
        message_id: int,
        text: str,
        attachments: Sequence[AttachmentPart] | None = None,
        *,
        when_full: WhenFull = "stop",
    ) -> SessionEvents:
        """Asks a question of the user's anew, as a sibling; its files stay unless given."""
        old = await self._storage.messages.get(message_id)
        if old.role != "user":
            raise ValueError("only the user's own messages are asked anew")
        kept = [part for part in old.parts if isinstance(part, AttachmentPart)]
        files = kept if attachments is None else attachments
        question = Message("user", (*files, TextPart(text)))
        async with aclosing(self._ask(old.parent_id, question, when_full)) as events:
            async for event in events:
                yield event

    async def regenerate(self, message_id: int, *, when_full: WhenFull = "stop") -> SessionEvents:
        """Answers again: `message_id` is an answer (it gets a sibling) or a question.

        Yields (MakingRoom…, RoomMade,) AnswerStarted, AnswerProgress…, AnswerEnded.

        Raises: ContextFull as `send` does.
        """
        target = await self._storage.messages.get(message_id)
        parent = target.id if target.role == "user" else target.parent_id
        self._claim()
        try:
            await self._storage.outbox.flush()
            question = await self._storage.messages.get(parent) if parent is not None else None
            room = None
            if question is not None and question.role == "user":
                room = await self._room_for(question.parent_id, question.message, when_full)
            details = await self._details()
            adding = self._storage.messages.add(
                self.chat_id, parent, Message("assistant", ()), state="streaming", details=details
            )
            answer = await self._placed(adding, lambda added: added)
            async with aclosing(self._answer(answer, question, room)) as events:
                async for event in events:
                    yield event
        finally:
            self._is_busy = False

    async def select_sibling(self, message_id: int) -> list[StoredMessage]:
        """Shows the branch through this sibling, and returns it."""
        return await self._storage.messages.show(message_id)

    async def stop(self) -> None:
        """Ends the running answer; its generator still yields AnswerEnded (`stopped`)."""
        if self._recorder is not None:
            await self._recorder.stop()

    def _claim(self) -> None:
        if self._is_busy:
            raise RuntimeError("this chat is already being answered")
        self._is_busy = True

    async def context_use(
        self, text: str = "", attachments: Sequence[AttachmentPart] = ()
    ) -> ContextUse:
        """What fills the context, were this sent now."""
        chat = await self._storage.chats.get(self.chat_id)
        question = Message("user", (*attachments, TextPart(text))) if text or attachments else None
        counter = TokenCounter(self.engine, chat.model or self.default_model)
        return await measure_use(counter, chat.system_prompt, await self.branch(), question)

    async def reread_cost(
        self, *, show: int | None = None, system_prompt: str | None = None, model: str | None = None
    ) -> RereadCost:
        """What the next answer must read again after an action that breaks prompt reuse:
        switching to the branch through message `show`, or a new system prompt or model."""
        chat = await self._storage.chats.get(self.chat_id)
        branch = await self.branch()
        before = branch_prompt(chat.system_prompt, branch)
        target = branch if show is None else await self._storage.messages.peek(show)
        prompt = chat.system_prompt if system_prompt is None else system_prompt
        after = branch_prompt(prompt, target)
        is_new_model = model is not None and model != (chat.model or self.default_model)
        shared = 0 if is_new_model else shared_messages(before, after)
        speed = None if is_new_model else reading_speed(branch)
        return await self._cost(after, shared, speed)

    async def asking_cost(self, message_id: int, *, is_edit: bool = False) -> RereadCost:
        """What must be read again to answer this anew (or, edited, to ask it anew): nothing but
        what the newest answer did not read, such as messages before a summary."""
        chat = await self._storage.chats.get(self.chat_id)
        branch = await self.branch()
        target = await self._storage.messages.get(message_id)
        last = target.id if target.role == "user" and not is_edit else target.parent_id
        path = [] if last is None else await self._storage.messages.path(last)
        before = branch_prompt(chat.system_prompt, branch)
        after = branch_prompt(chat.system_prompt, path)
        return await self._cost(after, shared_messages(before, after), reading_speed(branch))

    async def _cost(self, after: Sequence[Message], shared: int, speed: float | None) -> RereadCost:
        """Of the prompt `after` all but its first `shared` messages."""
        if shared == len(after):
            return RereadCost(0, 0.0)
        chat = await self._storage.chats.get(self.chat_id)
        counter = TokenCounter(self.engine, chat.model or self.default_model)
        total = tokens = await counter.prompt(after)
        if shared:
            tokens -= await counter.prompt(after[:shared])
        tokens = max(0, tokens)
        most = total if self._is_hybrid else tokens
        return RereadCost(tokens, tokens / speed if speed else None, most)

    async def _ask(
        self,
        parent_id: int | None,
        question: Message,
        when_full: WhenFull,
        queued_id: int | None = None,
    ) -> SessionEvents:
        self._claim()
        try:
            await self._storage.outbox.flush()
            room = await self._room_for(parent_id, question, when_full)
            asking = self._storage.messages.ask(
                self.chat_id, parent_id, question, await self._details(), queued_id
            )
            asked, answer = await self._placed(asking, lambda pair: pair[1])
            async with aclosing(self._answer(answer, asked, room, is_new=True)) as events:
                async for event in events:
                    yield event
        finally:
            self._is_busy = False

    async def _room_for(
        self, parent_id: int | None, question: Message, when_full: WhenFull
    ) -> RoomPlan | None:
        """What to leave out so that the question fits; None when it fits as it is."""
        chat = await self._storage.chats.get(self.chat_id)
        before = [] if parent_id is None else await self._storage.messages.path(parent_id)
        counter = TokenCounter(self.engine, chat.model or self.default_model)
        return await plan_room(counter, chat.system_prompt, before, question, when_full)

    async def _placed(
        self, write: Coroutine[None, None, T], answer_of: Callable[[T], StoredMessage]
    ) -> T:
        """Awaits the write that adds an empty answer; cancelled meanwhile, it ends as stopped."""
        task = asyncio.ensure_future(write)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await self._new_recorder(answer_of(await task)).stop()
            raise

    async def _answer(
        self,
        answer: StoredMessage,
        question: StoredMessage | None = None,
        room: RoomPlan | None = None,
        *,
        is_new: bool = False,
    ) -> SessionEvents:
        recorder = self._recorder = self._new_recorder(answer)
        try:
            if question is not None and is_new:
                yield MessageStored(question)
            if question is not None and room is not None:
                maker = RoomMaker(
                    self.engine,
                    self._storage.messages,
                    answer.details.model,
                    tag_of((await self._storage.chats.get(self.chat_id)).uid),
                )
                try:
                    async with aclosing(maker.make(room, question)) as steps:
                        async for step in steps:
                            yield step
                except GarretError as error:
                    yield await recorder.fail(error)
                    return
            yield AnswerStarted(answer)
            request = await self._request(answer)
            async with aclosing(recorder.events(request)) as events:
                async for event in events:
                    yield event
        finally:
            self._recorder = None
            await recorder.stop()

    def _new_recorder(self, answer: StoredMessage) -> AnswerRecorder:
        return AnswerRecorder(self.engine, self._storage.outbox, answer, self._checkpoint_s)

    async def _request(self, answer: StoredMessage) -> TurnRequest:
        chat = await self._storage.chats.get(self.chat_id)
        history = [stored for stored in await self.branch() if stored.id != answer.id]
        return TurnRequest(
            model=answer.details.model,
            messages=branch_prompt(chat.system_prompt, history),
            sampling={**chat.sampling, "seed": answer.details.seed or 0},
            conversation_tag=tag_of(chat.uid),
        )

    async def _details(self) -> AnswerDetails:
        chat = await self._storage.chats.get(self.chat_id)
        seed = chat.sampling.get(
            "seed"
        )  # else one of our own, so that it can be told and used again
        return AnswerDetails(
            model=chat.model or self.default_model,
            seed=random.randrange(_SEEDS) if seed is None else int(seed),  # noqa: S311
            memory_bytes=self._memory_bytes,
        )
