"""Progress on stderr: one live line on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TextIO

QUIET_INTERVAL_S = 15.0
FRAME_S = 0.12


class SetupFailed(Exception):
    """One sentence on what went wrong and one on what to do."""

    def __init__(self, sentence: str, remedy: str) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy


def clock(seconds: float) -> str:
    """Elapsed time as m:ss."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}:{rest:02d}"


class Step:
    """One piece of work that may take a while; shows that it is alive until it ends."""

    def __init__(self, title: str, stream: TextIO | None = None) -> None:
        self._title = title
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        encoding = (self._stream.encoding or "ascii").lower()
        self._fancy = encoding.replace("-", "") == "utf8"
        self._detail = ""
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._tick, daemon=True)

    def say(self, detail: str) -> None:
        """What is being done at this moment."""
        self._detail = detail

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began

    def __enter__(self) -> Step:
        if not self._live:
            self._line(f"  {self._title} …" if self._fancy else f"  {self._title} ...")
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()
        good, bad = ("✓", "✗") if self._fancy else ("ok", "!!")
        mark = good if kind is None else bad
        self._line(f"{mark} {self._title}  {clock(self.elapsed_s)}")

    def _tick(self) -> None:
        frames = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if self._fancy else "|/-\\"
        count = 0
        while not self._stop.wait(FRAME_S if self._live else QUIET_INTERVAL_S):
            count += 1
            text = f"{self._title}  {clock(self.elapsed_s)}  {self._detail}".rstrip()
            if self._live:
                self._write(f"\r\x1b[K{frames[count % len(frames)]} {text[:110]}")
            else:
                self._line(f"  {text}")

    def _line(self, text: str) -> None:
        self._write(("\r\x1b[K" if self._live else "") + text + "\n")

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "ascii"
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()


def say(text: str) -> None:
    """A line for the person at the terminal."""
    encoding = sys.stderr.encoding or "ascii"
    print(text.encode(encoding, "replace").decode(encoding), file=sys.stderr, flush=True)
