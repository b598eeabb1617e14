"""What fills the context, what an action would make the engine read again, and making room."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from app.core.errors import ContextFull, GarretError
from app.core.messages import AttachmentPart, Message
from app.core.ports import ChatEngine, TurnRequest
from app.session.history import branch_prompt, context_start, file_block
from app.storage.values import StoredMessage

WhenFull = Literal["stop", "drop_oldest", "summary"]
"""stop: `send` raises ContextFull and nothing is stored. drop_oldest: the oldest messages are no
longer read. summary: the model first writes a summary that stands for them. In both cases they
stay in the chat, and the first message still read carries `context_summary`."""

READY_TIMEOUT_S = 0.5
COUNT_TIMEOUT_S = 10.0
CHARS_PER_TOKEN = 3.5  # only where an engine cannot count: code is about 3, English about 4
KEEP_WHEN_DROPPING = 0.6  # of the context: dropping a little each turn would re-read it each turn
KEEP_WHEN_SUMMARISING = 0.25


def answer_reserve(context_tokens: int) -> int:
    """Tokens kept free for the answer: an eighth of the context, 256 to 1,024."""
    return max(min(256, context_tokens // 2), min(1024, context_tokens // 8))


def summary_limit(context_tokens: int) -> int:
    """The most tokens a summary may take: an eighth of the context, at most 512."""
    return min(512, context_tokens // 8)


@dataclass(frozen=True, slots=True)
class ContextUse:
    """Tokens by what they are. `total` is the real context length, 0 when not known.

    `is_estimate`: the engine could not count, so characters were.
    """

    total: int = 0
    system: int = 0
    files: int = 0
    history: int = 0
    question: int = 0
    reserve: int = 0
    is_estimate: bool = False

    @property
    def prompt(self) -> int:
        """Everything that would be sent."""
        return self.system + self.files + self.history + self.question

    @property
    def is_full(self) -> bool:
        """Whether no full answer fits after the prompt."""
        return 0 < self.total < self.prompt + self.reserve


@dataclass(frozen=True, slots=True)
class RereadCost:
    """What the engine has to read again. `seconds` is None while its speed is not known.

    `most_tokens` is more than `tokens` where the model cannot forget single tokens (a hybrid): it
    goes back to the last checkpoint the engine kept, at worst to the beginning.
    """

    tokens: int
    seconds: float | None
    most_tokens: int = 0

    @property
    def most_seconds(self) -> float | None:
        """The same for `most_tokens`."""
        if self.seconds is None or not self.tokens:
            return None
        return self.seconds * self.most_tokens / self.tokens


class TokenCounter:
    """Counts with the engine's own tokenizer and template, or by characters where it cannot."""

    def __init__(self, engine: ChatEngine, model: str) -> None:
        self._engine = engine
        self._model = model
        self.is_estimate = False

    async def total(self) -> int:
        """The context length; 0 when the engine cannot tell, or is not there yet.

        An engine that is still loading would make the user's message wait before it is stored;
        such an engine judges the length itself when it answers.
        """
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):  # 3.11's wait_for can eat a cancel
                return await self._engine.context_tokens(self._model) or 0
        except (GarretError, TimeoutError):
            return 0

    async def prompt(self, messages: Sequence[Message]) -> int:
        """Tokens of these messages as a prompt."""
        if not messages:
            return 0
        try:
            async with asyncio.timeout(COUNT_TIMEOUT_S):
                counted = await self._engine.count_tokens(TurnRequest(self._model, messages))
        except (GarretError, TimeoutError):
            counted = None  # no model, or no engine: asking will say so properly
        if counted is not None:
            return counted
        self.is_estimate = True
        return round(sum(len(m.text) + 16 for m in messages) / CHARS_PER_TOKEN)

    async def text(self, text: str) -> int:
        """Tokens of a text inside a prompt, without the template around it."""
        if not text:
            return 0
        bare = await self.prompt([Message.of("user", "")])
        return max(0, await self.prompt([Message.of("user", text)]) - bare)


