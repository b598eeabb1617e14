"""Which tokens every sequence of the context holds, and how a new prompt starts from them.

Invariant after every decode: the memory of a sequence ends exactly where its `tokens` end. A
sampled token is listed only once it has been decoded.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.engine.checkpoints import Checkpoint, CheckpointKind, CheckpointStore, Logits, Tokens
from app.engine.context import PARTIAL_ONLY, Context
from app.engine.disk_states import DiskState, DiskStates, SavedCheckpoint
from app.engine.saved_states import MIN_TOKENS, SavedState, SavedStates

# Losing fewer tokens than this is cheaper than keeping one more branch.
_BRANCH_LOSS = 16
# Tokens a restore must spare to be worth copying a state, or reading and hashing a file.
_WORTH_RESTORING = 32
_WORTH_OPENING = 128
_MIN_DISK_TOKENS = 512
_DISK_CHECKPOINTS = 3


class TokenBuffer:
    """A growing list of token ids as one numpy array."""

    def __init__(self) -> None:
        self._data: Tokens = np.empty(1024, np.int32)
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def view(self) -> Tokens:
        return self._data[: self._n]

    def extend(self, tokens: Tokens) -> None:
        end = self._n + len(tokens)
        if end > len(self._data):
            grown: Tokens = np.empty(max(end, 2 * len(self._data)), np.int32)
            grown[: self._n] = self.view()
            self._data = grown
        self._data[self._n : end] = tokens
        self._n = end

    def append(self, token: int) -> None:
        if self._n == len(self._data):
            self._data = np.concatenate([self._data, np.empty(len(self._data), np.int32)])
        self._data[self._n] = token
        self._n += 1

    def cut(self, n_tokens: int) -> None:
        self._n = min(self._n, n_tokens)

    def replace(self, tokens: Tokens) -> None:
        self._n = 0
        self.extend(tokens)


class Sequence:
    """One sequence id of the context."""

    def __init__(self, seq_id: int) -> None:
        self.seq_id = seq_id
        self.tokens = TokenBuffer()
        self.busy = False
        self.used_at = 0
        self.used_ns = 0
        self.priority = 1
        self.tag = ""


@dataclass(frozen=True, slots=True)
class Reuse:
    """Where a prompt can start: `n_tokens` of it are in `source` already (after `checkpoint`), or
    in a state that was `saved` to memory or disk."""

    source: Sequence | None = None
    n_tokens: int = 0
    checkpoint: Checkpoint | None = None
    saved: SavedState | DiskState | None = None


def common_prefix(a: Tokens, b: Tokens) -> int:
    """Length of the longest common prefix."""
    n = min(len(a), len(b))
    if n == 0:
        return 0
    different: NDArray[np.bool_] = a[:n] != b[:n]
    first = int(different.argmax())
    return first if different[first] else n


class Sequences:
    """Hands out sequence ids so that as few tokens as possible are read again."""

    def __init__(
        self,
        context: Context,
        checkpoints: CheckpointStore,
        *,
        can_forget: bool,
        saved: SavedStates | None = None,
        disk: DiskStates | None = None,
    ) -> None:
        self._context = context
        self.checkpoints = checkpoints
        self.can_forget = can_forget
        self.all = [Sequence(i) for i in range(context.n_seq_max)]
        self.saved = SavedStates(0) if saved is None else saved
        self.disk = disk
        self._clock = 0

    def find(self, prompt: Tokens) -> Reuse:
        """The longest reusable start of `prompt` in any sequence, busy ones included.

        At least one token is left to decode: without it there are no logits.
        """
        limit = len(prompt) - 1
        marks = [] if self.can_forget else self.checkpoints.matching(prompt, len(prompt))
        best = Reuse()
        for sequence in self.all:
            n, mark = self._usable(sequence.tokens.view(), prompt, marks)
            found = Reuse(sequence, n, mark)
            if self._better(found, best):
                best = found
        for saved in self.saved.all():
            n, mark = self._usable(saved.tokens, prompt, marks)
            if n >= best.n_tokens + _WORTH_RESTORING:
                best = Reuse(None, n, mark, saved)
        for entry in self.disk.entries if self.disk else ():
            common = common_prefix(entry.tokens, prompt)
            n = min(common, limit) if self.can_forget else entry.usable(common, len(prompt))
            if n >= best.n_tokens + _WORTH_OPENING:
                best = Reuse(None, n, None, entry)
        return best

    def _usable(
        self, held: Tokens, prompt: Tokens, marks: list[Checkpoint]
    ) -> tuple[int, Checkpoint | None]:
        """How many of the held tokens `prompt` can start from, and by which checkpoint."""
        common, limit = common_prefix(held, prompt), len(prompt) - 1
        if self.can_forget or common == len(held) <= limit:
            return min(common, limit), None
        mark = next((item for item in marks if item.serves(prompt, common)), None)
        return (mark.n_tokens, mark) if mark else (0, None)

    @staticmethod
    def _better(new: Reuse, old: Reuse) -> bool:
        """More tokens win; then an idle sequence; then the one that loses less."""
        if new.n_tokens != old.n_tokens or new.source is None or old.source is None:
            return new.n_tokens > old.n_tokens
        return (new.source.busy, len(new.source.tokens)) < (
            old.source.busy,
            len(old.source.tokens),
        )

    def acquire(self, prompt: Tokens, priority: int, tag: str = "") -> Sequence | None:
        """A sequence that holds a start of `prompt` and nothing else; None: every id is busy.

        `tag` is the conversation's, for what is kept of it on disk.
        """
        sequence = self.acquire_as(self.find(prompt), prompt, priority)
        if sequence is not None:
            sequence.tag = tag
        return sequence

    def acquire_as(self, reuse: Reuse, prompt: Tokens, priority: int) -> Sequence | None:
        """The same with the reuse already found."""
        self._clock += 1
        source = reuse.source
        if reuse.saved is not None:
            target = self._free_id(None)
            if target is not None:
                self._empty(target)
                self._restore(target, reuse.saved, prompt)
        elif source is None or reuse.n_tokens == 0:
            target = self._free_id(None)
            if target is not None:
                self._empty(target)
        else:
            loss = len(source.tokens) - reuse.n_tokens
            keep_source = source.busy or loss >= _BRANCH_LOSS
            target = self._free_id(source) if keep_source else source
            if target is None and not source.busy:
                target = source
            if target is not None:
                self._start_from(target, reuse)
        if target is not None:
            target.busy = True
            target.priority = priority
            target.used_at = self._clock
        return target

    def _start_from(self, target: Sequence, reuse: Reuse) -> None:
        source = reuse.source
        assert source is not None
        if target is not source:
            self._empty(target)
            self._context.copy(source.seq_id, target.seq_id)
            target.tokens.replace(source.tokens.view())
            source.used_at = self._clock
        if len(target.tokens) > reuse.n_tokens:
            self._go_back(target, reuse)
        elif self._context.length(target.seq_id) != len(target.tokens):
            self._empty(target)

    def _restore(self, target: Sequence, saved: SavedState | DiskState, prompt: Tokens) -> None:
        """Loads a saved state and goes back to where the prompt leaves it; empty when it fails."""
        tokens, blob = saved.tokens, None
        if isinstance(saved, SavedState):
            blob = saved.blob
            self.saved.touch(saved)
        elif self.disk is not None and (opened := self.disk.open(saved)) is not None:
            tokens, blob = opened.tokens, opened.blob
            for mark in opened.checkpoints:
                if mark.n_tokens <= len(tokens):
                    of = tokens[: mark.n_tokens]
                    self.checkpoints.add(of, mark.blob, mark.kind, mark.logits)
        if blob is None:
            return
        written = self._context.write_state(blob, target.seq_id)
        if not written and self.make_room(keep=target):
            self._context.clear(target.seq_id)
            written = self._context.write_state(blob, target.seq_id)
        if not written or self._context.length(target.seq_id) != len(tokens):
            self._empty(target)
            return
        target.tokens.replace(tokens)
        marks = [] if self.can_forget else self.checkpoints.matching(prompt, len(prompt))
        n, found = self._usable(tokens, prompt, marks)
        if n < len(tokens):
            self._go_back(target, Reuse(target, n, found))

    def _go_back(self, target: Sequence, reuse: Reuse) -> None:
        """Restore and trim in one place: a restore without the trim gives wrong logits silently.

        Whatever fails leaves an empty sequence, which is always right.
        """
        n, mark = reuse.n_tokens, reuse.checkpoint
        good = True
        if not self.can_forget:
            good = mark is not None and self._context.write_state(
                mark.blob, target.seq_id, PARTIAL_ONLY
            )
        if (
            good
            and self._context.trim(target.seq_id, n)
            and self._context.length(target.seq_id) == n
        ):
            target.tokens.cut(n)
            if mark is not None:
                self.checkpoints.touch(mark)
        else:
            self._empty(target)

    def known_logits(self, prompt: Tokens) -> Logits | None:
        """What the model said after exactly this prompt, where that is kept."""
        mark = None if self.can_forget else self.checkpoints.after(prompt)
        return mark.logits if mark is not None else None

    def save_checkpoint(
        self, sequence: Sequence, kind: CheckpointKind, logits: Logits | None = None
    ) -> None:
        """Remembers the recurrent state where the sequence stands now, and the `logits` there."""
        tokens = sequence.tokens.view()
        if self.can_forget or len(tokens) == 0:
            return
        known = self.checkpoints.after(tokens)
        if known is not None and (logits is None or known.logits is not None):
            return
        if self._context.length(sequence.seq_id) != len(tokens):
            return
        blob = self._context.read_state(sequence.seq_id, PARTIAL_ONLY)
        if blob is not None:
            self.checkpoints.add(tokens, blob, kind, logits)

    def release(self, sequence: Sequence) -> None:
        """The request is over; what it read stays for the next one."""
        self._clock += 1
        sequence.busy = False
        sequence.used_at = self._clock
        sequence.used_ns = time.time_ns()

    def forget(self, sequence: Sequence) -> None:
        """Empties a sequence whose memory can no longer be trusted."""
        self._empty(sequence)

    def make_room(self, keep: Sequence | None = None) -> bool:
        """Empties the idle sequence least worth keeping; False when there is none."""
        idle = [i for i in self.all if not i.busy and len(i.tokens) and i is not keep]
        if not idle:
            return False
        self._evict(min(idle, key=self._worth))
        return True

    @property
    def n_held_tokens(self) -> int:
        return sum(len(item.tokens) for item in self.all)

    def _free_id(self, source: Sequence | None) -> Sequence | None:
        idle = [item for item in self.all if not item.busy and item is not source]
        if not idle:
            return None
        empty = [item for item in idle if len(item.tokens) == 0]
        if empty:
            return empty[0]
        chosen = min(idle, key=self._worth)
        self._evict(chosen)
        return chosen

    def _worth(self, item: Sequence) -> tuple[bool, bool, int]:
        """Contained in another sequence < side requests < least recently used."""
        mine = item.tokens.view()
        contained = any(
            other is not item
            and len(other.tokens) >= len(mine)
            and common_prefix(other.tokens.view(), mine) == len(mine)
            for other in self.all
        )
        return (not contained, item.priority < 2, item.used_at)

    def _evict(self, item: Sequence) -> None:
        self._swap_out(item)
        self._empty(item)

    def _swap_out(self, item: Sequence) -> None:
        """Keeps what only this sequence holds, when it is worth its bytes."""
        mine = item.tokens.view()
        if item.priority >= 2 or len(mine) < MIN_TOKENS:
            return
        held = [o.tokens.view() for o in self.all if o is not item]
        held += [saved.tokens for saved in self.saved.all()]
        shared = max((common_prefix(other, mine) for other in held), default=0)
        if len(mine) - shared < MIN_TOKENS // 2:
            return
        if self.saved.room_for(self._context.state_size(item.seq_id)):
            blob = self._context.read_state(item.seq_id)
            if blob is not None:
                self.saved.add(mine, blob)

    def save_to_disk(self, limit: int = 1) -> int:
        """Writes up to `limit` idle conversations that no file holds yet; how many it wrote."""
        if self.disk is None:
            return 0
        written = 0
        for item in sorted(self.all, key=lambda item: -item.used_at):
            tokens = item.tokens.view()
            wanted = not item.busy and item.priority < 2 and len(tokens) >= _MIN_DISK_TOKENS
            if not wanted or written >= limit or self.disk.holds(tokens):
                continue
            if self.disk.is_unwanted(item.tag, item.used_ns):
                continue
            blob = self._context.read_state(item.seq_id)
            if blob is None or self._context.length(item.seq_id) != len(tokens):
                continue
            marks = self.checkpoints.matching(tokens, len(tokens))
            chosen = [m for m in marks if m.kind == "prefix"][:1] + marks[:_DISK_CHECKPOINTS]
            self._context.settle()
            kept = {
                m.n_tokens: SavedCheckpoint(m.n_tokens, m.kind, m.blob, m.logits) for m in chosen
            }
            written += self.disk.save(
                tokens, blob, list(kept.values()), tag=item.tag, used_ns=item.used_ns
            )
        return written

    def _empty(self, item: Sequence) -> None:
        self._context.clear(item.seq_id)
        item.tokens.cut(0)
