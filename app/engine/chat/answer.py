"""One loaded model as conversations see it: requests in, parsed answers out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace

from app.core.errors import ContextFull
from app.core.events import Timings, Usage
from app.engine.chat.forcing import Forcing, forcing_for
from app.engine.chat.parsing.events import OutputParser
from app.engine.chat.parsing.formats import GENERIC, ToolFormat, detect_format, make_parser
from app.engine.chat.prompt import BuiltPrompt, PromptBuilder
from app.engine.chat.renderer import TemplateRenderer
from app.engine.chat.values import (
    AnswerEnded,
    AnswerEvent,
    CallArguments,
    CallBegan,
    CallEnded,
    ChatMessage,
    ChatRequest,
    FinishReason,
    ParseEvent,
    TextPiece,
    ThinkingPiece,
    ToolCall,
)
from app.engine.types import (
    Chunk,
    Finished,
    Generation,
    GenerationRequest,
    LoadedModel,
    Progress,
    TokenLogprob,
)

_log = logging.getLogger(__name__)
_BANNED = -1e9


class ChatModel:
    """Prompts, parsers and remembered answers of one loaded model.

    `tool_format` names the model's own way of calling tools; empty where it has none we know.
    """

    def __init__(self, model: LoadedModel, renderer: TemplateRenderer) -> None:
        self.model = model
        self.tool_format = ""  # until it is warm
        self._prompts = PromptBuilder(model, renderer)

    async def prepare(self, request: ChatRequest) -> PreparedAnswer:
        """Renders and tokenizes on a thread; nothing is queued yet.

        Raises:
            BadChatTemplate, EngineRefused: see `PromptBuilder.build`.
        """
        return await asyncio.to_thread(self._prepare, request)

    async def count_tokens(self, request: ChatRequest) -> int:
        """Length of the prompt; touches neither queue nor context."""
        built = await asyncio.to_thread(self._prompts.build, request)
        return len(built.prompt.tokens)

    def refuse_endless(self, text: str) -> None:
        """For raw texts; tokenizing takes a second or more for each megabyte.

        Raises:
            ContextFull: the text cannot fit.
        """
        longest, n_ctx = self._prompts.control.longest_bytes, self.model.info.n_ctx
        refuse_hopeless(ChatRequest((ChatMessage("user", text),)), longest, n_ctx)

    async def warm(self) -> None:
        """Scans the vocabulary and probes the template, so that the first request need not."""
        await asyncio.to_thread(self._warm)

    def _warm(self) -> None:
        _ = self._prompts.control
        template = self._prompts.template_for(tools=True)
        found = detect_format(template, self._prompts.capabilities(template))
        self.tool_format = "" if found is GENERIC else found.name

    def _prepare(self, request: ChatRequest) -> PreparedAnswer:
        refuse_hopeless(request, self._prompts.control.longest_bytes, self.model.info.n_ctx)
        template = self._prompts.template_for(tools=bool(request.tools))
        tool_format = detect_format(template, self._prompts.capabilities(template))
        forcing = forcing_for(request, tool_format, template)
        built = self._prompts.build(request, forcing.opening)
        if forcing.closes_thinking and _ends_in_thinking(built.text):
            forcing = replace(forcing, opening="\n</think>\n\n" + forcing.opening)
            built = self._prompts.build(request, forcing.opening)
        return PreparedAnswer(self._prompts, self.model, request, built, tool_format, forcing)


def refuse_hopeless(request: ChatRequest, longest_bytes: int, context_tokens: int) -> None:
    """Spares rendering and tokenizing, which take seconds for megabytes, what cannot fit: no token
    is longer than the longest, and every message and tool takes one.

    Raises:
        ContextFull: with the least number of tokens that the prompt can have.
    """
    said = [m for m in request.messages if m.role != "assistant" and m.content]
    size = sum(len(message.content) for message in said)  # characters: at most their bytes
    least = max(len(said) + len(request.tools), size // longest_bytes if longest_bytes else 0)
    if context_tokens and least > context_tokens:
        raise ContextFull(
            f"The conversation is too long: at least {least:,} tokens do not fit into "
            f"{context_tokens:,}.",
            "Start a new chat, shorten this one, or load the model with a longer context.",
            prompt_tokens=least,
            context_tokens=context_tokens,
        )


@dataclass(slots=True)
class _Collected:
    """What the client has received of an answer so far."""

    text: str = ""
    reasoning: str = ""
    names: dict[int, str] | None = None
    arguments: dict[int, str] | None = None

    def add(self, event: ParseEvent) -> None:
        match event:
            case TextPiece(text=text):
                self.text += text
            case ThinkingPiece(text=text):
                self.reasoning += text
            case CallBegan(index=index, name=name):
                self.names = {**(self.names or {}), index: name}
            case CallArguments(index=index, delta=delta):
                known = self.arguments or {}
                self.arguments = {**known, index: known.get(index, "") + delta}
            case CallEnded():
                pass

    def message(self, prefill: str) -> ChatMessage:
        calls = tuple(
            ToolCall("", name, (self.arguments or {}).get(index, ""))
            for index, name in sorted((self.names or {}).items())
        )
        return ChatMessage(
            "assistant", prefill + self.text, tool_calls=calls, reasoning=self.reasoning
        )


class PreparedAnswer:
    """A prompt that is ready to be queued, once or several times."""

    def __init__(
        self,
        prompts: PromptBuilder,
        model: LoadedModel,
        request: ChatRequest,
        built: BuiltPrompt,
        tool_format: ToolFormat,
        forcing: Forcing,
    ) -> None:
        self._prompts = prompts
        self._model = model
        self._request = request
        self._built = built
        self._format = tool_format
        self._forcing = forcing

    @property
    def prompt_tokens(self) -> int:
        return len(self._built.prompt.tokens)

    def start(self, number: int = 0) -> Answer:
        """Queues the request; `number` tells several answers to one prompt apart.

        Raises:
            EngineBusy, ContextFull: see `LoadedModel.submit`.
        """
        request = self._request
        sampling = request.sampling
        if number and sampling.seed is not None:
            sampling = replace(sampling, seed=sampling.seed + number)
        if request.tools and request.tool_choice.mode == "none":
            sampling = replace(sampling, logit_bias=sampling.logit_bias + self._banned())
        generation = self._model.submit(
            GenerationRequest(
                prompt=self._built.prompt,
                sampling=sampling,
                max_tokens=request.max_tokens,
                stop=request.stop,
                grammar=self._forcing.grammar,
                priority=request.priority,
                ignore_eos=request.ignore_eos,
                report_special=self._format.special,
                tag=request.tag,
            )
        )
        parser = make_parser(
            self._format,
            request,
            self._prompts.control,
            in_thinking=_ends_in_thinking(self._built.text) and not request.prefill,
        )
        return Answer(self, generation, parser)

    def _banned(self) -> tuple[tuple[int, float], ...]:
        """The one token that begins a call, where the format has such a token."""
        ids = self._model.tokenizer.tokenize(self._format.trigger, parse_special=True)
        return ((ids[0], _BANNED),) if self._format.trigger and len(ids) == 1 else ()

    def opening_events(self, parser: OutputParser) -> list[ParseEvent]:
        return parser.feed(self._forcing.opening) if self._forcing.opening else []

    def stops_after_first_call(self) -> bool:
        return not self._request.parallel_calls

    def remember_seen(self, collected: _Collected, token_ids: list[int]) -> None:
        """Remembers of an answer that was broken off what the client has seen, if that is prose
        only: a call or reasoning is written with more than the client sees."""
        if collected.names or collected.reasoning or self._forcing.opening:
            return

        def piece(token_id: int) -> bytes:
            return self._model.tokenizer.piece(token_id, special=self._format.special)

        self.remember(collected, _ids_of(collected.text, token_ids, piece))

    def remember(self, collected: _Collected, token_ids: tuple[int, ...]) -> None:
        if self._request.prefill:
            return
        tokenizer = self._model.tokenizer
        ids = list(token_ids)
        while ids and tokenizer.is_eog(ids[-1]):
            ids.pop()
        if self._forcing.opening:
            ids[:0] = tokenizer.tokenize(self._forcing.opening, parse_special=True)
        self._prompts.answers.remember(self._built.text, collected.message(""), tuple(ids))


def _ids_of(text: str, ids: list[int], piece: Callable[[int], bytes]) -> tuple[int, ...]:
    """The first ids that make exactly this text; none where it ends inside a token."""
    wanted, size = text.encode("utf-8", "replace"), 0
    for count, token_id in enumerate(ids):
        if size >= len(wanted):
            return tuple(ids[:count]) if size == len(wanted) else ()
        data = piece(token_id)
        if wanted[size : size + len(data)] != data:
            return ()
        size += len(data)
    return tuple(ids) if size == len(wanted) else ()


class Answer:
    """An answer that is being generated. Iterate once; close to cancel."""

    def __init__(
        self, prepared: PreparedAnswer, generation: Generation, parser: OutputParser
    ) -> None:
        self._prepared = prepared
        self._generation = generation
        self._parser = parser
        self._collected = _Collected()
        self._ids: list[int] = []
        self._calls = 0
        self._logprobs: tuple[TokenLogprob, ...] = ()
        self._enough = False
        self._over = False

    def cancel(self) -> None:
        """Stops the generation, unless it has come to its end."""
        if not self._over:
            self._generation.cancel()

    async def events(self) -> AsyncGenerator[AnswerEvent, None]:
        """Events as they come; the last is AnswerEnded.

        Raises:
            GarretError: the generation failed.
        """
        ended: Finished | None = None
        try:
            for event in self._collect(self._prepared.opening_events(self._parser)):
                yield event
            async for item in self._generation:
                if isinstance(item, Progress):
                    yield item
                elif isinstance(item, Finished):
                    ended = item
                    self._over = True
                elif not self._enough:
                    for event in self._read(item):
                        yield event
            ended = ended or Finished("cancelled", Usage(), Timings())
            for event in self._rest(ended):
                yield event
            yield AnswerEnded(self._reason(ended), ended.usage, ended.timings, ended.stop_text)
        finally:
            if ended is None:
                self._generation.cancel()
            self._remember(ended)

    def _read(self, chunk: Chunk) -> list[ParseEvent]:
        self._ids.extend(chunk.token_ids)
        self._logprobs += chunk.logprobs
        read: list[ParseEvent] = []
        for event in self._collect(self._parser.feed(chunk.text)):
            if isinstance(event, TextPiece) and self._logprobs:
                event, self._logprobs = replace(event, logprobs=self._logprobs), ()
            read.append(event)
            if isinstance(event, CallEnded) and self._prepared.stops_after_first_call():
                self._enough = True
                self._generation.cancel()
                break
        return read

    def _rest(self, ended: Finished) -> list[ParseEvent]:
        if self._enough:
            return []
        rest = self._parser.finish(truncated=ended.reason in ("length", "cancelled"))
        if self._logprobs:
            rest.append(TextPiece("", self._logprobs))
        return self._collect(rest)

    def _collect(self, events: list[ParseEvent]) -> list[ParseEvent]:
        for event in events:
            self._collected.add(event)
            if isinstance(event, CallBegan):
                self._calls += 1
        return events

    def _reason(self, ended: Finished) -> FinishReason:
        if self._enough:
            return "tool_calls"
        if ended.reason in ("eos", "stop"):
            return "tool_calls" if self._calls else "stop"
        return "length" if ended.reason == "length" else "cancelled"

    def _remember(self, ended: Finished | None) -> None:
        if self._enough or (ended and ended.stop_text and not ended.generated_ids):
            return  # more was sampled than the client has seen
        if ended is None:  # the client went away: perhaps before it saw the last tokens
            self._prepared.remember_seen(self._collected, self._ids)
            return
        self._prepared.remember(self._collected, ended.generated_ids or tuple(self._ids))


class PlainAnswer:
    """The answer to a raw prompt: nothing is parsed, nothing remembered."""

    def __init__(self, generation: Generation) -> None:
        self._generation = generation
        self._over = False

    def cancel(self) -> None:
        """Stops the generation, unless it has come to its end."""
        if not self._over:
            self._generation.cancel()

    async def events(self) -> AsyncGenerator[AnswerEvent, None]:
        """Events as they come; the last is AnswerEnded.

        Raises:
            GarretError: the generation failed.
        """
        try:
            async for item in self._generation:
                if isinstance(item, Chunk):
                    yield TextPiece(item.text, item.logprobs)
                elif isinstance(item, Progress):
                    yield item
                else:
                    self._over = True
                    reason: FinishReason = "length" if item.reason == "length" else "stop"
                    yield AnswerEnded(reason, item.usage, item.timings, item.stop_text)
        finally:
            self.cancel()


def _ends_in_thinking(prompt_text: str) -> bool:
    return prompt_text.rstrip().endswith(("<think>", "[THINK]", "<seed:think>"))
