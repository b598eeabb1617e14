"""Fetches one file: connections write, a hasher follows, and the result is right or not there.

Threads, because hashing, writing and receiving all release the GIL and because a blocked thread is
woken by shutting its socket down. The primary connection owns all retry decisions; helpers that
fail simply go away.
"""

from __future__ import annotations

import contextlib
import errno
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.core.errors import DownloadFailed, GarretError, NotEnoughDisk, VerificationFailed
from app.library.disk import free_bytes
from app.library.download.fetch import FetchProblem, RemoteFile, Request
from app.library.download.hashing import PIECE_BYTES, PrefixHasher, hash_segment
from app.library.download.limits import Limits, SpeedLimit
from app.library.download.part import SEGMENT_BYTES, PartFile, Span

_RUN = 4
_NEARLY_BYTES = 256 << 20
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT}
_SENTENCES = {
    errno.EFBIG: ("The disk's file system cannot hold a file this big.", "Use another disk."),
    errno.EROFS: ("The disk is read-only.", "Use another disk for the models folder."),
    errno.EACCES: ("The models folder cannot be written to.", "Change its permissions."),
}


class Transfer:
    """One file on its way. `run` blocks in a thread; the rest may be called from anywhere."""

    def __init__(
        self,
        remote: RemoteFile,
        part: PartFile,
        hasher: PrefixHasher,
        limits: Limits,
        speed: SpeedLimit,
        on_nearly_done: Callable[[], None] = lambda: None,
    ) -> None:
        self.remote = remote
        self.part = part
        self.note = ""
        self.phase = "downloading"
        self.fetched_bytes = 0
        self.repaired_bytes = 0
        self.connections = 0
        self.wait_until = 0.0
        self._hasher = hasher
        self._limits = limits
        self._speed = speed
        self._on_nearly_done = on_nearly_done
        self._stop = threading.Event()
        self._poke = threading.Event()
        self._lock = threading.Lock()
        self._hash_lock = threading.Lock()
        self._alone = False
        self._requests: set[Request] = set()
        self._error: GarretError | None = None
        self._suspects: list[int] = []
        self._helpers: list[threading.Thread] = []
        self._helpers_wanted = 0
        self._waited_s = 0.0
        self._since_space_check = 0

    @property
    def hashed_bytes(self) -> int:
        return self._hasher.position

    @property
    def stopped(self) -> bool:
        return self._stop.is_set()

    def stop(self) -> None:
        """Ends `run` soon; everything received stays."""
        self._stop.set()
        self._poke.set()
        with self._lock:
            requests = list(self._requests)
        for request in requests:
            request.abort()

    def poke(self) -> None:
        """Try again now: the network is back."""
        self._poke.set()

    def run(self) -> bool:
        """Fetches and verifies; True when the part is the right file, False when stopped.

        Raises: DownloadFailed, VerificationFailed, NotEnoughDisk.
        """
        hashing = threading.Thread(target=self._guard, args=(self._hash,), daemon=True)
        primary = threading.Thread(target=self._guard, args=(self._primary,), daemon=True)
        hashing.start()
        primary.start()
        adaptation = _Adaptation(self._limits)
        told = False
        while primary.is_alive() and not self._stop.is_set():
            if not told and self.part.size_bytes - self.part.received_bytes <= _NEARLY_BYTES:
                told = True
                self._on_nearly_done()
            primary.join(0.05)
            self._adapt(adaptation)
        self._helpers_wanted = 0
        # A thread that still looks a name up or connects cannot be woken: it is left behind, it
        # looks at `_stop` before it touches anything.
        for thread in [primary, *self._helpers]:
            thread.join(0.1 if self._stop.is_set() else None)
        hashing.join()
        if self._error is not None:
            raise self._error
        return not self._stop.is_set() and self._verify()

    # -- threads -------------------------------------------------------------------------------

    def _guard(self, body: Callable[[], None]) -> None:
        """Runs a thread's body; what goes wrong ends the transfer with a sentence."""
        try:
            body()
        except GarretError as error:
            self._fail(error)
        except OSError as error:
            self._fail(disk_error(error, self.part.path, self.remote.size_bytes))

    def _fail(self, error: GarretError) -> None:
        with self._lock:
            if self._error is None and not self._stop.is_set():
                self._error = error
        self.stop()

    def _hash(self) -> None:
        with self.part.path.open("rb", buffering=0) as file:
            while not self._stop.is_set() and self._hasher.position < self.part.size_bytes:
                with self._hash_lock:
                    moved = self._hasher.advance(self.part, file)
                if not moved:
                    self._stop.wait(0.004)

    def _primary(self) -> None:
        retry = _Retry(self._limits)
        while not self._stop.is_set():
            if self._hasher.position >= self.part.size_bytes:
                return
            span = self.part.claim(_RUN if self._helpers_wanted else 0)
            if span is None:  # helpers or the hasher are not done
                self._stop.wait(0.01)
                continue
            self._attempt(span, retry)

    def _attempt(self, span: Span, retry: _Retry) -> None:
        """One request of the connection that decides what a failure means."""
        before = self.fetched_bytes
        try:
            self._fetch(span)
            retry.succeeded()
            self.note = ""
        except FetchProblem as problem:
            if not self._stop.is_set():
                here = min(span.start + self.fetched_bytes - before, self.remote.size_bytes - 1)
                self._suspects.append(here // SEGMENT_BYTES)
                self._pause_after(problem, retry, self.fetched_bytes - before)

    def _help(self, number: int) -> None:
        while not self._stop.is_set() and number < self._helpers_wanted:
            span = self.part.claim(_RUN)
            if span is None:
                return
            try:
                self._fetch(span)
            except FetchProblem:
                return

    def _pause_after(self, problem: FetchProblem, retry: _Retry, got_bytes: int) -> None:
        wait_s = retry.after(problem, got_bytes)
        if problem.kind in ("whole", "range", "beyond"):
            if self.phase == "repairing":
                raise VerificationFailed(
                    "The file arrived damaged, and the server cannot send only a part of it.",
                    "Try again: the download starts from the beginning.",
                )
            self._start_over()
        if wait_s > 0:
            self.note = self.note if problem.kind == "whole" else problem.sentence
            self.wait_until = time.time() + wait_s
            self._poke.clear()
            if not self._stop.is_set():
                self._poke.wait(wait_s)
            self.wait_until = 0.0

    def _start_over(self) -> None:
        self.note = "The server cannot continue a download: starting over."
        self._helpers_wanted = 0
        self._alone = True
        for helper in self._helpers:
            helper.join()
        with self._hash_lock:
            self.part.reset()
            self._hasher.restart()

    def _fetch(self, span: Span) -> None:
        """Gets one span, or as much of it as nobody else has begun; releases what it reserved."""
        request = Request(self.remote, self._limits)
        with self._lock:
            self._requests.add(request)
            self.connections += 1
        try:
            request.open(span.start, span.end)
            with self.part.path.open("r+b", buffering=0) as file:
                file.seek(span.start)
                self._receive(request, file, span)
        finally:
            request.close()
            self.part.release(span.held)
            with self._lock:
                self._requests.discard(request)
                self.connections -= 1

    def _receive(self, request: Request, file: Any, span: Span) -> None:
        position = span.start
        rate = _Rate(self._limits)
        buffer = self._hasher.borrow()
        while not self._stop.is_set():
            segment = position // SEGMENT_BYTES
            if segment not in span.held:
                if position >= span.end or not self.part.claim_next(segment):
                    return  # the end, or somebody else is on it
                span.held.add(segment)
            room = segment * SEGMENT_BYTES + self.part.segment_size(segment) - position
            started = time.monotonic()
            count = request.fill(buffer[: min(room, self._piece_bytes())])
            self._waited_s += time.monotonic() - started
            if not count or self._stop.is_set():
                return
            written = 0
            while written < count:
                written += file.write(buffer[written:count])
            kept = self._hasher.offer(position, buffer, count)
            self.part.arrived(segment, count)
            position += count
            self.fetched_bytes += count
            self._check_space(count)
            rate.check(count)
            self._speed.take(count, self._stop.wait)
            if kept:
                buffer = self._hasher.borrow()

    def _piece_bytes(self) -> int:
        """How much to take at once: under a speed limit little, so that it flows evenly."""
        limit = self._speed.bytes_s
        return min(PIECE_BYTES, max(16 << 10, limit // 8)) if limit else PIECE_BYTES

    def _check_space(self, n_bytes: int) -> None:
        self._since_space_check += n_bytes
        if self._since_space_check >= self._limits.space_check_bytes:
            self._since_space_check = 0
            left = self.part.size_bytes - self.part.received_bytes
            if free_bytes(self.part.path.parent) < min(left, 64 << 20):
                raise disk_error(OSError(errno.ENOSPC, ""), self.part.path, left)

    # -- more connections where they help --------------------------------------------------------

    def _adapt(self, adaptation: _Adaptation) -> None:
        left = self.part.size_bytes - self.part.received_bytes
        busy = left > 2 * SEGMENT_BYTES and not self._speed.bytes_s
        busy = busy and not self.wait_until and not self._alone
        wanted = adaptation.step(
            self.fetched_bytes, self._waited_s, self._helpers_wanted if busy else 0, busy
        )
        if wanted > self._helpers_wanted:
            thread = threading.Thread(
                target=self._guard, args=(lambda: self._help(wanted - 1),), daemon=True
            )
            self._helpers_wanted = wanted
            self._helpers = [one for one in self._helpers if one.is_alive()] + [thread]
            thread.start()
        elif busy:
            self._helpers_wanted = wanted

    # -- the end ---------------------------------------------------------------------------------

    def _verify(self) -> bool:
        self.phase = "verifying"
        return self._hasher.hexdigest() == self.remote.sha256 or self._repair()

    def _repair(self) -> bool:
        """The bytes came wrong: fetch segments again, places of trouble first, until they fit."""
        self.phase = "repairing"
        self.note = "Some bytes arrived damaged: looking for them."
        self.part.clear_digests()
        order = list(dict.fromkeys([*reversed(self._suspects), *range(self.part.n_segments)]))
        for segment in order:
            start = segment * SEGMENT_BYTES
            size = self.part.segment_size(segment)
            old = hash_segment(self.part.path, start, size)
            if not self._fetch_again(segment):
                return False
            self.repaired_bytes += size
            if hash_segment(self.part.path, start, size) == old:
                continue
            self._hasher.restart()
            self._hash()
            if self._stop.is_set():
                return False
            if self._hasher.hexdigest() == self.remote.sha256:
                return True
        raise VerificationFailed(
            f"{self.part.path.stem[:12]}… arrived damaged, and again on a second try.",
            "Try again later, or from another network.",
            expected=self.remote.sha256,
            found=self._hasher.hexdigest(),
        )

    def _fetch_again(self, segment: int) -> bool:
        self.part.forget(segment)
        retry = _Retry(self._limits)
        while not self._stop.is_set():
            span = self.part.claim(1)
            if span is None:
                return True
            self._attempt(span, retry)
        return False


class _Retry:
    """When to try again, and when to give up."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._fails = 0
        self._faults: dict[str, int] = {}
        self._good_at = time.monotonic()

    def succeeded(self) -> None:
        self._fails = 0
        self._good_at = time.monotonic()

    def after(self, problem: FetchProblem, got_bytes: int) -> float:
        """Seconds to wait before the next attempt. Raises DownloadFailed to give up."""
        kind = problem.kind
        if got_bytes >= self._limits.progress_bytes:
            self.succeeded()
        if kind == "fatal":
            raise _failed(problem, retryable=True)
        if kind in ("whole", "range", "beyond", "encoded", "changed", "expired"):
            self._faults[kind] = self._faults.get(kind, 0) + 1
            if kind == "expired" and got_bytes >= self._limits.progress_bytes:
                self._faults[kind] = 1
            allowed = {"whole": 3, "changed": 3, "expired": 5}.get(kind, 1)
            if self._faults[kind] > allowed:
                raise _failed(problem, retryable=True)
            return 0.0 if self._faults[kind] == 1 else self._limits.backoff_first_s
        if kind == "rate":
            if self._faults.setdefault("rate", 0) >= self._limits.tries * 2:
                raise _failed(problem, retryable=True)
            self._faults["rate"] += 1
            return max(problem.wait_s, self._limits.backoff_first_s / 4)
        self._fails += 1
        patient = time.monotonic() - self._good_at < self._limits.patience_s
        if self._fails >= self._limits.tries and not patient:
            raise _failed(problem, retryable=True)
        wait_s = min(
            self._limits.backoff_max_s, self._limits.backoff_first_s * 2.0 ** (self._fails - 1)
        )
        return wait_s * random.uniform(0.75, 1.0)  # noqa: S311 - jitter, not a secret


class _Rate:
    """Ends a connection that trickles."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._since = time.monotonic()
        self._bytes = 0

    def check(self, n_bytes: int) -> None:
        self._bytes += n_bytes
        elapsed = time.monotonic() - self._since
        if elapsed >= self._limits.stall_s:
            if self._bytes < self._limits.slow_bytes_s * elapsed:
                raise FetchProblem("network", "The server sends too slowly.")
            self._since, self._bytes = time.monotonic(), 0


class _Adaptation:
    """Adds a connection while that makes the whole faster, and takes the last one back if not."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._since = time.monotonic()
        self._bytes = 0
        self._waited_s = 0.0
        self._rate_before = 0.0
        self._done = False

    def step(self, fetched: int, waited_s: float, helpers: int, busy: bool) -> int:
        elapsed = time.monotonic() - self._since
        if self._done or not busy or elapsed < self._limits.adapt_s:
            return helpers
        rate = (fetched - self._bytes) / elapsed
        waiting = (waited_s - self._waited_s) / (elapsed * (helpers + 1))
        self._since, self._bytes, self._waited_s = time.monotonic(), fetched, waited_s
        if helpers and rate < 1.15 * self._rate_before:
            self._done = True
            return helpers - 1
        # Where the disk or the processor is what takes the time, more connections only cost.
        if waiting < 0.7 or helpers + 1 >= self._limits.max_connections:
            return helpers
        self._rate_before = rate
        return helpers + 1


def disk_error(error: OSError, path: Path, needed_bytes: int) -> GarretError:
    """What a failed write means, in a sentence; the part stays."""
    if error.errno in _NO_ROOM:
        free = 0
        with contextlib.suppress(OSError):
            free = free_bytes(path.parent)
        return NotEnoughDisk(
            "The disk is full.",
            "Free some space and resume: nothing already fetched is lost.",
            needed_bytes=needed_bytes,
            free_bytes=free,
        )
    sentence, remedy = _SENTENCES.get(
        error.errno or 0,
        ("The models folder is gone: its drive may be unplugged.", "Connect it and resume."),
    )
    return DownloadFailed(sentence, remedy, retryable=True, errno=error.errno or 0)


def _failed(problem: FetchProblem, *, retryable: bool) -> DownloadFailed:
    remedy = problem.remedy or "Resume to try again: what is already here is kept."
    return DownloadFailed(problem.sentence, remedy, retryable=retryable, kind=problem.kind)
