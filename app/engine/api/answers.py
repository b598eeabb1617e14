"""Answers as all wire formats need them: whole, merged, and guarded against surprises."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.core.errors import GarretError
from app.core.events import Timings, Usage
from app.engine.api.errors import ApiError, api_error
from app.engine.chat.answer import Answer, PlainAnswer
from app.engine.chat.values import (
    AnswerEnded,
    AnswerEvent,
    CallArguments,
    CallBegan,
    TextPiece,
    ThinkingPiece,
)
from app.engine.types import TokenLogprob

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class WholeCall:
    """A tool call that is complete."""

    call_id: str
    name: str
    arguments: str = ""


@dataclass(slots=True)
class WholeAnswer:
    """An answer in one piece."""

    text: str = ""
    reasoning: str = ""
    calls: list[WholeCall] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    ended: AnswerEnded = field(default_factory=lambda: AnswerEnded("stop", Usage(), Timings()))

    def add(self, event: AnswerEvent) -> None:
        match event:
            case TextPiece(text=text, logprobs=logprobs):
                self.text += text
                self.logprobs.extend(logprobs)
            case ThinkingPiece(text=text):
                self.reasoning += text
            case CallBegan(name=name, call_id=call_id):
                self.calls.append(WholeCall(call_id or new_call_id(), name))
            case CallArguments(index=index, delta=delta):
                self.calls[index].arguments += delta
            case AnswerEnded():
                self.ended = event
            case _:
                pass


_Started = TypeVar("_Started", Answer, PlainAnswer)


def started(starting: Iterable[_Started]) -> list[_Started]:
    """All answers of one request, or none: when one cannot begin, the others are stopped."""
    begun: list[_Started] = []
    try:
        for answer in starting:
            begun.append(answer)  # noqa: PERF402 - what was begun is needed on failure
    except BaseException:
        cancelling(begun)()
        raise
    return begun


def cancelling(answers: Sequence[Answer | PlainAnswer]) -> Callable[[], None]:
    """Stops whichever of the answers have not come to their end."""

    def cancel() -> None:
        for answer in answers:
            answer.cancel()

    return cancel


async def whole(answer: Answer) -> WholeAnswer:
    """Waits for the end; cancelling this cancels the generation."""
    result = WholeAnswer()
    async with aclosing(answer.events()) as events:
        async for event in events:
            result.add(event)
    return result


async def merge(
    answers: Sequence[Answer | PlainAnswer],
) -> AsyncGenerator[tuple[int, AnswerEvent], None]:
    """Events of several answers as they come, each with its answer's number."""
    if len(answers) == 1:
        async with aclosing(answers[0].events()) as only:
            async for event in only:
                yield 0, event
        return
    queue: asyncio.Queue[tuple[int, AnswerEvent | Exception | None]] = asyncio.Queue(64)

    async def pump(number: int) -> None:
        try:
            async with aclosing(answers[number].events()) as events:
                async for event in events:
                    await queue.put((number, event))
        except Exception as error:  # noqa: BLE001 - raised where the events are read
            await queue.put((number, error))
        else:
            await queue.put((number, None))

    pumps = [asyncio.create_task(pump(number)) for number in range(len(answers))]
    try:
        running = len(pumps)
        while running:
            number, item = await queue.get()
            if item is None:
                running -= 1
            elif isinstance(item, Exception):
                raise item
            else:
                yield number, item
    finally:
        for task in pumps:
            task.cancel()
        cancelling(answers)()  # a pump that is cancelled before its first step never began one
        await asyncio.wait(pumps)


async def guarded(
    events: AsyncGenerator[bytes, None], on_error: Callable[[ApiError], bytes]
) -> AsyncGenerator[bytes, None]:
    """The stream, ending in the API's own error event when something goes wrong after its start."""
    try:
        async with aclosing(events):
            async for event in events:
                yield event
    except ApiError as error:
        yield on_error(error)
    except GarretError as error:
        yield on_error(api_error(error))
    except Exception:  # noqa: BLE001 - the API's edge: log, answer, go on
        _log.exception("an answer failed")
        yield on_error(ApiError(500, "The engine made a mistake; its log says more."))


def new_call_id() -> str:
    return f"call_{secrets.token_hex(12)}"


def usage_json(usages: Sequence[Usage], answers_per_prompt: int | None = None) -> dict[str, Any]:
    """OpenAI's usage of the answers to one prompt, or to several with as many answers each: a
    prompt counts once, as its first answer met it."""
    firsts = usages[:: answers_per_prompt or len(usages) or 1]
    prompt = sum(usage.prompt_tokens for usage in firsts)
    completion = sum(usage.completion_tokens for usage in usages)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": sum(usage.cached_tokens for usage in firsts)},
    }


def timings_json(timings: Timings) -> dict[str, Any]:
    """llama-server's timings object."""
    return {
        "cache_n": timings.cache_n,
        "prompt_n": timings.prompt_n,
        "prompt_ms": round(timings.prompt_ms, 3),
        "prompt_per_second": round(timings.prompt_per_s, 3),
        "predicted_n": timings.predicted_n,
        "predicted_ms": round(timings.predicted_ms, 3),
        "predicted_per_second": round(timings.predicted_per_s, 3),
    }
