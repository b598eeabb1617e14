"""One admitted request on the decode thread: what is read, what is written, what was told."""

from __future__ import annotations

import time

import numpy as np

from app.core.errors import GarretError
from app.core.events import Timings, Usage
from app.engine.checkpoints import CheckpointKind, Logits, Tokens
from app.engine.generation import GenerationHandle
from app.engine.sampler import Candidates, Sampler
from app.engine.sequences import Sequence
from app.engine.text_stream import TextStream
from app.engine.types import (
    Chunk,
    Finished,
    GenerationEvent,
    Progress,
    StopReason,
    TokenLogprob,
)
from app.engine.vocabulary import Vocabulary

# Thirty packets a second look continuous; each costs this process and its client a wake-up, which
# two busy cores feel.
PACKET_S = 0.03
# A checkpoint this close before a boundary serves as well and saves a small decode of its own.
_NEAR = 8
# The generation prompt is at most this long, and may be dropped from the history that follows.
_TAIL = 8


class Run:
    """Progress of one request. `tokens` is all it wants in memory before the next sample."""

    def __init__(
        self,
        handle: GenerationHandle,
        prompt: Tokens,
        vocabulary: Vocabulary,
        sampler: Sampler,
        max_new: int,
    ) -> None:
        self.handle = handle
        self.request = handle.request
        self.tokens = prompt
        self.n_prompt = len(prompt)
        self.sequence: Sequence | None = None
        self.sampler = sampler
        self.cached = 0
        self.read = 0
        self.max_new = max_new
        self.pending: int | None = None
        self.gave_way_at = 0  # how many requests had left when this one lost its place
        self._untold: int | None = None
        self.generated: list[int] = []
        self.marks: dict[int, CheckpointKind] = {}
        self.started = time.perf_counter()
        self._first_at = 0.0
        self._vocabulary = vocabulary
        self._text = TextStream(self.request.stop)
        self._emitted: list[str] = []
        self._packet_text: list[str] = []
        self._packet_ids: list[int] = []
        self._packet_logprobs: list[TokenLogprob] = []
        self._flushed_at = 0.0
        self._announced = False

    @property
    def writing(self) -> bool:
        return self.pending is not None

    @property
    def position(self) -> int:
        return len(self.sequence.tokens) if self.sequence else 0

    def place(self, sequence: Sequence) -> None:
        """Takes a sequence; what it already holds counts as reused, once."""
        self.sequence = sequence
        if not self._announced:
            self.cached = len(sequence.tokens)
            self._announced = True
            self.post_progress()

    def plan_marks(self) -> None:
        """Where a recurrent model's prompt should leave checkpoints."""
        wanted: dict[int, CheckpointKind] = {}
        for boundary in self.request.prompt.boundaries:
            wanted[boundary.n_tokens] = boundary.kind
        tail = self._tail()
        wanted[tail] = "end"
        last = -_NEAR
        for at in sorted(wanted):
            pinned = wanted[at] == "prefix" or at >= tail
            if 0 < at <= tail and (pinned or at - last >= _NEAR):
                self.marks[at] = wanted[at]
                last = at

    def _tail(self) -> int:
        """Where the last checkpoint goes: at the end, where it is kept with the logits and serves
        both another answer to this prompt and the turn after it, or before a thinking block that
        the template opens now and leaves out later."""
        n = self.n_prompt
        if n <= 2 * _TAIL:
            return n
        ends = range(n - _TAIL, n)
        pieces = [self._vocabulary.piece(int(self.tokens[i]), special=True) for i in ends]
        opened = [i for i, piece in zip(ends, pieces, strict=True) if b"think" in piece]
        return max(n - _TAIL, opened[0] - 1) if opened else n

    def near_mark(self) -> CheckpointKind | None:
        """The kind of a boundary at or just after the present position, which it then covers."""
        here = self.position
        for at in sorted(self.marks):
            if here <= at < here + _NEAR and self.marks[at] != "end":
                if here > 0:
                    return self.marks.pop(at)
                return None
        return None

    def next_stop(self, chunk: int) -> int:
        """End of the next chunk: the chunk grid is absolute, so that warm and cold runs agree."""
        here = self.position
        stop = min(len(self.tokens), (here // chunk + 1) * chunk)
        return min([at for at in self.marks if here < at < stop], default=stop)

    def post_progress(self) -> None:
        elapsed_ms = (time.perf_counter() - self.started) * 1000
        done = min(self.position, self.n_prompt)
        self.handle.post([Progress(self.n_prompt, self.cached, done, elapsed_ms)])

    def sample(
        self, logits: Logits, candidates: Candidates, *, later: bool = False
    ) -> StopReason | None:
        """Samples the next token; the reason when that ends the answer.

        With `later` the token's text is left to `tell`, which the caller runs while the
        accelerator already computes the next token.
        """
        self.tell()
        token = self.sampler.sample(logits, candidates)
        if not self._first_at:
            self._first_at = time.perf_counter()
        self.generated.append(token)
        if token in self._vocabulary.eog_ids and not self.request.ignore_eos:
            return "eos"
        if self.sampler.wants_logprobs:
            self._packet_logprobs.append(self.sampler.logprob(logits, token))
        self.pending = self._untold = token
        if self.request.stop or not later:
            self.tell()
            if self._text.stop_text is not None:
                return "stop"
        return "length" if len(self.generated) >= self.max_new else None

    def tell(self) -> None:
        """Turns the last sampled token into text, and sends the packet when it is due."""
        token, self._untold = self._untold, None
        if token is None:
            return
        piece = self._vocabulary.piece(token, special=self.request.report_special)
        self._packet_text.append(self._text.feed(piece))
        self._packet_ids.append(token)
        now = time.perf_counter()
        if now - self._flushed_at >= PACKET_S:
            self._flush(now)

    def _take_packet(self) -> list[GenerationEvent | GarretError]:
        text = "".join(self._packet_text)
        if not text and not self._packet_ids:
            return []
        self._emitted.append(text)
        chunk = Chunk(text, tuple(self._packet_ids), tuple(self._packet_logprobs))
        self._packet_text.clear()
        self._packet_ids.clear()
        self._packet_logprobs.clear()
        return [chunk]

    def _flush(self, now: float) -> None:
        self._flushed_at = now
        if packet := self._take_packet():
            self.handle.post(packet)

    def resume_tokens(self) -> None:
        """After losing its sequence: everything so far must be read again before going on."""
        if self.generated:
            self.tokens = np.concatenate(
                [self.tokens[: self.n_prompt], np.asarray(self.generated, np.int32)]
            )
        self.pending = None
        self.sequence = None
        self.marks = {}

    def finish(self, reason: StopReason) -> None:
        """Posts the rest of the text and the last event, and frees the sampler."""
        self.tell()
        self._packet_text.append(self._text.finish())
        now = time.perf_counter()
        events = self._take_packet()
        first = self._first_at or now
        ids = self.generated
        if ids and ids[-1] in self._vocabulary.eog_ids:
            ids = ids[:-1]
        timings = Timings(
            cache_n=self.cached,
            prompt_n=self.read,
            prompt_ms=(first - self.started) * 1000,
            predicted_n=len(self.generated),
            predicted_ms=(now - first) * 1000,
        )
        usage = Usage(self.n_prompt, len(self.generated), min(self.cached, self.n_prompt))
        stop_text = self._text.stop_text
        if stop_text is not None:
            reason = "stop"
            ids = self._ids_of("".join(self._emitted), ids)
        events.append(Finished(reason, usage, timings, tuple(ids), stop_text))
        self.sampler.close()
        self.handle.post(events)

    def _ids_of(self, text: str, ids: list[int]) -> list[int]:
        """The sampled tokens that make exactly `text`; none when the cut fell inside a token."""
        wanted, data = text.encode(), b""
        for n, token in enumerate(ids):
            if data == wanted:
                return ids[:n]
            data += self._vocabulary.piece(token, special=self.request.report_special)
            if len(data) > len(wanted):
                return []
        return ids if data == wanted else []

    def fail(self, error: GarretError) -> None:
        self.sampler.close()
        self.handle.post([error])
