"""Draws what a chat session reports: questions, room being made, answers as they grow."""

from __future__ import annotations

import time
from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from app.core.errors import GarretError
from app.core.events import PromptProgress, TextDelta, ThinkingDelta, TurnEnded
from app.session.events import (
    AnswerEnded,
    AnswerProgress,
    AnswerStarted,
    MakingRoom,
    MessageStored,
    NotSaved,
    RoomMade,
    SavedAgain,
    SessionEvent,
)
from app.ui.chat_items import item_of, unsaved_notice, with_problem
from app.ui.chat_page import ChatPage
from app.ui.running_answer import RunningAnswer
from app.ui.transcript.cells import ProgressCell, RoomCell

_ROOM_ID = -1_000_000_000  # the cell that stands there while room is made


class AnswerDrawing(QObject):
    """One per chat page. Remembers in `RunningAnswer` also what is not on screen."""

    usage_known = Signal(object)  # TurnEnded of the open chat
    answer_ended = Signal()
    speed_known = Signal(float)  # about how many tokens per second are being written

    def __init__(self, page: ChatPage, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._page = page

    def replay(self, running: RunningAnswer) -> None:
        """An answer on its way, in a chat one has come back to."""
        if running.message is None:
            if running.making_room is not None:
                self._show_making_room(running.making_room)
            return
        message_id = running.message.id
        transcript = self._page.transcript
        self._page.show_transcript()
        transcript.begin_answer(item_of(running.message))
        if running.progress is not None:
            transcript.set_progress(message_id, running.progress)
        if running.unsaved is not None:
            transcript.set_note_under(message_id, unsaved_notice(running.unsaved))
        for is_thinking, text in running.pieces:
            if is_thinking:
                transcript.append_thinking(message_id, text)
            else:
                transcript.append_text(message_id, text)

    def take(self, running: RunningAnswer, event: SessionEvent, *, shown: bool) -> None:
        """One event; `shown` says whether its chat is the open one."""
        transcript = self._page.transcript
        match event:
            case MessageStored(message) if shown:
                self._page.show_transcript()
                transcript.add_before_queued(item_of(message))
                transcript.scroll_to_end()
            case MakingRoom(text):
                running.making_room = len(text.split())
                if shown:
                    self._show_making_room(running.making_room)
            case RoomMade(first_id, left_out, summary):
                running.making_room = None
                if shown:
                    self._show_room(first_id, RoomCell(left_out, summary))
            case AnswerStarted(message):
                running.message = message
                if shown:
                    self._page.show_transcript()
                    transcript.begin_answer(item_of(message))
            case AnswerProgress(message_id, inner):
                self._take_inner(running, shown, message_id, inner)
            case NotSaved(message_id, error):
                self._set_unsaved(running, shown, message_id, error)
            case SavedAgain(message_id):
                self._set_unsaved(running, shown, message_id, None)
            case AnswerEnded(message) if shown:
                transcript.remove_message(_ROOM_ID)
                transcript.end_answer(with_problem(item_of(message), running.unsaved))
                self.answer_ended.emit()
            case _:
                pass

    def _set_unsaved(
        self, running: RunningAnswer, shown: bool, message_id: int, problem: GarretError | None
    ) -> None:
        running.unsaved = problem
        if shown:
            note = unsaved_notice(problem) if problem is not None else None
            self._page.transcript.set_note_under(message_id, note)

    def _take_inner(
        self, running: RunningAnswer, shown: bool, message_id: int, event: object
    ) -> None:
        transcript = self._page.transcript
        match event:
            case PromptProgress():
                running.progress = event
                if shown:
                    transcript.set_progress(message_id, event)
            case TextDelta(text):
                running.pieces.append((False, text))
                speed = running.speed.add(len(text), time.monotonic())
                if shown:
                    transcript.append_text(message_id, text)
                    if speed is not None:
                        self.speed_known.emit(speed)
            case ThinkingDelta(text):
                running.pieces.append((True, text))
                if shown:
                    transcript.append_thinking(message_id, text)
            case TurnEnded() if shown:
                self.usage_known.emit(event)
            case _:
                pass

    def _show_making_room(self, word_count: int) -> None:
        words = self.tr("Summing up the older messages to make room…")
        if word_count:
            words += " " + self.tr("{count} words").format(count=word_count)
        self._page.show_transcript()
        self._page.transcript.set_cells(_ROOM_ID, [ProgressCell(None, words)])

    def _show_room(self, first_id: int, room: RoomCell) -> None:
        transcript = self._page.transcript
        transcript.remove_message(_ROOM_ID)
        item = transcript.item(first_id)
        if item is not None:
            transcript.set_message(replace(item, room=room))
