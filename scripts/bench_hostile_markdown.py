"""How long hostile Markdown holds up the window: the worst stretch of GUI-thread work per case.

Runs offscreen. A stretch is everything between two moments at which the window can react: one
change of the transcript, or one turn of the event loop. Each text is opened, left alone, scrolled,
resized, searched, streamed in small pieces and all at once, and shown as a question; `--json`
prints one object last with `limit_ms`, `worst_ms`, `over` and one row per case under `cases`:
the worst stretch of each phase by the thread's own time, `wall_ms` the worst by the clock, which a
busy machine blurs.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PySide6.QtCore import QEvent
from PySide6.QtWidgets import QApplication

from app.core.messages import TextPart
from app.ui.application import create_application, icons_folder
from app.ui.icons import Icons
from app.ui.theme import Theme
from app.ui.transcript.formulas import Formulas
from app.ui.transcript.messages import MessageItem
from app.ui.transcript.transcript import Transcript
from scripts.hostile_markdown import texts

LIMIT_MS = 100.0
SIZE = (1000, 760)
_PIECE_CHARS = 800
_PIECES = 75
_SETTLED_TURNS = 3
_MOST_TURNS = 60
_JUMPS = 12
_WIDTHS = (520, 700, 900, 1000)
WARM = "warm **x** `y` $x$\n\n```py\nx = 1\n```\n\n| a |\n|---|\n| b |\n\n- x\n\n> y\n"


class Stretches:
    """The worst stretches of the phases of one case, in milliseconds."""

    def __init__(self, app: QApplication) -> None:
        self._app = app
        self.worst: dict[str, float] = {}
        self.wall = 0.0

    def take(self, phase: str, work: Callable[[], object]) -> float:
        """Runs `work` as one stretch of `phase`; its milliseconds of this thread."""
        wall, own = time.perf_counter(), time.thread_time()
        work()
        spent = (time.thread_time() - own) * 1000
        self.wall = max(self.wall, (time.perf_counter() - wall) * 1000)
        self.worst[phase] = max(self.worst.get(phase, 0.0), spent)
        return spent

    def turn(self, phase: str) -> float:
        """One turn of the event loop, as one stretch."""
        spent = self.take(phase, self._app.processEvents)
        self._app.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)
        return spent

    def settle(self, phase: str) -> None:
        """Turns until nothing happens any more."""
        calm = 0
        for _turn in range(_MOST_TURNS):
            calm = calm + 1 if self.turn(phase) < 0.3 else 0
            if calm >= _SETTLED_TURNS:
                return
            time.sleep(0.006)


class Bench:
    """One transcript that is shown one hostile text after another."""

    def __init__(self, app: QApplication, transcript: Transcript) -> None:
        self._app = app
        self._transcript = transcript

    def measure(self, text: str) -> Stretches:
        """All phases of one case."""
        found = Stretches(self._app)
        self._open(found, text)
        self._scroll(found)
        self._resize(found)
        self._find(found, text)
        self._stream(found, text)
        self._at_once(found, text)
        self._question(found, text)
        return found

    def _show(self, text: str, role: str) -> None:
        parts = (TextPart(text),)
        item = MessageItem(1, "user" if role == "user" else "assistant", parts)
        self._transcript.set_messages([item])
        self._transcript.viewport().repaint()

    def _open(self, found: Stretches, text: str) -> None:
        found.take("open", lambda: self._show(text, "assistant"))
        found.settle("open")

    def _scroll(self, found: Stretches) -> None:
        bar = self._transcript.verticalScrollBar()
        for jump in range(_JUMPS):
            self._scroll_to(found, bar.maximum() * jump // _JUMPS)
        for _page in range(_JUMPS):
            self._scroll_to(found, bar.value() + bar.pageStep())

    def _scroll_to(self, found: Stretches, value: int) -> None:
        found.take("scroll", lambda: self._transcript.verticalScrollBar().setValue(value))
        for _turn in range(3):
            found.turn("scroll")
            time.sleep(0.006)

    def _resize(self, found: Stretches) -> None:
        for width in _WIDTHS:
            found.take("resize", partial(self._transcript.resize, width, SIZE[1]))
            found.settle("resize")

    def _find(self, found: Stretches, text: str) -> None:
        for words in (text[:1].strip() or "a", text[:12].partition("\n")[0] or "b"):
            found.take("find", partial(self._transcript.find_words, words))
            found.settle("find")
            found.take("find", lambda: self._transcript.find_step(1))
            found.settle("find")
        found.take("find", lambda: self._transcript.find_words(""))

    def _stream(self, found: Stretches, text: str) -> None:
        shown = text[: _PIECE_CHARS * _PIECES]
        self._transcript.set_messages([])
        self._transcript.begin_answer(MessageItem(9, "assistant", (), "streaming"))
        for at in range(0, len(shown), _PIECE_CHARS):
            piece = shown[at : at + _PIECE_CHARS]
            self._transcript.append_text(9, piece)
            found.take("stream", self._transcript.flush)
            found.turn("stream")
        self._end(found, shown)

    def _at_once(self, found: Stretches, text: str) -> None:
        self._transcript.set_messages([])
        self._transcript.begin_answer(MessageItem(9, "assistant", (), "streaming"))
        found.take("at_once", lambda: self._transcript.append_text(9, text))
        found.take("at_once", self._transcript.flush)
        found.settle("at_once")
        self._end(found, text)

    def _end(self, found: Stretches, text: str) -> None:
        item = MessageItem(9, "assistant", (TextPart(text),))
        found.take("end", lambda: self._transcript.end_answer(item))
        found.settle("end")

    def _question(self, found: Stretches, text: str) -> None:
        found.take("question", lambda: self._show(text, "user"))
        found.settle("question")
        for _owner, view in self._transcript.views():
            unfold = getattr(view, "unfold", None)
            if unfold is not None:
                found.take("question", unfold)
                found.settle("question")


def row(name: str, text: str, found: Stretches) -> dict[str, object]:
    """One case of the report."""
    phases = {phase: round(spent, 1) for phase, spent in found.worst.items()}
    worst = max(phases.values())
    return {
        "case": name,
        "characters": len(text),
        "worst_ms": worst,
        **phases,
        "wall_ms": round(found.wall, 1),
    }


def main() -> int:
    """Runs and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--only", nargs="*", default=[], help="names of cases, or parts of them")
    options = parser.parse_args()
    app = create_application(sys.argv[:1])
    theme = Theme(app)
    formulas = Formulas()
    transcript = Transcript(theme, Icons(icons_folder(), theme), formulas)
    transcript.resize(*SIZE)
    transcript.show()
    bench = Bench(app, transcript)
    bench.measure(WARM * 30)  # fonts, lexers and code paths are warm then
    gc.collect()
    gc.freeze()  # as the app does when its window is up
    cases = []
    for name, text in texts().items():
        if options.only and not any(part in name for part in options.only):
            continue
        cases.append(row(name, text, bench.measure(text)))
        if not options.json:
            print(" ".join(f"{key}={value}" for key, value in cases[-1].items()), flush=True)
    transcript.set_messages([])
    formulas.close()
    over = [str(case["case"]) for case in cases if float(str(case["worst_ms"])) > LIMIT_MS]
    worst = max((float(str(case["worst_ms"])) for case in cases), default=0.0)
    report = {"limit_ms": LIMIT_MS, "worst_ms": worst, "over": over, "cases": cases}
    print(json.dumps(report) if options.json else f"worst {worst} ms, over {LIMIT_MS:g}: {over}")
    return 0 if not over else 1


if __name__ == "__main__":
    raise SystemExit(main())
