"""Bytes of sampled tokens to text: complete characters only, stop strings cut out."""

from __future__ import annotations

import codecs
from collections.abc import Sequence


class TextStream:
    """One answer as it is written.

    A suffix that may be the beginning of a stop string is held back until it is decided. After
    `stop_text` is set nothing more comes out.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(text for text in stop if text)
        self._held = ""
        self.stop_text: str | None = None

    def feed(self, data: bytes) -> str:
        """The text that is certain now."""
        text = self._decoder.decode(data)
        return text if not self._stop else self._cut(text)

    def finish(self) -> str:
        """What was still held back, with a lone partial character as U+FFFD."""
        if self.stop_text is not None:
            return ""
        text = self._decoder.decode(b"", final=True)
        if not self._stop:
            return text
        text = self._cut(text)
        held, self._held = self._held, ""
        return text + ("" if self.stop_text else held)

    def _cut(self, text: str) -> str:
        if self.stop_text is not None:
            return ""
        pending = self._held + text
        found = [(pending.find(stop), stop) for stop in self._stop if stop in pending]
        if found:
            at, self.stop_text = min(found, key=lambda hit: (hit[0], -len(hit[1])))
            self._held = ""
            return pending[:at]
        keep = max(_overlap(pending, stop) for stop in self._stop)
        self._held = pending[len(pending) - keep :]
        return pending[: len(pending) - keep]


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop` (but is not all of it)."""
    for n in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:n]):
            return n
    return 0
