"""Room in a full context, made where everybody can see it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from app.core.events import TextDelta
from app.core.messages import Message
from app.core.ports import ChatEngine, TurnRequest
from app.session.context import (
    KEEP_WHEN_DROPPING,
    KEEP_WHEN_SUMMARISING,
    TokenCounter,
    WhenFull,
    choose_start,
    measure_use,
    question_message,
    summary_limit,
    surely_fits,
    too_long,
    without_starts,
)
from app.session.events import MakingRoom, RoomMade
from app.session.history import branch_prompt, context_start
from app.storage.tree import MessageTree
from app.storage.values import StoredMessage

_SUMMARISE = (
    "Before we go on: summarise our conversation so far in at most 300 words, for yourself. Keep"
    " names, decisions, numbers, file names and open questions. Write only the summary."
)


@dataclass(frozen=True, slots=True)
class RoomPlan:
    """What to leave out: `branch[:start]` of the messages before the question.

    `to_summarise` is the prompt the summary continues; empty when nothing is summarised.
    """

    branch: Sequence[StoredMessage]
    start: int
    to_summarise: Sequence[Message] = ()
    summary_tokens: int = 0


async def plan_room(
    counter: TokenCounter,
    system_prompt: str,
    branch: Sequence[StoredMessage],
    question: Message,
    when_full: WhenFull,
) -> RoomPlan | None:
    """How to fit the question after this branch; None when it fits, or nobody can tell.

    Raises: ContextFull for "stop", or when the question alone is too long.
    """
    total = await counter.total()
    prompt = [*branch_prompt(system_prompt, branch), question_message(question)]
    if not total or surely_fits(prompt, total):
        return None
    use = await measure_use(counter, system_prompt, branch, question)
    if use.is_estimate or not use.is_full:
        return None
    if when_full == "stop" or not branch:
        raise too_long(use)
    keep = KEEP_WHEN_SUMMARISING if when_full == "summary" else KEEP_WHEN_DROPPING
    start = await choose_start(counter, system_prompt, branch, use, keep)
    if when_full == "drop_oldest":
        return RoomPlan(branch, start)
    prompt = await _summary_prompt(counter, system_prompt, branch, total)
    return RoomPlan(branch, start, prompt, summary_limit(total))


async def _summary_prompt(
    counter: TokenCounter, system_prompt: str, branch: Sequence[StoredMessage], total: int
) -> list[Message]:
    """The live prompt continued, so that the engine has read it already; without the oldest
    messages only where even that is too long."""
    first, _ = context_start(branch)
    cuts = [first, *(i for i in range(first + 1, len(branch)) if branch[i].role == "user")]
    for cut in cuts:
        kept = branch[cut:] if cut == first else without_starts(branch[cut:])
        messages = branch_prompt(system_prompt, kept)
        asked = [*messages, Message.of("user", _SUMMARISE)]
        if await counter.prompt(asked) + summary_limit(total) <= total:
            return asked
    return []


class RoomMaker:
    """Carries a plan out: writes the summary if one is wanted, stores where reading begins."""

    def __init__(
        self, engine: ChatEngine, messages: MessageTree, model: str, conversation_tag: str = ""
    ) -> None:
        self._engine = engine
        self._messages = messages
        self._model = model
        self._tag = conversation_tag

    async def make(
        self, plan: RoomPlan, question: StoredMessage
    ) -> AsyncGenerator[MakingRoom | RoomMade, None]:
        """Yields MakingRoom while a summary grows, then RoomMade.

        Raises: GarretError from the engine; then nothing has changed.
        """
        summary = ""
        if plan.to_summarise:
            request = TurnRequest(
                self._model,
                plan.to_summarise,
                max_tokens=plan.summary_tokens,
                tool_choice="none",
                conversation_tag=self._tag,
            )
            yield MakingRoom("")
            async with aclosing(self._engine.stream(request)) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        summary += event.text
                        yield MakingRoom(summary)
        summary = summary.strip()
        first = plan.branch[plan.start] if plan.start < len(plan.branch) else question
        await self._messages.start_context(first.id, summary)
        yield RoomMade(first.id, plan.start, summary)
