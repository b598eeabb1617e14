"""Colours code a few milliseconds at a time, one block after another."""

from __future__ import annotations

import threading
from collections import deque
from typing import Protocol

import shiboken6
from PySide6.QtCore import QObject, QTimer

from app.ui.transcript.highlight import find_lexer

_LOOK_AGAIN_MS = 12


class Colorable(Protocol):
    """A widget with code that is to be coloured."""

    @property
    def language(self) -> str: ...

    def color_some(self) -> bool:
        """Colours for a few milliseconds; whether there is more to do."""


class Colorer(QObject):
    """One timer for all code on the screen, so that many blocks cost no more at once than one.

    A lexer is loaded in a thread: some take a tenth of a second to build their expressions.
    """

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waiting: deque[Colorable] = deque()
        self._ready: set[str] = set()
        self._loading: tuple[str, threading.Thread] | None = None
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._on_turn)

    def add(self, view: Colorable) -> None:
        """Colours `view` when its turn comes."""
        if not any(view is one for one in self._waiting):
            self._waiting.append(view)
        self._timer.start(0)

    def _on_turn(self) -> None:
        while self._waiting and not shiboken6.isValid(self._waiting[0]):
            self._waiting.popleft()  # thrown away before its turn came
        if not self._waiting:
            self._timer.stop()
        elif not self._is_ready(self._waiting[0].language):
            self._timer.setInterval(_LOOK_AGAIN_MS)
        else:
            self._timer.setInterval(0)
            if not self._waiting[0].color_some():
                self._waiting.popleft()

    def _is_ready(self, language: str) -> bool:
        if self._loading is not None:
            name, thread = self._loading
            if thread.is_alive():
                return False
            self._ready.add(name)
            self._loading = None
        if language in self._ready:
            return True
        thread = threading.Thread(
            target=find_lexer, args=(language,), name="load lexer", daemon=True
        )
        thread.start()
        self._loading = (language, thread)
        return False
