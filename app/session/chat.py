"""One conversation: stores what the user says, lets the engine answer, keeps every branch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from typing import TypeVar

from app.core.messages import AttachmentPart, Message, TextPart
from app.core.ports import ChatEngine, TurnRequest
from app.session.events import AnswerStarted, MessageStored, SessionEvent
from app.session.history import prompt_messages
from app.session.recorder import CHECKPOINT_S, AnswerRecorder
from app.storage.storage import Storage
from app.storage.values import AnswerDetails, StoredMessage

T = TypeVar("T")
SessionEvents = AsyncGenerator[SessionEvent, None]


class ChatSession:
    """Ties one stored chat to an engine. One answer at a time.

    The verbs that make the engine answer are async generators; they end with `AnswerEnded`.
    Engine problems do not raise: the answer ends as `failed` with `details.error`. A message
    that cannot be stored raises StorageError before anything is sent.
    Closing a generator, cancelling its task, or `stop` ends the answer and keeps what is written.
    """

    def __init__(
        self,
        engine: ChatEngine,
        storage: Storage,
        chat_id: int,
        *,
        default_model: str = "",
        checkpoint_s: float = CHECKPOINT_S,
    ) -> None:
        self.engine = engine
        self.chat_id = chat_id
        self.default_model = default_model
        self._storage = storage
        self._checkpoint_s = checkpoint_s
        self._is_busy = False
        self._recorder: AnswerRecorder | None = None

    @property
    def is_answering(self) -> bool:
        return self._is_busy

    async def branch(self) -> list[StoredMessage]:
        """The visible branch, oldest first."""
        return await self._storage.messages.branch(self.chat_id)

    async def send(self, text: str, attachments: Sequence[AttachmentPart] = ()) -> SessionEvents:
        """Adds a message at the end of the visible branch and answers it.

        Yields MessageStored, AnswerStarted, AnswerProgress…, AnswerEnded.
        """
        chat = await self._storage.chats.get(self.chat_id)
        async with aclosing(self._ask(chat.active_leaf, text, attachments)) as events:
            async for event in events:
                yield event

    async def edit(
        self, message_id: int, text: str, attachments: Sequence[AttachmentPart] | None = None
    ) -> SessionEvents:
        """Asks a question of the user's anew, as a sibling; its files stay unless given."""
        old = await self._storage.messages.get(message_id)
        if old.role != "user":
            raise ValueError("only the user's own messages are asked anew")
        kept = [part for part in old.parts if isinstance(part, AttachmentPart)]
        files = kept if attachments is None else attachments
        async with aclosing(self._ask(old.parent_id, text, files)) as events:
            async for event in events:
                yield event

    async def regenerate(self, message_id: int) -> SessionEvents:
        """Answers again: `message_id` is an answer (it gets a sibling) or a question.

        Yields AnswerStarted, AnswerProgress…, AnswerEnded.
        """
        target = await self._storage.messages.get(message_id)
        parent = target.id if target.role == "user" else target.parent_id
        self._claim()
        try:
            await self._storage.outbox.flush()
            details = await self._details()
            adding = self._storage.messages.add(
                self.chat_id, parent, Message("assistant", ()), state="streaming", details=details
            )
            answer = await self._placed(adding, lambda added: added)
            async with aclosing(self._answer(answer)) as events:
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

    async def _ask(
        self, parent_id: int | None, text: str, attachments: Sequence[AttachmentPart]
    ) -> SessionEvents:
        self._claim()
        try:
            await self._storage.outbox.flush()
            question = Message("user", (*attachments, TextPart(text)))
            asking = self._storage.messages.ask(
                self.chat_id, parent_id, question, await self._details()
            )
            asked, answer = await self._placed(asking, lambda pair: pair[1])
            async with aclosing(self._answer(answer, asked)) as events:
                async for event in events:
                    yield event
        finally:
            self._is_busy = False

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
        self, answer: StoredMessage, question: StoredMessage | None = None
    ) -> SessionEvents:
        recorder = self._recorder = self._new_recorder(answer)
        try:
            if question is not None:
                yield MessageStored(question)
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
        history = [stored.message for stored in await self.branch() if stored.id != answer.id]
        return TurnRequest(
            model=answer.details.model,
            messages=prompt_messages(chat.system_prompt, history),
            sampling=chat.sampling,
        )

    async def _details(self) -> AnswerDetails:
        chat = await self._storage.chats.get(self.chat_id)
        seed = chat.sampling.get("seed")
        return AnswerDetails(
            model=chat.model or self.default_model, seed=None if seed is None else int(seed)
        )
