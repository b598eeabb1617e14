"""Ties stored chats and their sessions to the chat page. Holds no widgets of its own.

Answers go on when the user looks at another chat: each runs in a task named `answer-<chat id>` of
the task owner, and what it said is shown again when the user comes back.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing, suppress

from PySide6.QtCore import QObject, QTimer, Signal

from app.core.errors import ContextFull, GarretError, StorageError
from app.core.messages import AttachmentPart, Message, TextPart
from app.session.chat import ChatSession
from app.session.context import WhenFull
from app.session.events import AnswerStarted, SessionEvent
from app.storage.values import Chat, StoredMessage
from app.ui.answer_drawing import AnswerDrawing
from app.ui.chat_items import items_of
from app.ui.chat_page import ChatPage
from app.ui.ports import ChatServices
from app.ui.reuse_guard import ReuseGuard
from app.ui.running_answer import Refused, RunningAnswer
from app.ui.tasks import TaskOwner
from app.ui.transcript.messages import MessageItem

_DRAFT_DELAY_MS = 400


class ChatController(QObject):
    """Opens chats, sends, stops, answers again, edits, switches siblings, keeps drafts."""

    chats_changed = Signal()
    chat_opened = Signal(object)  # Chat, or None for a new one
    answering_changed = Signal()
    usage_known = Signal(object)  # TurnEnded of the open chat
    answer_ended = Signal()
    speed_known = Signal(float)  # about how many tokens per second are being written
    problem = Signal(object)  # GarretError that belongs to no message

    def __init__(
        self,
        page: ChatPage,
        services: ChatServices,
        tasks: TaskOwner,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(parent)
        self._page = page
        self._services = services
        self._storage = services.storage
        self._tasks = tasks
        self._running: dict[int, RunningAnswer] = {}
        self.chat: Chat | None = None
        self.branch: list[StoredMessage] = []
        self._pending: tuple[str, Mapping[str, float | int]] = ("", {})
        self._draft_timer = QTimer(self)
        self._draft_timer.setSingleShot(True)
        self._draft_timer.setInterval(_DRAFT_DELAY_MS)
        self._draft_timer.timeout.connect(self.save_draft)
        self._refused: Refused | None = None
        self._guard = ReuseGuard(page.cost, tasks, self)
        self._drawing = AnswerDrawing(page, self)
        self._drawing.usage_known.connect(self.usage_known)
        self._drawing.answer_ended.connect(self.answer_ended)
        self._drawing.speed_known.connect(self.speed_known)
        services.storage.outbox.listeners.append(self._on_saved)
        page.room.chosen.connect(self._on_room_chosen)
        page.composer.submitted.connect(self._on_submitted)
        page.composer.stop_requested.connect(self.stop)
        page.composer.edited.connect(lambda _text: self._draft_timer.start())

    # -- chats ------------------------------------------------------------------------------

    @property
    def chat_id(self) -> int | None:
        return self.chat.id if self.chat is not None else None

    @property
    def busy_chats(self) -> frozenset[int]:
        """Chats an answer is being written in."""
        return frozenset(self._running)

    @property
    def is_answering(self) -> bool:
        """Whether the open chat is being answered."""
        return self.chat_id in self._running

    def new_chat(self) -> None:
        """An empty page; the chat is stored with its first message."""
        self.save_draft()
        self._show(None, [])
        self._page.composer.set_text("")
        self.chat_opened.emit(None)

    def open_chat(self, chat_id: int, message_id: int | None = None) -> None:
        """Shows a stored chat, at a message if one is given."""
        if chat_id == self.chat_id and message_id is None:
            return
        self.save_draft()
        self._tasks.start("open-chat", self._open(chat_id, message_id))

    async def _open(self, chat_id: int, message_id: int | None) -> None:
        chat = await self._storage.chats.get(chat_id)
        if message_id is not None:
            branch = await self._storage.messages.show(message_id)
        else:
            branch = await self._storage.messages.branch(chat_id)
        queued = await self._storage.queue.list(chat_id)
        self._show(chat, branch)
        for waiting in queued:
            self._show_queued(waiting.id, waiting.message)
        self._page.composer.set_text(chat.draft)
        if message_id is not None:
            self._page.transcript.scroll_to_message(message_id)
        self.chat_opened.emit(chat)

    def _show(self, chat: Chat | None, branch: list[StoredMessage]) -> None:
        outbox = self._storage.outbox
        self.chat = chat
        self.branch = branch = [outbox.newest(message) for message in branch]
        self._guard.forget()
        self._page.room.hide()
        running = self._running.get(chat.id) if chat is not None else None
        live_id = running.message.id if running and running.message else None
        shown = (message for message in branch if message.id != live_id)
        self._page.show_messages(items_of(shown, outbox.problem_of))
        if running is not None:
            self._drawing.replay(running)
        self._after_change()

    def _on_saved(self, message_id: int) -> None:
        """An answer that found no room on the disk is stored now."""
        item = next((one for one in items_of(self.branch) if one.id == message_id), None)
        if item is not None and not self.is_answering:
            self._page.transcript.set_message(item)

    def save_draft(self) -> None:
        """Stores what stands in the composer with its chat."""
        self._draft_timer.stop()
        text = self._page.composer.current_text
        if self.chat is not None and text != self.chat.draft:
            chat_id = self.chat.id
            self._tasks.start(f"draft-{chat_id}", self._save_draft(chat_id, text))

    async def _save_draft(self, chat_id: int, text: str) -> None:
        chat = await self._storage.chats.update(chat_id, draft=text)
        if self.chat is not None and self.chat.id == chat_id:
            self.chat = chat

    @property
    def tuning(self) -> tuple[str, Mapping[str, float | int]]:
        """Instructions and sampling of the open chat."""
        if self.chat is not None:
            return self.chat.system_prompt, self.chat.sampling
        return self._pending

    def set_tuning(self, instructions: str, sampling: dict[str, float | int]) -> None:
        """Keeps them with the chat; a new chat takes them along when it is stored."""
        if self.chat is None:
            self._pending = (instructions, sampling)
        else:
            self._tasks.start("tune", self._tune(self.chat.id, instructions, sampling))

    async def _tune(
        self, chat_id: int, instructions: str, sampling: dict[str, float | int]
    ) -> None:
        chat = await self._storage.chats.update(
            chat_id, system_prompt=instructions, sampling=sampling
        )
        if self.chat_id == chat_id:
            self.chat = chat

    @property
    def has_unsaved(self) -> bool:
        """Whether an answer waits for room on the disk."""
        return not self._storage.outbox.is_empty

    async def until_drafts_saved(self) -> None:
        """For the end of the window: what was typed last is on disk, if there is room."""
        if self.chat_id is not None:
            with suppress(StorageError):
                await self._save_draft(self.chat_id, self._page.composer.current_text)

    # -- asking -----------------------------------------------------------------------------

    def _on_submitted(self, text: str, attachments: tuple[AttachmentPart, ...]) -> None:
        edited = self._page.composer.editing
        self._page.composer.end_edit()
        self._page.composer.clear()
        if edited is not None:
            self.edit(edited, text)
        else:
            self.send(text, attachments)

    def send(self, text: str, attachments: tuple[AttachmentPart, ...] = ()) -> None:
        """Asks in the open chat, or queues the question while an answer is being written."""
        if self.chat is not None and self.is_answering:
            message = Message("user", (*attachments, TextPart(text)))
            self._tasks.start(f"queue-{id(message)}", self._queue(self.chat.id, message))
            return
        name = f"answer-{self.chat_id}" if self.chat else "answer-new"
        self._tasks.start(name, self._send(self.chat, text, attachments))

    async def _send(
        self,
        chat: Chat | None,
        text: str,
        attachments: tuple[AttachmentPart, ...],
        when_full: WhenFull = "stop",
    ) -> None:
        try:
            if chat is None:
                instructions, sampling = self._pending
                chat = await self._storage.chats.create(
                    system_prompt=instructions or self._services.standing_instructions(),
                    sampling=sampling,
                )
                self._pending = ("", {})
                self.chat = chat
                self.chat_opened.emit(chat)
            session = self._session(chat.id)
            events = session.send(text, attachments, when_full=when_full)
            await self._run(chat.id, session, events)
        except ContextFull as error:
            again = Refused(
                text, attachments, lambda how: self._send_again(chat, text, attachments, how)
            )
            self._ask_for_room(again, error, can_help=when_full == "stop")
        except GarretError as error:
            self._give_back(text, attachments)
            self.problem.emit(error)

    def _give_back(self, text: str, attachments: Iterable[AttachmentPart]) -> None:
        """What could not be sent stands in the composer again, before what was typed since."""
        composer = self._page.composer
        typed = composer.current_text.strip()
        composer.set_text(f"{text}\n\n{typed}" if typed else text)
        for part in attachments:
            composer.files.add(part)

    def _send_again(
        self,
        chat: Chat | None,
        text: str,
        attachments: tuple[AttachmentPart, ...],
        when_full: WhenFull,
    ) -> None:
        if chat is not None and self.chat_id == chat.id:
            work = self._send(chat, text, attachments, when_full)
            self._tasks.start(f"answer-{chat.id}", work)

    def _ask_for_room(self, refused: Refused, error: ContextFull, *, can_help: bool) -> None:
        self._give_back(refused.text, refused.attachments)
        if can_help and self.branch:
            self._refused = refused
            self._page.room.ask(str(error.sentence))
        else:
            self.problem.emit(error)

    def _on_room_chosen(self, choice: str) -> None:
        refused, self._refused = self._refused, None
        if refused is None or choice not in ("summary", "drop_oldest", "new_chat"):
            return
        self._page.composer.end_edit()
        self._page.composer.clear()
        if choice == "new_chat":
            self.new_chat()
            self._give_back(refused.text, refused.attachments)
        else:
            refused.again("summary" if choice == "summary" else "drop_oldest")

    async def _queue(self, chat_id: int, message: Message) -> None:
        try:
            waiting = await self._storage.queue.add(chat_id, message)
        except GarretError as error:
            self._give_back(
                message.text, [part for part in message.parts if isinstance(part, AttachmentPart)]
            )
            self.problem.emit(error)
            return
        if self.chat_id == chat_id:
            self._show_queued(waiting.id, message)

    def _show_queued(self, queued_id: int, message: Message) -> None:
        self._page.show_transcript()
        item = MessageItem(-queued_id, "user", message.parts, "queued", "You")
        self._page.transcript.set_message(item)

    def unqueue(self, message_id: int) -> None:
        """Takes a waiting message back into the composer."""
        item = self._page.transcript.item(message_id)
        if item is not None and item.state == "queued":
            self._page.transcript.remove_message(message_id)
            self._page.composer.set_text(item.text)
            self._tasks.start(f"unqueue{message_id}", self._storage.queue.remove(-message_id))

    def regenerate(self, message_id: int) -> None:
        """Another answer beside this one; asks first when much must be read again."""
        if self.chat is None or self.is_answering:
            return
        chat_id = self.chat.id
        cost = self._session(chat_id).asking_cost(message_id)
        self._guard.run(cost, lambda: self._regenerate(chat_id, message_id))

    def _regenerate(self, chat_id: int, message_id: int, when_full: WhenFull = "stop") -> None:
        if self.chat_id != chat_id or self.is_answering:
            return
        session = self._session(chat_id)
        self._page.transcript.remove_from(message_id)
        events = session.regenerate(message_id, when_full=when_full)
        refused = Refused("", (), lambda how: self._regenerate(chat_id, message_id, how))
        self._start(chat_id, session, events, refused if when_full == "stop" else None)

    def retry(self, message_id: int) -> None:
        """After a failure: the same as answering again."""
        self.regenerate(message_id)

    def edit(self, message_id: int, text: str) -> None:
        """The question anew, as a sibling; asks first when much must be read again."""
        if self.chat is None or self.is_answering:
            return
        chat_id = self.chat.id
        cost = self._session(chat_id).asking_cost(message_id, is_edit=True)
        self._guard.run(
            cost,
            lambda: self._edit(chat_id, message_id, text),
            lambda: self._page.composer.begin_edit(message_id, text),
        )

    def _edit(self, chat_id: int, message_id: int, text: str, when_full: WhenFull = "stop") -> None:
        if self.chat_id != chat_id or self.is_answering:
            return
        session = self._session(chat_id)
        self._page.transcript.remove_from(message_id)
        events = session.edit(message_id, text, when_full=when_full)
        refused = Refused(text, (), lambda how: self._edit(chat_id, message_id, text, how))
        self._start(chat_id, session, events, refused if when_full == "stop" else None)

    def select_sibling(self, message_id: int, step: int) -> None:
        """Shows the branch through the sibling before (-1) or after (1)."""
        if self.chat is None or self.is_answering:
            return
        self._tasks.start("sibling", self._select(self.chat, message_id, step))

    async def _select(self, chat: Chat, message_id: int, step: int) -> None:
        stored = await self._storage.messages.get(message_id)
        at = stored.sibling_index + step
        if not 0 <= at < len(stored.sibling_ids):
            return
        sibling_id = stored.sibling_ids[at]
        self._guard.run(
            self._session(chat.id).reread_cost(show=sibling_id),
            lambda: self._tasks.start("sibling", self._go(chat, sibling_id)),
        )

    async def _go(self, chat: Chat, sibling_id: int) -> None:
        branch = await self._session(chat.id).select_sibling(sibling_id)
        if self.chat_id == chat.id:
            following = self._page.transcript.is_following
            self._show(chat, branch)
            if not following:
                self._page.transcript.scroll_to_message(sibling_id)

    def stop(self) -> None:
        """Ends the answer of the open chat; what is written stays."""
        running = self._running.get(self.chat_id) if self.chat_id is not None else None
        if running is not None:
            self._tasks.start(f"stop-{self.chat_id}", running.session.stop())

    # -- answering --------------------------------------------------------------------------

    def _session(self, chat_id: int) -> ChatSession:
        loaded = self._services.control.view.model
        return ChatSession(
            self._services.engine,
            self._storage,
            chat_id,
            default_model=loaded.model_id if loaded else "",
            memory_bytes=loaded.memory_bytes or None if loaded else None,
            is_hybrid=loaded is not None and loaded.is_hybrid,
        )

    def _start(
        self,
        chat_id: int,
        session: ChatSession,
        events: AsyncGenerator[SessionEvent, None],
        refused: Refused | None,
    ) -> None:
        work = self._guarded(chat_id, session, events, refused)
        self._tasks.start(f"answer-{chat_id}", work)

    async def _guarded(
        self,
        chat_id: int,
        session: ChatSession,
        events: AsyncGenerator[SessionEvent, None],
        refused: Refused | None,
    ) -> None:
        try:
            await self._run(chat_id, session, events)
        except GarretError as error:
            if self.chat is not None and self.chat_id == chat_id:  # as it was before
                self._show(self.chat, await self._storage.messages.branch(chat_id))
            if isinstance(error, ContextFull) and refused is not None and self.chat_id == chat_id:
                self._ask_for_room(refused, error, can_help=True)
            else:
                self.problem.emit(error)

    async def _run(
        self, chat_id: int, session: ChatSession, events: AsyncGenerator[SessionEvent, None]
    ) -> None:
        running = self._running[chat_id] = RunningAnswer(session)
        self._after_change()
        self.chats_changed.emit()
        try:
            async with aclosing(events) as source:
                async for event in source:
                    self._drawing.take(running, event, shown=self.chat_id == chat_id)
                    if isinstance(event, AnswerStarted):
                        self.chats_changed.emit()
        finally:
            self._running.pop(chat_id, None)
            self._after_change()
            self.chats_changed.emit()
        await self._refresh(chat_id)
        await self._send_queued(chat_id)

    async def _refresh(self, chat_id: int) -> None:
        branch = await self._storage.messages.branch(chat_id)
        chat = await self._storage.chats.get(chat_id)
        if self.chat_id == chat_id:
            self.chat = chat
            self.branch = [self._storage.outbox.newest(message) for message in branch]
            self._after_change()
            self.chats_changed.emit()

    async def _send_queued(self, chat_id: int) -> None:
        waiting = await self._storage.queue.list(chat_id)
        if not waiting:
            return
        first = waiting[0]
        if self.chat_id == chat_id:
            self._page.transcript.remove_message(-first.id)
        files = tuple(p for p in first.message.parts if isinstance(p, AttachmentPart))
        session = self._session(chat_id)
        events = session.send(first.message.text, files, queued_id=first.id)
        try:
            await self._run(chat_id, session, events)
        except ContextFull as error:
            await self._storage.queue.remove(first.id)
            if self.chat is not None and self.chat_id == chat_id:
                chat, text = self.chat, first.message.text
                again = Refused(text, files, lambda how: self._send_again(chat, text, files, how))
                self._ask_for_room(again, error, can_help=True)
        except GarretError as error:  # it waits on
            if self.chat_id == chat_id:
                self._show_queued(first.id, first.message)
            self.problem.emit(error)

    def _after_change(self) -> None:
        self._page.composer.set_running(self.is_answering)
        said = [m.text for m in self.branch if m.role == "user" and m.text.strip()]
        self._page.composer.set_history(said)
        self.answering_changed.emit()
