"""An engine service whose models say what the test wrote down, byte by byte."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.core.control import EngineStatus, LoadEvent, LoadSpec, ModelInfo
from app.core.errors import ContextFull, EngineBusy, ModelNotFound, NoModelLoaded, UnsupportedModel
from app.core.events import Timings, Usage
from app.engine.types import (
    Chunk,
    Finished,
    GenerationEvent,
    GenerationRequest,
    Progress,
    TokenLogprob,
)

CHATML_TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
CHATML_SPECIALS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
Step = str | float | BaseException | Finished


class ByteTokenizer:
    """One token for each byte, and one for each control token."""

    def __init__(
        self, specials: Sequence[str] = CHATML_SPECIALS, eog: Sequence[str] | None = None
    ) -> None:
        self.around: tuple[int, int] | None = None  # as CLS and SEP are
        self.specials = tuple(specials)
        self.eog = tuple(eog) if eog is not None else (self.specials[0], self.specials[-1])
        self._pattern = re.compile("|".join(re.escape(text) for text in self.specials) or r"(?!)")

    @property
    def n_vocab(self) -> int:
        return 256 + len(self.specials)

    def tokenize(self, text: str, *, parse_special: bool, add_special: bool = False) -> list[int]:
        if add_special and self.around:
            begin, end = self.around
            return [begin, *self.tokenize(text, parse_special=parse_special), end]
        if not parse_special:
            return list(text.encode())
        tokens: list[int] = []
        position = 0
        for match in self._pattern.finditer(text):
            tokens.extend(text[position : match.start()].encode())
            tokens.append(256 + self.specials.index(match.group()))
            position = match.end()
        return [*tokens, *text[position:].encode()]

    def piece(self, token_id: int, *, special: bool = False) -> bytes:
        if token_id < 256:
            return bytes([token_id])
        return self.specials[token_id - 256].encode() if special else b""

    def is_eog(self, token_id: int) -> bool:
        return token_id >= 256 and self.specials[token_id - 256] in self.eog

    @property
    def bos_text(self) -> str:
        return ""

    @property
    def eos_text(self) -> str:
        return self.eog[-1] if self.eog else ""

    def text(self, tokens: Sequence[int]) -> str:
        return b"".join(self.piece(token, special=True) for token in tokens).decode()


class ScriptedGeneration:
    """Says its steps: text, pauses in seconds, errors, and at last how it ended."""

    def __init__(
        self, model: ScriptedModel, request: GenerationRequest, steps: Sequence[Step]
    ) -> None:
        self._model = model
        self._request = request
        self._steps = steps
        self._cancelled = asyncio.Event()

    @property
    def cancelled(self) -> bool:
        return self._cancelled.is_set()

    def cancel(self) -> None:
        self._cancelled.set()

    async def __aiter__(self) -> AsyncIterator[GenerationEvent]:
        total = len(self._request.prompt.tokens)
        ids: list[int] = []
        finished = Finished("eos", Usage(), Timings())
        for processed in (0, total // 2, total):
            yield Progress(total, 0, processed, 1.0 + processed)
        for step in self._steps:
            if self.cancelled:
                finished = replace(finished, reason="cancelled")
                break
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, Finished):
                finished = step
                break
            if isinstance(step, float):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._cancelled.wait(), step)
                continue
            await asyncio.sleep(0)
            tokens = self._model.tokenizer.tokenize(step, parse_special=True)
            ids.extend(tokens)
            yield Chunk(step, tuple(tokens), self._logprobs(tokens))
        usage = Usage(total, len(ids), self._model.cached_tokens)
        timings = Timings(usage.cached_tokens, total - usage.cached_tokens, 5.0, len(ids), 7.0)
        yield replace(finished, usage=usage, timings=timings, generated_ids=tuple(ids))

    def _logprobs(self, tokens: Sequence[int]) -> tuple[TokenLogprob, ...]:
        wanted = self._request.sampling.logprobs
        if wanted is None:
            return ()
        piece = self._model.tokenizer.piece
        return tuple(
            TokenLogprob(
                token,
                piece(token),
                -0.5,
                tuple((t, piece(t), -1.0) for t in range(65, 65 + wanted)),
            )
            for token in tokens
        )


class ScriptedModel:
    """Answers each request with the next script, the last one again and again."""

    def __init__(
        self,
        *scripts: str | Sequence[Step],
        model_id: str = "scripted",
        template: str | None = CHATML_TEMPLATE,
        tokenizer: ByteTokenizer | None = None,
        n_ctx: int = 100_000,
        sampling: Mapping[str, float] | None = None,
    ) -> None:
        self.scripts: list[Sequence[Step]] = [
            [*script] if isinstance(script, str) else script for script in scripts or ("Hello.",)
        ]
        self.tokenizer = tokenizer or ByteTokenizer()
        self.chat_template = template
        self.tool_template: str | None = None
        self.requests: list[GenerationRequest] = []
        self.generations: list[ScriptedGeneration] = []
        self.cached_tokens = 3
        self.busy = False
        self.submitted = asyncio.Event()
        self.vectors: list[list[float]] | None = None
        self.info = ModelInfo(
            model_id,
            n_ctx=n_ctx,
            n_ctx_train=n_ctx,
            n_vocab=self.tokenizer.n_vocab,
            sampling=dict(sampling or {}),
        )

    def submit(self, request: GenerationRequest) -> ScriptedGeneration:
        if self.busy:
            raise EngineBusy("The queue is full.", "Try again in a moment.", retry_after_s=2.5)
        if len(request.prompt.tokens) >= self.info.n_ctx:
            raise ContextFull(
                "The prompt does not fit.",
                "Start a new chat.",
                prompt_tokens=len(request.prompt.tokens),
                context_tokens=self.info.n_ctx,
            )
        steps = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
        self.requests.append(request)
        self.submitted.set()
        self.generations.append(ScriptedGeneration(self, request, steps))
        return self.generations[-1]

    async def embed(self, inputs: Sequence[Sequence[int]]) -> list[list[float]]:
        if self.vectors is None:
            raise UnsupportedModel("This model makes no embeddings.", "Load an embedding model.")
        return [self.vectors[0] for _ in inputs]

    def prompt_text(self, number: int = -1) -> str:
        """The prompt of one request as text."""
        return self.tokenizer.text(self.requests[number].prompt.tokens)


class ScriptedService:
    """An EngineService over scripted models."""

    def __init__(self, *models: ScriptedModel) -> None:
        self.models = {model.info.model_id: model for model in models}
        self.load_events: list[LoadEvent | float] = []
        self.load_closed = False
        self.specs: list[LoadSpec] = []
        self.configured: list[Mapping[str, Any]] = []

    def status(self) -> EngineStatus:
        infos = tuple(model.info for model in self.models.values())
        return EngineStatus("ready" if infos else "idle", infos)

    def available(self) -> list[ModelInfo]:
        return [model.info for model in self.models.values()]

    async def model(self, name: str | None) -> ScriptedModel:
        if not name:
            if not self.models:
                raise NoModelLoaded("No model is loaded.", "Load one first.")
            return next(iter(self.models.values()))
        if name not in self.models:
            raise ModelNotFound(f"There is no model {name!r}.", "Ask for the list.")
        return self.models[name]

    async def load(self, spec: LoadSpec) -> AsyncIterator[LoadEvent]:
        self.specs.append(spec)
        try:
            for step in self.load_events:
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.load_closed = True

    async def unload(self, model_id: str) -> None:
        self.models.pop(model_id, None)

    def metrics(self) -> Mapping[str, float]:
        return {"requests_total": 3.0, "kv_used_ratio": 0.5}

    async def clear_states(self) -> int:
        return 7

    def configure(self, changes: Mapping[str, Any]) -> None:
        self.configured.append(changes)
