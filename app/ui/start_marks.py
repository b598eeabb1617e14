"""How long a start takes, as the user sees it: one JSON line on stdout for each thing that happens.

`garret _start_marks` opens the ordinary window, asks a question as soon as it is on screen, and
closes it after the first word of the answer. scripts/bench_startup.py reads the lines.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from PySide6.QtCore import QEvent, QObject, QTimer
from PySide6.QtWidgets import QWidget

from app.core.engine_view import EngineView
from app.core.events import TextDelta, TurnEvent
from app.core.ports import ChatEngine, TurnRequest

COMMAND = "_start_marks"
_QUESTION = "Say hello in five words."
_LINGER_MS = 1500  # what is built after the first paint is in memory by then


class MarkedEngine:
    """A ChatEngine that says when the first word of an answer passes through it."""

    def __init__(self, inner: ChatEngine, on_word: Callable[[], None]) -> None:
        self._inner = inner
        self._on_word = on_word

    async def stream(self, request: TurnRequest) -> AsyncGenerator[TurnEvent, None]:
        async with aclosing(self._inner.stream(request)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    self._on_word()
                yield event

    async def models(self) -> list[str]:
        return await self._inner.models()

    async def count_tokens(self, request: TurnRequest) -> int | None:
        return await self._inner.count_tokens(request)

    async def context_tokens(self, model: str) -> int | None:
        return await self._inner.context_tokens(model)


class StartMarks(QObject):
    """Watches one start. `follow` the window, `see` the engine's views, talk through `engine`."""

    def __init__(self, engine: ChatEngine) -> None:
        super().__init__()
        self.engine = MarkedEngine(engine, lambda: self._on_word())
        self._seen: set[str] = set()
        self._window: QWidget | None = None

    def follow(self, window: QWidget, inside: QWidget, ask: Callable[[str], None]) -> None:
        """`inside` is a widget of the window whose first paint counts as the window's."""
        self._window = window
        self._ask = ask
        inside.installEventFilter(self)

    def see(self, view: EngineView) -> None:
        if view.error is not None:
            self._mark("failed", error=str(view.error))
        self._mark(view.phase)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() == QEvent.Type.Paint and "painted" not in self._seen:
            # the paint of the whole window is one step of the event loop; after it, all is shown
            QTimer.singleShot(0, self, self._on_painted)
        return False

    def _on_painted(self) -> None:
        if self._mark("painted"):
            self._ask(_QUESTION)

    def _on_word(self) -> None:
        if self._mark("first_word"):
            QTimer.singleShot(_LINGER_MS, self, self._end)

    def _end(self) -> None:
        self._mark("settled")
        if self._window is not None:
            self._window.close()

    def _mark(self, name: str, **facts: str) -> bool:
        if name in self._seen:
            return False
        self._seen.add(name)
        sys.stdout.write(json.dumps({"mark": name, **facts}) + "\n")
        sys.stdout.flush()
        return True
