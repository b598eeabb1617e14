"""The decode thread of one model: continuous batching over several requests.

Each round decodes one token for everybody who writes and at most one chunk of one prompt, so a
long prompt slows the others but never stops them. Requests are cancelled between rounds.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import numpy as np

from app.core.errors import ContextFull, EngineError, EngineRefused, GarretError, NoModelLoaded
from app.engine.checkpoints import Tokens
from app.engine.context import Context, DecodeFailed
from app.engine.generation import GenerationHandle
from app.engine.request_queue import RequestQueue
from app.engine.run import Run
from app.engine.sampler import Candidates, Sampler, logits_at
from app.engine.sequences import Sequences, common_prefix
from app.engine.threads import ThreadGovernor
from app.engine.types import GenerationRequest, StopReason
from app.engine.vocabulary import Vocabulary

_log = logging.getLogger(__name__)
T = TypeVar("T")

# Rows of 64: llama.cpp's CPU kernels give the same bits for every chunk that is a multiple.
_GRID = 64
_CHUNK_S = 0.8
_CHUNK_BESIDE_WRITERS_S = 0.15
_SHORT_STEP_S = 0.012
# Waiting for another request that is reading the same prefix pays from this many tokens.
_WORTH_WAITING = 16
# Nobody has asked for this long: time to write conversations to disk.
_IDLE_SAVE_S = 8.0


class Scheduler:
    """Owns the context and everything in it from `start` to `close`."""

    def __init__(
        self,
        context: Context,
        vocabulary: Vocabulary,
        sequences: Sequences,
        *,
        n_parallel: int,
        n_threads: int,
        context_tokens: int,
        max_queue: int,
        name: str = "decode",
    ) -> None:
        self._context = context
        self._vocabulary = vocabulary
        self.sequences = sequences
        self._n_parallel = n_parallel
        self._context_tokens = context_tokens
        self._queue = RequestQueue(max_queue)
        self._candidates = Candidates(vocabulary.n_tokens)
        self._runs: list[Run] = []
        self._paused: list[Run] = []
        self._departures = 0
        self._jobs: list[tuple[Callable[[], Any], Future[Any]]] = []
        self._condition = threading.Condition()
        self._closing = False
        self._read_per_s = 0.0
        self._step_s = 1.0
        self._rounds = 0
        self._unsaved = False
        self._governor = ThreadGovernor(n_threads)
        self._read_governor = ThreadGovernor(n_threads, slower=4.0, eager=False)
        # Without a GPU the threads matter, and the first chunk is small until the speed is known:
        # it bounds the cancel.
        self._cautious = context.batch.capacity <= 512
        self.last_used = time.monotonic()
        self.totals = {
            "requests_total": 0.0,
            "prompt_tokens_total": 0.0,
            "prompt_tokens_cached_total": 0.0,
            "generated_tokens_total": 0.0,
            "prompt_seconds_total": 0.0,
            "generate_seconds_total": 0.0,
        }
        self._thread = threading.Thread(target=self._main, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; what is running ends as cancelled."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join()

    @property
    def n_active(self) -> int:
        return len(self._runs) + len(self._paused)

    @property
    def n_queued(self) -> int:
        return len(self._queue)

    @property
    def n_threads(self) -> int:
        """Threads the engine computes with just now."""
        return self._governor.n_threads

    def pin_threads(self) -> None:
        """Stops trying other numbers of threads: a measurement needs one."""
        n = self.n_threads
        self._governor = self._read_governor = ThreadGovernor(n, n)
        self._context.set_threads(n, n)

    def submit(self, request: GenerationRequest) -> GenerationHandle:
        """From the event loop. Raises: EngineBusy, ContextFull, NoModelLoaded, EngineRefused."""
        n_prompt = len(request.prompt.tokens)
        if n_prompt == 0:
            raise EngineRefused("The prompt is empty.", "Write something first.", status=400)
        if n_prompt >= self._context_tokens:
            raise ContextFull(
                f"The conversation is too long: {n_prompt:,} tokens do not fit into "
                f"{self._context_tokens:,}.",
                "Start a new chat, shorten this one, or load the model with a longer context.",
                prompt_tokens=n_prompt,
                context_tokens=self._context_tokens,
            )
        handle = GenerationHandle(request, asyncio.get_running_loop())
        with self._condition:
            if self._closing:
                raise NoModelLoaded("The model is being unloaded.", "Load it again.")
            self._queue.put(handle)
            self.totals["requests_total"] += 1
            self.last_used = time.monotonic()
            self._condition.notify()
        return handle

    def call(self, job: Callable[[], T]) -> Future[T]:
        """Runs `job` on the decode thread between two rounds."""
        future: Future[T] = Future()
        with self._condition:
            if self._closing:
                future.set_exception(NoModelLoaded("The model is being unloaded."))
            else:
                self._jobs.append((job, future))
                self._condition.notify()
        return future

    # --- decode thread ---------------------------------------------------------------------

    def _main(self) -> None:
        while True:
            with self._condition:
                idle = False
                while not (self._closing or self._jobs or self._waiting()):
                    if idle := not self._condition.wait(_IDLE_SAVE_S if self._unsaved else None):
                        break
                if self._closing:
                    break
            try:
                if idle:
                    self._unsaved = self.sequences.save_to_disk() > 0
                else:
                    self._round()
            except Exception as error:  # noqa: BLE001 - the engine loop's edge: log, fail, go on
                _log.exception("decode round failed")
                self._fail_all(error)
        self._end_all()

    def _waiting(self) -> int:
        return len(self._runs) + len(self._paused) + len(self._queue)

    def _round(self) -> None:
        self._rounds += 1
        if self._jobs:
            self._run_jobs()
        for run in [run for run in self._runs if run.handle.cancelled]:
            self._leave(run)
            run.finish("cancelled")
        if self._paused or len(self._queue):
            self._admit()
        writers = [run for run in self._runs if run.writing]
        reader = self._next_reader() if len(writers) < len(self._runs) else None
        if self.sequences.can_forget:
            self._decode(writers, reader)
        else:
            # A mixed batch of a recurrent model is split into equal parts: two calls are faster.
            if writers:
                self._decode(writers, None)
            if reader is not None:
                self._decode([], reader)
        if writers or reader is not None:
            self.last_used = time.monotonic()
            self._unsaved = self.sequences.disk is not None

    def _run_jobs(self) -> None:
        with self._condition:
            jobs, self._jobs = self._jobs, []
        for job, future in jobs:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(job())
                except Exception as error:  # noqa: BLE001 - belongs to whoever asked
                    future.set_exception(error)

    def _admit(self) -> None:
        self._resume()
        with self._condition:
            waiting = self._queue.in_order()
        for handle in waiting:
            places = self._n_parallel + (1 if handle.request.priority == 0 else 0)
            if handle.cancelled:
                self._take(handle)
                self._start(handle, cancelled=True)
            elif len(self._runs) + len(self._paused) < places and not self._wait_for_other(handle):
                self._take(handle)
                self._start(handle)

    def _resume(self) -> None:
        """Puts back who gave way. Before somebody has left there is no more room than then, and
        trying would only push the others aside for ever."""
        for run in list(self._paused):
            if run.handle.cancelled:
                self._paused.remove(run)
                run.finish("cancelled")
            elif not self._runs or run.gave_way_at < self._departures:
                self._paused.remove(run)
                if not self._place(run):
                    self._paused.append(run)
                    break

    def _take(self, handle: GenerationHandle) -> None:
        with self._condition:
            self._queue.remove(handle)

    def _wait_for_other(self, handle: GenerationHandle) -> bool:
        """Whether a running request is about to read what this one needs, too."""
        readers = [run for run in self._runs if not run.writing and run.sequence is not None]
        if not readers:
            return False
        prompt = _as_array(handle.request.prompt.tokens)
        have = self.sequences.find(prompt).n_tokens
        for run in readers:
            common = min(common_prefix(run.tokens, prompt), len(prompt) - 1)
            if common - have >= _WORTH_WAITING and run.position < common:
                same = len(run.tokens) == len(prompt) == common + 1  # its end serves both
                if not self.sequences.can_forget and not (same and common + 1 in run.marks):
                    run.marks.setdefault(common, "message")
                return True
        return False

    def _start(self, handle: GenerationHandle, *, cancelled: bool = False) -> None:
        prompt = _as_array(handle.request.prompt.tokens)
        room = self._context_tokens - len(prompt)
        wanted = handle.request.max_tokens
        max_new = room if wanted is None else min(room, max(1, wanted))
        try:
            sampler = Sampler(self._vocabulary, handle.request.sampling, handle.request.grammar)
        except GarretError as error:
            handle.post([error])
            return
        run = Run(handle, prompt, self._vocabulary, sampler, max_new)
        if cancelled:
            run.finish("cancelled")
            return
        if not self.sequences.can_forget:
            run.plan_marks()
        if not self._place(run):
            run.sampler.close()
            with self._condition:
                self._queue.put_back(handle)

    def _place(self, run: Run) -> bool:
        self.sequences.checkpoints.tick()
        sequence = self.sequences.acquire(run.tokens, run.request.priority, run.request.tag)
        if sequence is None:
            return False
        logits = None
        if len(sequence.tokens) == len(run.tokens):
            logits = self.sequences.known_logits(run.tokens)
            if logits is None:  # evicted to make room for the very state it belongs to
                self.sequences.forget(sequence)
        run.place(sequence)
        self._runs.append(run)
        if logits is not None:
            self._ended(run, run.sample(logits, self._candidates))
            return True
        kind = run.near_mark()
        if kind is not None:
            self.sequences.save_checkpoint(sequence, kind)
        return True

    def _next_reader(self) -> Run | None:
        """Alternates between the shortest rest and the oldest, within the best priority."""
        readers = [run for run in self._runs if not run.writing]
        if not readers:
            return None
        best = min(run.request.priority for run in readers)
        readers = [run for run in readers if run.request.priority == best]
        if self._rounds % 2:
            return min(readers, key=lambda run: run.handle.order)
        return min(readers, key=lambda run: len(run.tokens) - run.position)

    def _chunk(self, *, beside_writers: bool) -> int:
        limit = self._context.batch.capacity
        if beside_writers:
            limit -= self._context.n_seq_max
        if self._read_per_s:
            seconds = _CHUNK_BESIDE_WRITERS_S if beside_writers else _CHUNK_S
            limit = min(limit, int(self._read_per_s * seconds))
        elif self._cautious:
            limit = min(limit, 2 * _GRID)
        # Whole micro-batches: the last one of a chunk costs nearly the same with a few tokens.
        n_ubatch = self._context.n_ubatch
        grid = n_ubatch if limit >= n_ubatch else _GRID
        return max(_GRID, limit // grid * grid)

    def _decode(self, writers: list[Run], reader: Run | None) -> None:
        batch = self._context.batch
        batch.clear()
        outputs: list[tuple[Run, int]] = []
        for run in writers:
            assert run.sequence is not None
            assert run.pending is not None
            index = batch.add([run.pending], run.position, run.sequence.seq_id, output=True)
            outputs.append((run, index))
        chunk: Tokens | None = None
        if reader is not None:
            assert reader.sequence is not None
            stop = reader.next_stop(self._chunk(beside_writers=bool(writers)))
            chunk = reader.tokens[reader.position : stop]
            last = stop == len(reader.tokens)
            index = batch.add(chunk, reader.position, reader.sequence.seq_id, output=last)
            if last:
                outputs.append((reader, index))
        if batch.n_tokens == 0:
            return
        started = time.perf_counter()
        if not self._decode_with_room(writers, reader):
            return
        for run in writers:
            assert run.sequence is not None
            assert run.pending is not None
            run.sequence.tokens.append(run.pending)
            run.tell()
        if reader is not None and chunk is not None:
            self._note_read(reader, chunk, started, alone=not writers)
        for run, index in outputs:
            self._sample(run, index)
        if writers:
            seconds = time.perf_counter() - started
            self.totals["generate_seconds_total"] += seconds
            self._step_s = seconds
            if reader is None and len(writers) == 1 and self._cautious:
                self._govern(self._governor, seconds)

    def _govern(self, governor: ThreadGovernor, seconds: float) -> None:
        before = governor.n_threads
        if governor.note(seconds) != before:
            n = self._governor.n_threads
            self._context.set_threads(n, min(n, self._read_governor.n_threads))

    def _decode_with_room(self, writers: list[Run], reader: Run | None) -> bool:
        """Decodes the batch, making room in the cache; False when somebody had to give way."""
        try:
            while not self._context.decode():
                if self.sequences.make_room():
                    continue
                self._give_way(writers, reader)
                return False
        except DecodeFailed as failure:
            _log.error("llama_decode failed with %s", failure.code)
            for run in [*writers, *([reader] if reader else [])]:
                self._drop(run, EngineError("The engine could not go on with this answer.",
                                            "Try again.", decode_code=failure.code))  # fmt: skip
            return False
        return True

    def _give_way(self, writers: list[Run], reader: Run | None) -> None:
        """The cache is full of running requests: one pauses, or the only one ends."""
        running = [*writers, *([reader] if reader else [])]
        everyone = self._runs
        if len(everyone) == 1:
            run = running[0]
            if run.generated:
                self._leave(run)
                run.finish("length")
            else:
                self._drop(run, ContextFull(
                    "The conversation does not fit into the model's context.",
                    "Start a new chat or load the model with a longer context.",
                    prompt_tokens=run.n_prompt, context_tokens=self._context.n_ctx,
                ))  # fmt: skip
            return
        victim = max(everyone, key=lambda run: (run.request.priority, run.handle.order))
        assert victim.sequence is not None
        self._runs.remove(victim)
        self.sequences.release(victim.sequence)
        victim.resume_tokens()
        victim.gave_way_at = self._departures
        self._paused.append(victim)

    def _note_read(self, run: Run, chunk: Tokens, started: float, *, alone: bool) -> None:
        assert run.sequence is not None
        run.sequence.tokens.extend(chunk)
        run.read += len(chunk)
        kind = None
        if run.position < len(run.tokens):  # the one at the end comes with the logits
            kind = run.marks.pop(run.position, None)
        if kind is not None:
            self.sequences.save_checkpoint(run.sequence, kind)
        elif self._cautious:
            self._context.synchronize()
        # An accelerator gets its next chunk while it still works on this one: the next call waits
        # for what this one left, so their seconds add up all the same.
        seconds = time.perf_counter() - started
        least = _GRID if self._cautious else self._context.n_ubatch
        if alone and len(chunk) >= least:
            speed = len(chunk) / seconds
            self._read_per_s = speed if not self._read_per_s else (self._read_per_s + speed) / 2
            if self._cautious:
                self._govern(self._read_governor, seconds / len(chunk))
        self.totals["prompt_tokens_total"] += len(chunk)
        self.totals["prompt_seconds_total"] += seconds
        if not run.generated:
            run.post_progress()

    def _sample(self, run: Run, index: int) -> None:
        # A short step hides the text's work; a longer one would show it late.
        later = self._step_s < _SHORT_STEP_S
        logits = logits_at(self._context.handle, index, self._vocabulary.n_tokens)
        reason = run.sample(logits, self._candidates, later=later)
        kind = run.marks.pop(run.position, None)
        if kind is not None and run.sequence is not None:
            run.tell()  # the first word before the copy of a state
            self.sequences.save_checkpoint(run.sequence, kind, logits.copy())
        self._ended(run, reason)

    def _ended(self, run: Run, reason: StopReason | None) -> None:
        if reason is not None:
            self.totals["generated_tokens_total"] += len(run.generated)
            self.totals["prompt_tokens_cached_total"] += run.cached
            self._leave(run)
            run.finish(reason)

    def _leave(self, run: Run) -> None:
        self._runs.remove(run)
        self._departures += 1
        if run.sequence is not None:
            self.sequences.release(run.sequence)

    def _drop(self, run: Run, error: GarretError) -> None:
        if run.sequence is not None:
            self.sequences.forget(run.sequence)
        self._leave(run)
        run.fail(error)

    def _fail_all(self, error: Exception) -> None:
        known = error if isinstance(error, GarretError) else EngineError(
            "The engine made a mistake.", "Try again; its log says more."
        )  # fmt: skip
        for run in list(self._runs):
            self._drop(run, known)

    def _end_all(self) -> None:
        gone = NoModelLoaded("The model was unloaded.", "Load it again to go on.")
        for run in [*self._runs, *self._paused]:
            run.fail(gone)
        for handle in self._queue.drain():
            handle.post([gone])
        for _, future in self._jobs:
            if future.set_running_or_notify_cancel():
                future.set_exception(gone)


def _as_array(tokens: tuple[int, ...]) -> Tokens:
    return np.asarray(tokens, np.int32)
