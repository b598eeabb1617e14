"""The line above the composer: what is going on, for how long, and what it cost in tokens."""

from __future__ import annotations

from PySide6.QtCore import QElapsedTimer, Qt, QTimer
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from app.agent.events import TokenCount
from app.ui.theme import Theme, tint
from app.ui.words import duration_words, short_count

_TICK_MS = 1_000
_MARGIN = 28


class RunMeter(QWidget):
    """Hidden while there is nothing to say. The clock runs by itself from `begin` to `end`."""

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._tokens = TokenCount()
        self._clock = QElapsedTimer()
        self._seconds = 0
        self._timer = QTimer(self)
        self._timer.setInterval(_TICK_MS)
        self._timer.timeout.connect(self._show)
        self.doing = QLabel(self)
        self.cost = QLabel(self)
        for label in (self.doing, self.cost):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self.doing.setMinimumWidth(40)
        row = QHBoxLayout(self)
        row.setContentsMargins(_MARGIN, 2, _MARGIN, 6)
        row.setSpacing(12)
        row.addWidget(self.doing, 1)
        row.addWidget(self.cost)
        theme.changed.connect(self._restyle)
        self._restyle()
        self.hide()

    def clear(self) -> None:
        """Before the first task."""
        self._timer.stop()
        self.doing.clear()
        self.cost.clear()
        self.hide()

    def begin(self) -> None:
        """A task starts: the clock and the counts start at nothing."""
        self._tokens = TokenCount()
        self._clock.start()
        self._timer.start()
        self.show()
        self._show()

    def say(self, words: str) -> None:
        """What it is doing, in one line."""
        self.doing.setText(words)
        self.doing.setToolTip(words)

    def add(self, tokens: TokenCount) -> None:
        """The tokens of one more step."""
        self._tokens += tokens
        self._show()

    def end(self, words: str | None = None) -> None:
        """The task is over; the clock stops. None leaves the words as they are."""
        if self._timer.isActive():
            self._timer.stop()
            self._show()
        if words is not None:
            self.say(words)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if self._clock.isValid():
            self._show_cost()

    def _show(self) -> None:
        self._seconds = self._clock.elapsed() // 1000
        self._show_cost()

    def _show_cost(self) -> None:
        tokens, seconds = self._tokens, self._seconds
        narrow = self.width() < self._theme.em() * 26
        self.cost.setText(
            duration_words(seconds)
            if narrow
            else self.tr("{time}  ·  read {read}  ·  reused {reused}  ·  wrote {wrote}").format(
                time=duration_words(seconds),
                read=short_count(tokens.evaluated),
                reused=short_count(tokens.reused),
                wrote=short_count(tokens.written),
            )
        )
        self.cost.setToolTip(
            self.tr(
                "Tokens are pieces of words. Read: {read:,} the model had to read anew. "
                "Reused: {reused:,} it remembered from before. Wrote: {wrote:,} of its own."
            ).format(read=tokens.evaluated, reused=tokens.reused, wrote=tokens.written)
        )

    def _restyle(self) -> None:
        for label in (self.doing, self.cost):
            label.setFont(self._theme.small_font())
            tint(label, self._theme.colors.muted)
