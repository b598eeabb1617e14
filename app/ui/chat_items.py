"""Stored messages as the transcript shows them. Pure."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import replace

from app.core.errors import (
    BadModelFile,
    ContextFull,
    EngineDied,
    GarretError,
    NoModelLoaded,
    OutOfMemory,
    error_from_json,
)
from app.session.context import RereadCost
from app.storage.values import AnswerDetails, StoredMessage
from app.ui.transcript.cells import NoticeCell, RoomCell
from app.ui.transcript.messages import MessageItem
from app.ui.words import count_words, duration_words, size_words, speed_words


def items_of(
    messages: Iterable[StoredMessage],
    problem_of: Callable[[int], GarretError | None] = lambda _message_id: None,
) -> list[MessageItem]:
    """A branch, oldest first; what neither speaker said is left out.

    `problem_of` says why a message is not on disk yet.
    """
    return [
        with_problem(item_of(stored, number), problem_of(stored.id))
        for number, stored in enumerate(messages)
        if stored.role in ("user", "assistant")
    ]


def item_of(stored: StoredMessage, number: int = 0) -> MessageItem:
    """One message; `number` counts those before it in the branch."""
    summary = stored.context_summary
    is_user = stored.role == "user"
    return MessageItem(
        id=stored.id,
        role="user" if is_user else "assistant",
        parts=stored.parts,
        state=stored.state,
        author="You" if is_user else (stored.details.model or "Garret"),
        time=time.strftime("%H:%M", time.localtime(stored.created_at)),
        index=stored.sibling_index,
        count=max(len(stored.sibling_ids), 1),
        summary="" if is_user else summary_of(stored.details),
        details=() if is_user else details_of(stored.details),
        notice=None if is_user else notice_of(stored),
        room=RoomCell(number, summary) if summary is not None else None,
    )


def with_problem(item: MessageItem, problem: GarretError | None) -> MessageItem:
    """The same message, with a word about why it is not on disk yet."""
    if problem is None:
        return item
    return replace(item, notice=unsaved_notice(problem))


def unsaved_notice(problem: GarretError) -> NoticeCell:
    """What stands under a message that could not be stored."""
    return NoticeCell("warning", problem.sentence, problem.remedy)


def summary_of(details: AnswerDetails) -> str:
    """One line under an answer."""
    words = []
    if details.write_tokens_per_s:
        words.append(speed_words(details.write_tokens_per_s))
    if details.completion_tokens:
        words.append(f"{count_words(details.completion_tokens)} tokens")
    return " · ".join(words)


def details_of(details: AnswerDetails) -> tuple[tuple[str, str], ...]:
    """Everything known about how an answer came about, as name and value."""
    rows: list[tuple[str, str]] = []
    if details.model:
        rows.append(("Model", details.model))
    if details.ttft_s is not None:
        rows.append(("First word after", duration_words(details.ttft_s)))
    if details.duration_s is not None:
        rows.append(("Took", duration_words(details.duration_s)))
    if details.prompt_tokens is not None:
        read = f"{count_words(details.prompt_tokens)} tokens"
        if details.cached_tokens:
            read += f", {count_words(details.cached_tokens)} of them reused"
        rows.append(("Read", read))
    if details.read_tokens_per_s:
        rows.append(("Reading speed", speed_words(details.read_tokens_per_s)))
    if details.completion_tokens is not None:
        rows.append(("Written", f"{count_words(details.completion_tokens)} tokens"))
    if details.write_tokens_per_s:
        rows.append(("Writing speed", speed_words(details.write_tokens_per_s)))
    if details.memory_bytes:
        rows.append(("Model in memory", size_words(details.memory_bytes)))
    if details.seed is not None:
        rows.append(("Seed", str(details.seed)))
    return tuple(rows)


def notice_of(stored: StoredMessage) -> NoticeCell | None:
    """What to say under an answer that did not end by itself."""
    details = stored.details
    if stored.state == "failed":
        error = error_from_json(dict(details.error)) if details.error else None
        return error_notice(error)
    if stored.state == "stopped":
        words = "Interrupted when Garret was closed." if details.interrupted else "Stopped."
        return NoticeCell("info", words)
    if details.finish_reason == "length":
        return NoticeCell(
            "warning", "The answer reached its length limit.", "", "continue", "Continue"
        )
    return None


def error_notice(error: GarretError | None) -> NoticeCell:
    """An error as a notice, with the button that helps most."""
    if error is None:
        return NoticeCell("error", "The answer failed.", "", "retry", "Try again")
    action, label = "retry", "Try again"
    if isinstance(error, NoModelLoaded | BadModelFile):
        action, label = "choose_model", "Choose a model"
    elif isinstance(error, OutOfMemory):
        action, label = "smaller_plan", "Try a smaller plan"
    elif isinstance(error, ContextFull):
        action, label = "context_full", "What can be done"
    elif isinstance(error, EngineDied):
        action, label = "retry", "Ask again"
    return NoticeCell("error", error.sentence, error.remedy, action, label)


def reread_words(cost: RereadCost) -> str:
    """What an action that breaks prompt reuse will cost with the next question."""
    words = f"The model will have to read {count_words(cost.tokens)} tokens again"
    if cost.seconds is not None:
        words += f", about {duration_words(cost.seconds)}"
    if cost.most_tokens > cost.tokens:
        words += f"; at worst {count_words(cost.most_tokens)}"
        if cost.most_seconds is not None:
            words += f" ({duration_words(cost.most_seconds)})"
        words += ", as this model can only go back to a point it has saved"
    return f"{words}."