async def measure_use(
    counter: TokenCounter,
    system_prompt: str,
    branch: Sequence[StoredMessage],
    question: Message | None,
) -> ContextUse:
    """What fills the context if `question` were sent at the end of `branch`."""
    start, _ = context_start(branch)
    files = [
        part
        for message in [*(stored.message for stored in branch[start:]), question]
        if message is not None
        for part in message.parts
        if isinstance(part, AttachmentPart)
    ]
    before = branch_prompt(system_prompt, branch)
    with_question = [*before, question_message(question)] if question is not None else before
    total = await counter.total()
    prompt_tokens = await counter.prompt(with_question)
    system_tokens = await counter.text(system_prompt) if system_prompt.strip() else 0
    file_tokens = await counter.text("\n\n".join(file_block(part) for part in files))
    question_tokens = await counter.text(question.text) if question is not None else 0
    return ContextUse(
        total=total,
        system=system_tokens,
        files=file_tokens,
        history=max(0, prompt_tokens - system_tokens - file_tokens - question_tokens),
        question=question_tokens,
        reserve=answer_reserve(total) if total else 0,
        is_estimate=counter.is_estimate,
    )


def question_message(question: Message) -> Message:
    """A question as the prompt will hold it."""
    return branch_prompt("", [StoredMessage(0, 0, None, question)])[0]


async def choose_start(
    counter: TokenCounter,
    system_prompt: str,
    branch: Sequence[StoredMessage],
    use: ContextUse,
    keep: float,
) -> int:
    """Index into `branch` of the first message to keep reading; its length keeps none.

    Cuts only before a user's message, and leaves room for the answer (and for a summary).

    Raises: ContextFull when the question alone does not fit.
    """
    if use.question + use.system + use.reserve > use.total:
        raise too_long(use)
    room = use.total - use.reserve - summary_limit(use.total) - use.question
    room = min(room, int(use.total * keep))
    start, _ = context_start(branch)
    cuts = [i for i in range(start + 1, len(branch)) if branch[i].role == "user"]
    low, high = 0, len(cuts)  # later cuts keep less: the first that fits is found by halving
    while low < high:
        middle = (low + high) // 2
        kept = branch_prompt(system_prompt, without_starts(branch[cuts[middle] :]))
        if await counter.prompt(kept) <= room:
            high = middle
        else:
            low = middle + 1
    return cuts[low] if low < len(cuts) else len(branch)


def surely_fits(prompt: Sequence[Message], total: int) -> bool:
    """Whether a prompt fits by its bytes alone: a token is at least one byte of text. The margin
    is for what a template adds."""
    size = sum(len(m.text.encode()) + 64 for m in prompt)
    return size + 1024 + answer_reserve(total) <= total


def without_starts(branch: Sequence[StoredMessage]) -> list[StoredMessage]:
    """The messages as if reading had never begun anew among them."""
    return [StoredMessage(m.id, m.chat_id, m.parent_id, m.message) for m in branch]


def too_long(use: ContextUse) -> ContextFull:
    """The error when the prompt does not fit."""
    return ContextFull(
        f"This chat fills the context: {use.prompt:,} of {use.total:,} tokens.",
        "Continue with a summary, leave out the oldest messages, or start a new chat.",
        prompt_tokens=use.prompt,
        context_tokens=use.total,
        reserve_tokens=use.reserve,
    )


def reading_speed(branch: Sequence[StoredMessage]) -> float | None:
    """Tokens the engine read per second in this chat: the median; None before the first."""
    known = [m.details.read_tokens_per_s for m in branch if m.details.read_tokens_per_s]
    return median(known) if known else None


def shared_messages(before: Sequence[Message], after: Sequence[Message]) -> int:
    """How many messages two prompts have in common from the start."""
    count = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        count += 1
    return count
