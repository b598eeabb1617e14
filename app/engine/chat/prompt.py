"""From a chat request to the token ids of its prompt, with the places worth a checkpoint."""

from __future__ import annotations

import bisect
import json
import threading
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from app.core.errors import BadChatTemplate, EngineRefused
from app.engine.chat.capabilities import TemplateCapabilities, probe
from app.engine.chat.control_tokens import ControlTokens, free_mark
from app.engine.chat.renderer import TemplateRefused, TemplateRenderer
from app.engine.chat.splice import AnswerMemory, Splice
from app.engine.chat.template_input import (
    call_ids,
    fit_messages,
    message_to_template,
    tool_to_template,
)
from app.engine.chat.values import ChatMessage, ChatRequest
from app.engine.types import Boundary, BoundaryKind, LoadedModel, Prompt

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content"
    " + '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
PLAIN = (
    "{% for message in messages %}"
    "{{ message.role | capitalize + ': ' + message.content + '\\n\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
_NEEDLE_CHARS = 96
_CACHED_CHARS = 4_000_000


@dataclass(frozen=True, slots=True)
class BuiltPrompt:
    """`text` is the rendered prompt without prefill and forced opening: the key of its answer."""

    prompt: Prompt
    text: str
    spliced_answers: int = 0


class PromptBuilder:
    """Builds prompts for one loaded model. Thread-safe; everything here may block for a moment."""

    def __init__(self, model: LoadedModel, renderer: TemplateRenderer) -> None:
        self._model = model
        self._renderer = renderer
        self._lock = threading.Lock()
        self._control: ControlTokens | None = None
        self._can: dict[str, TemplateCapabilities] = {}
        self._segments: OrderedDict[str, array[int]] = OrderedDict()
        self._segment_chars = 0
        self.answers = AnswerMemory()

    @property
    def control(self) -> ControlTokens:
        """The model's control tokens, found on first use."""
        with self._lock:
            if self._control is None:
                self._control = ControlTokens.of(self._model.tokenizer, self._model.info.n_vocab)
            return self._control

    def template_for(self, *, tools: bool) -> str:
        """The template's source: the tool variant where the file has one and tools are used."""
        if tools and self._model.tool_template:
            return self._model.tool_template
        if self._model.chat_template:
            return self._model.chat_template
        return CHATML if "<|im_start|>" in self.control.texts else PLAIN

    def capabilities(self, template: str) -> TemplateCapabilities:
        """Probed once for each template.

        Raises:
            BadChatTemplate: it cannot render anything.
        """
        known = self._can.get(template)
        if known is None:
            tokenizer = self._model.tokenizer
            known = probe(
                lambda context: self._renderer.render_now(template, context),
                tokenizer.bos_text,
                tokenizer.eos_text,
            )
            self._can[template] = known
        return known

    def build(self, request: ChatRequest, opening: str = "") -> BuiltPrompt:
        """Renders and tokenizes. `opening` is our own text that the answer is made to begin with.

        Raises:
            BadChatTemplate: the template failed.
            EngineRefused: the template does not accept this conversation (status 400).
        """
        template = self.template_for(tools=bool(request.tools))
        can = self.capabilities(template)
        try:
            text, mark, messages = self._render(template, can, request)
        except TemplateRefused as refusal:
            raise EngineRefused(
                f"The model's chat template does not accept this conversation: {refusal}.",
                status=400,
            ) from refusal
        except BadChatTemplate:
            if not (request.tools and can.tools):
                raise
            # it stumbles over these tools: describe them in words of our own instead
            can = replace(can, tools=False, call_history=False, tool_role=False)
            text, mark, messages = self._render(template, can, request)
        splices = self.answers.splices(text, request.messages, self.control.next_end_of_turn)
        tokens, boundaries = self._tokenize(text, mark, splices, self._places(text, mark, messages))
        if request.prefill:
            tokens.extend(self._tokens_of(self.control.mark(request.prefill, mark), mark))
        if opening:
            tokens.extend(self._model.tokenizer.tokenize(opening, parse_special=True))
        boundaries.append(Boundary(len(tokens), "end"))
        return BuiltPrompt(Prompt(tuple(tokens), tuple(boundaries)), text, len(splices))

    def _render(
        self, template: str, can: TemplateCapabilities, request: ChatRequest
    ) -> tuple[str, str, list[dict[str, Any]]]:
        messages = fit_messages(request.messages, request.tools, can)
        context, mark = self._context(template, can, messages, request)
        return self._renderer.render_now(template, context), mark, context["messages"]

    def _context(
        self,
        template: str,
        can: TemplateCapabilities,
        messages: Sequence[ChatMessage],
        request: ChatRequest,
    ) -> tuple[dict[str, Any], str]:
        kimi = "<|tool_call_begin|>" in template
        harmony = "<|channel|>" in template
        ids = call_ids(messages, kimi=kimi)
        foreign: dict[str, Any] = {
            **request.template_options,
            "messages": [
                message_to_template(m, can, harmony=harmony, kimi_ids=ids) for m in messages
            ],
        }
        if request.tools and can.tools:
            foreign["tools"] = [tool_to_template(tool) for tool in request.tools]
        try:
            mark = free_mark(json.dumps(foreign, ensure_ascii=False))
        except (ValueError, TypeError) as error:
            raise BadChatTemplate(
                "This conversation cannot be rendered.", reason=str(error)
            ) from error
        context: dict[str, Any] = self.control.mark_all(foreign, mark)
        tokenizer = self._model.tokenizer
        context.update(
            add_generation_prompt=True,
            bos_token=tokenizer.bos_text,
            eos_token=tokenizer.eos_text,
        )
        return context, mark

    def _places(
        self, text: str, mark: str, messages: list[dict[str, Any]]
    ) -> list[tuple[int, BoundaryKind]]:
        """Offsets of control tokens that open the first and each later user or tool message."""
        controls = self.control.offsets(text)
        places: dict[int, BoundaryKind] = {}
        position = 0
        for message in messages:
            content = message.get("content")
            if isinstance(content, list):
                content = content[0]["text"]
            needle = (content or "").strip()[:_NEEDLE_CHARS]
            found = text.find(needle, position) if needle else -1
            if found < 0:
                continue
            if message["role"] in ("user", "tool"):
                index = bisect.bisect_right(controls, found) - 1
                if index >= 0 and controls[index] > 0:
                    kind: BoundaryKind = "message" if places else "prefix"
                    places.setdefault(controls[index], kind)
            position = found + len(needle)
        return sorted(places.items())

    def _tokenize(
        self,
        text: str,
        mark: str,
        splices: Sequence[Splice],
        places: Sequence[tuple[int, BoundaryKind]],
    ) -> tuple[list[int], list[Boundary]]:
        tokens: list[int] = []
        boundaries: list[Boundary] = []
        pending = list(places)
        position = 0

        def advance(end: int) -> None:
            nonlocal position
            while pending and pending[0][0] <= end:
                offset, kind = pending.pop(0)
                if offset < position:
                    continue  # inside a spliced answer
                tokens.extend(self._segment(text[position:offset], mark))
                position = offset
                if tokens:
                    boundaries.append(Boundary(len(tokens), kind))
            tokens.extend(self._segment(text[position:end], mark))
            position = end

        for splice in splices:
            advance(splice.start)
            tokens.extend(splice.token_ids)
            position = splice.end
        advance(len(text))
        return tokens, boundaries

    def _segment(self, segment: str, mark: str) -> Sequence[int]:
        if not segment:
            return ()
        with self._lock:
            known = self._segments.get(segment)
            if known is not None:
                self._segments.move_to_end(segment)
                return known
        tokens = array("i", self._tokens_of(segment, mark))
        with self._lock:
            if segment not in self._segments:
                self._segments[segment] = tokens
                self._segment_chars += len(segment)
            while self._segment_chars > _CACHED_CHARS:
                dropped, _ = self._segments.popitem(last=False)
                self._segment_chars -= len(dropped)
        return tokens

    def _tokens_of(self, text: str, mark: str) -> list[int]:
        tokenizer = self._model.tokenizer
        tokens: list[int] = []
        for piece in text.split(mark):
            if piece:
                tokens.extend(tokenizer.tokenize(piece, parse_special=True))
        return tokens
