"""POST /v1/completions: text goes on where the prompt ends, without a chat template."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from app.core.events import Usage
from app.engine.api import sampling
from app.engine.api.answers import (
    WholeAnswer,
    cancelling,
    guarded,
    merge,
    started,
    timings_json,
    usage_json,
)
from app.engine.api.body import (
    bad,
    flag,
    integer,
    note_unknown,
    read_object,
    stop_strings,
    text,
)
from app.engine.api.errors import error_body
from app.engine.api.models import ModelDirectory, priority_of
from app.engine.api.sse import EventStream, data_event, until_gone
from app.engine.chat.answer import ChatModel, PlainAnswer
from app.engine.chat.values import AnswerEnded, TextPiece
from app.engine.types import (
    Boundary,
    GenerationRequest,
    LoadedModel,
    Prompt,
    TokenLogprob,
)

_KNOWN = (
    *sampling.FIELDS,
    *("model", "prompt", "max_tokens", "n_predict", "stream", "stream_options", "n", "stop"),
    *("logprobs", "echo", "best_of", "suffix", "user", "ignore_eos"),
)
DEFAULT_TOKENS = 16
MAX_PROMPTS = 64


class Completions:
    """The endpoint."""

    def __init__(self, models: ModelDirectory) -> None:
        self._models = models

    async def create(self, request: Request) -> Response:
        """Answers, streamed or whole."""
        body = await read_object(request)
        note_unknown(body, _KNOWN, "completions")
        if text(body, "suffix"):
            raise bad("suffix", "is not supported")
        chat = await self._models.chat(text(body, "model"))
        model = chat.model
        prompts = await asyncio.to_thread(_prompts, body, chat)
        logprobs = integer(body, "logprobs", 0, sampling.MAX_TOP_LOGPROBS)
        count = integer(body, "n", 1, 16) or 1
        limit = sampling.max_tokens_of(body, "max_tokens", "n_predict")
        if limit is None and "max_tokens" not in body and "n_predict" not in body:
            limit = DEFAULT_TOKENS
        stops = stop_strings(body, "stop")
        chosen = sampling.sampling_of(body, model.info, logprobs=logprobs)
        options = body.get("stream_options")
        usage = isinstance(options, dict) and options.get("include_usage") is True
        streamed, echo, on = (flag(body, name) for name in ("stream", "echo", "ignore_eos"))
        if (integer(body, "best_of", 1, 1000) or count) > count:
            raise bad("best_of", "above 'n' is not supported")
        if echo and logprobs is not None:
            raise bad("logprobs", "of an echoed prompt are not supported")
        writer = _Writer(model, count, logprobs=logprobs is not None)
        if echo:
            writer.echo = [_text(model, p) for p in prompts for _ in range(count)]
        asked = GenerationRequest(
            Prompt(()),
            chosen,
            max_tokens=limit,
            stop=stops,
            priority=priority_of(request),
            ignore_eos=on,
        )
        answers = started(
            PlainAnswer(model.submit(replace(asked, prompt=prompt)))
            for prompt in (Prompt(tokens, (Boundary(len(tokens), "end"),)) for tokens in prompts)
            for _ in range(count)
        )
        if not streamed:
            whole = _whole(writer, answers)
            return JSONResponse(await until_gone(request, whole, cancelling(answers)))
        return EventStream(
            guarded(
                writer.stream(answers, usage=usage),
                lambda error: data_event(error_body(error, "openai")),
            ),
            at_end=cancelling(answers),
        )


def _prompts(body: Mapping[str, Any], chat: ChatModel) -> list[tuple[int, ...]]:
    """Texts or token lists, as token ids. Control tokens in a raw prompt are meant."""
    model = chat.model
    raw = body.get("prompt")
    if isinstance(raw, str) or (isinstance(raw, list) and raw and isinstance(raw[0], int)):
        raw = [raw]
    if not isinstance(raw, list) or not raw or len(raw) > MAX_PROMPTS:
        raise bad("prompt", f"must be a text, token ids, or a list of up to {MAX_PROMPTS} of them")
    found: list[tuple[int, ...]] = []
    for item in raw:
        if isinstance(item, str):
            chat.refuse_endless(item)
            tokens = model.tokenizer.tokenize(item, parse_special=True, add_special=True)
            begin = model.tokenizer.tokenize(model.tokenizer.bos_text, parse_special=True)
            if len(begin) == 1 and tokens[:2] == begin * 2:  # the client wrote it, too
                tokens = tokens[1:]
        else:
            tokens = token_ids(item, model.info.n_vocab, "prompt")
        if not tokens:
            bos = model.tokenizer.bos_text
            tokens = model.tokenizer.tokenize(bos, parse_special=True)
        if not tokens:
            raise bad("prompt", "must not be empty")
        found.append(tuple(tokens))
    return found


def token_ids(value: Any, n_vocab: int, where: str) -> list[int]:
    """A list of ids of this vocabulary.

    Raises:
        ApiError: 400.
    """
    valid = isinstance(value, list) and all(
        isinstance(item, int) and not isinstance(item, bool) and 0 <= item < n_vocab
        for item in value
    )
    if not valid:
        raise bad(where, "holds something that is no token id of this model")
    return list(value)


def _text(model: LoadedModel, tokens: Sequence[int]) -> str:
    piece = model.tokenizer.piece
    return b"".join(piece(token, special=True) for token in tokens).decode("utf-8", "replace")


async def _whole(writer: _Writer, answers: Sequence[PlainAnswer]) -> dict[str, Any]:
    results = [WholeAnswer() for _ in answers]
    async with aclosing(merge(answers)) as events:
        async for number, event in events:
            results[number].add(event)
    return writer.completion(results)


class _Writer:
    """Writes one completion."""

    def __init__(self, model: LoadedModel, count: int, *, logprobs: bool) -> None:
        """`count` answers are given to each prompt."""
        self._id = f"cmpl-{secrets.token_hex(12)}"
        self._created_s = int(time.time())
        self._model = model.info.model_id
        self._count = count
        self._logprobs = logprobs
        self._chars: dict[int, int] = {}
        self.echo: list[str] = []

    async def stream(
        self, answers: Sequence[PlainAnswer], *, usage: bool
    ) -> AsyncGenerator[bytes, None]:
        ended: dict[int, AnswerEnded] = {}
        for number, prompt in enumerate(self.echo):
            yield data_event(self._envelope([self._choice(number, prompt, (), None)]))
        async with aclosing(merge(answers)) as events:
            async for number, event in events:
                if isinstance(event, TextPiece):
                    choice = self._choice(number, event.text, event.logprobs, None)
                    yield data_event(self._envelope([choice]))
                elif isinstance(event, AnswerEnded):
                    ended[number] = event
                    last = self._envelope([self._choice(number, "", (), _finish(event))])
                    last["timings"] = timings_json(event.timings)
                    yield data_event(last)
        if usage:
            final = self._envelope([])
            final["usage"] = self._usage([ended[number].usage for number in sorted(ended)])
            yield data_event(final)
        yield b"data: [DONE]\n\n"

    def completion(self, results: Sequence[WholeAnswer]) -> dict[str, Any]:
        choices = []
        for number, result in enumerate(results):
            prompt = self.echo[number] if self.echo else ""
            logprobs = tuple(result.logprobs)
            choices.append(
                self._choice(number, prompt + result.text, logprobs, _finish(result.ended))
            )
        body = self._envelope(choices)
        body["usage"] = self._usage([result.ended.usage for result in results])
        body["timings"] = timings_json(results[0].ended.timings)
        return body

    def _usage(self, usages: Sequence[Usage]) -> dict[str, Any]:
        return usage_json(usages, answers_per_prompt=self._count)

    def _envelope(self, choices: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "text_completion",
            "created": self._created_s,
            "model": self._model,
            "choices": choices,
        }

    def _choice(
        self, number: int, piece: str, logprobs: tuple[TokenLogprob, ...], finish: str | None
    ) -> dict[str, Any]:
        listed = None
        if self._logprobs:
            at = self._chars.get(number, 0)
            listed = _logprobs_json(logprobs, at)
            self._chars[number] = at + sum(map(len, listed["tokens"]))
        return {"index": number, "text": piece, "logprobs": listed, "finish_reason": finish}


def _finish(ended: AnswerEnded) -> str:
    return "length" if ended.reason == "length" else "stop"


def _logprobs_json(logprobs: tuple[TokenLogprob, ...], at: int) -> dict[str, Any]:
    """`at` is how many characters of this answer came before."""
    texts = [item.token.decode("utf-8", "replace") for item in logprobs]
    offsets = []
    for piece in texts:
        offsets.append(at)
        at += len(piece)
    return {
        "tokens": texts,
        "token_logprobs": [max(item.logprob, -9999.0) for item in logprobs],
        "top_logprobs": [
            {token.decode("utf-8", "replace"): max(value, -9999.0) for _, token, value in item.top}
            for item in logprobs
        ],
        "text_offset": offsets,
    }
