"""How fast the transcript opens, streams, resizes, and what it weighs.

Runs offscreen. Two conversations are measured: one of 400,000 characters in a hundred messages,
and one of 2,000 messages. The last line printed with --json is one object: the top level holds
the figures of the first conversation, `messages_2000` those of the second, `giant_message` those
of one single answer of 400,000 characters. Milliseconds; a frame is everything from the arrival
of tokens to the pixels (parse, lay out, paint).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import psutil
from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication

from app.core.messages import TextPart
from app.ui.application import create_application, icons_folder
from app.ui.icons import Icons
from app.ui.theme import Theme
from app.ui.transcript.messages import MessageItem
from app.ui.transcript.transcript import Transcript

TOKENS_PER_S = 200
CHARS_PER_TOKEN = 4
FRAME_S = 0.033
SIZE = (1000, 760)

PROSE = (
    "Prompt reuse matters because reading is slow: a machine that writes **forty tokens a second** "
    "may need a minute to read a long file again. The engine therefore keeps `checkpoints` and "
    "compares token ids, not text. See [the notes](https://example.org/notes) for the details.\n\n"
)
LIST = "- first, measure\n- then, change *one* thing\n- measure again, with `--repeat 5`\n\n"
CODE = (
    "```python\ndef longest_common_prefix(a: list[int], b: list[int]) -> int:\n"
    '    """Number of leading items both lists share."""\n    count = 0\n'
    "    for left, right in zip(a, b):\n        if left != right:\n            break\n"
    "        count += 1\n    return count\n```\n\n"
)
TABLE = (
    "| step | tokens | ms |\n|---|--:|--:|\n| read | 12,400 | 9,100 |\n| write | 412 | 10,300 |\n\n"
)


def answer(chars: int) -> str:
    """Markdown as models write it, of about that length."""
    block = "## Why it is slow\n\n" + PROSE * 4 + LIST + CODE + PROSE + TABLE
    return (block * (chars // len(block) + 1))[:chars]


def conversation(messages: int, chars: int) -> list[MessageItem]:
    """Questions and answers that add up to `chars`."""
    each = max(chars // max(messages // 2, 1) - 60, 40)
    items = []
    for number in range(messages):
        is_user = number % 2 == 0
        text = f"Question {number}: why does this take so long?" if is_user else answer(each)
        if is_user:
            items.append(MessageItem(number + 1, "user", (TextPart(text),), author="You"))
        else:
            items.append(MessageItem(number + 1, "assistant", (TextPart(text),), author="Model"))
    return items


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of all lie."""
    ordered = sorted(values)
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 2)


def rss_mb() -> float:
    """Resident memory of this process."""
    return float(psutil.Process().memory_info().rss) / 1e6


def timed(work: Callable[[], None]) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


class Bench:
    """One transcript, measured from empty to long."""

    def __init__(self, app: QApplication, transcript: Transcript) -> None:
        self._app = app
        self._transcript = transcript

    def measure(self, items: list[MessageItem], frames: int) -> dict[str, object]:
        """All figures for one conversation."""
        transcript = self._transcript
        transcript.set_messages([])
        self._settle()
        gc.collect()
        before = rss_mb()
        opened = timed(lambda: self._open(items))
        self._settle()
        streaming = self._stream(frames)
        resizes = self._resize()
        self._scroll_through()
        gc.collect()
        return {
            "open_ms": round(opened, 1),
            "resize_p95_ms": percentile(resizes, 0.95),
            "memory_mb": round(rss_mb() - before, 1),
            "streaming": streaming,
            "live_views": transcript.live_count,
            "characters": sum(len(item.text) for item in items),
            "messages": len(items),
        }

    def _turn(self) -> None:
        """One turn of the event loop, deletions included as in a running one."""
        self._app.processEvents()
        self._app.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

    def _open(self, items: list[MessageItem]) -> None:
        self._transcript.set_messages(items)
        self._transcript.viewport().repaint()

    def _settle(self) -> None:
        until = time.perf_counter() + 0.4
        while time.perf_counter() < until:
            self._turn()
            time.sleep(0.002)

    def _stream(self, frames: int) -> dict[str, float]:
        transcript = self._transcript
        text = answer(frames * 40)
        item = MessageItem(1_000_000, "assistant", (), "streaming", author="assistant")
        transcript.begin_answer(item)
        at = 0
        spent: list[float] = []
        cpu: list[float] = []
        for number in range(frames):
            due = round((number + 1) * FRAME_S * TOKENS_PER_S) * CHARS_PER_TOKEN
            pieces = [text[i : i + CHARS_PER_TOKEN] for i in range(at, due, CHARS_PER_TOKEN)]
            at = due
            start, worked = time.perf_counter(), time.thread_time()
            for piece in pieces:
                transcript.append_text(item.id, piece)
            transcript.flush()
            self._turn()
            spent.append((time.perf_counter() - start) * 1000)
            cpu.append((time.thread_time() - worked) * 1000)
        transcript.end_answer(item)
        return {
            "p50_frame_ms": percentile(spent, 0.5),
            "p95_frame_ms": percentile(spent, 0.95),
            "p99_frame_ms": percentile(spent, 0.99),
            "cpu_p95_frame_ms": percentile(cpu, 0.95),  # what a busy machine does not blur
            "max_frame_ms": round(max(spent), 2),
            "frames": len(spent),
        }

    def _resize(self) -> list[float]:
        transcript = self._transcript
        transcript.verticalScrollBar().setValue(transcript.verticalScrollBar().maximum() // 2)
        self._settle()
        spent = []
        for step in range(60):
            width = 560 + abs(30 - step) * 14

            def change(to: int = width) -> None:
                transcript.resize(to, SIZE[1])
                self._turn()

            spent.append(timed(change))
        transcript.resize(*SIZE)
        self._settle()
        return spent

    def _scroll_through(self) -> None:
        bar = self._transcript.verticalScrollBar()
        for step in range(101):
            bar.setValue(bar.maximum() * (100 - step) // 100)
            self._turn()


def main() -> int:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--frames", type=int, default=300, help="streamed frames per conversation")
    options = parser.parse_args()
    app = create_application(sys.argv[:1])
    theme = Theme(app)
    transcript = Transcript(theme, Icons(icons_folder(), theme))
    transcript.resize(*SIZE)
    transcript.show()
    bench = Bench(app, transcript)
    bench.measure(conversation(10, 20_000), 20)  # fonts, lexers and code paths are warm then
    result = bench.measure(conversation(100, 400_000), options.frames)
    result["messages_2000"] = bench.measure(conversation(2_000, 800_000), options.frames)
    giant = [MessageItem(1, "assistant", (TextPart(answer(400_000)),), author="assistant")]
    result["giant_message"] = bench.measure(giant, 60)
    if options.json:
        print(json.dumps(result))
    else:
        for name in (None, "messages_2000", "giant_message"):
            part = result if name is None else result[name]
            assert isinstance(part, dict)
            print(name or "400,000 characters in 100 messages")
            for key, value in part.items():
                if key not in ("messages_2000", "giant_message"):
                    print(f"  {key}: {value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
