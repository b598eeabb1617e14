"""How full the context is: a small ring and two numbers."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from app.ui.theme import Theme
from app.ui.words import count_words, short_count

_NEARLY_FULL = 0.8


@dataclass(frozen=True, slots=True)
class ContextUse:
    """Tokens in the context, by what they are; `total` 0 means not known."""

    total: int = 0
    system: int = 0
    files: int = 0
    history: int = 0
    answer: int = 0

    @property
    def used(self) -> int:
        return self.system + self.files + self.history + self.answer

    @property
    def share(self) -> float:
        """0 to 1."""
        return min(self.used / self.total, 1.0) if self.total > 0 else 0.0

    def rows(self) -> list[tuple[str, int]]:
        """What fills it, for the popover; empty parts left out."""
        named = [
            ("Instructions", self.system),
            ("Files", self.files),
            ("Conversation", self.history),
            ("This answer", self.answer),
        ]
        return [(name, tokens) for name, tokens in named if tokens]


class ContextGauge(QWidget):
    """A ring that fills; amber when little is left."""

    clicked = Signal()

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._use = ContextUse()
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        theme.changed.connect(self._on_theme)
        self._on_theme()

    def set_use(self, use: ContextUse) -> None:
        """New numbers."""
        self._use = use
        self.setVisible(use.total > 0)
        words = self.tr("Context: {used} of {total} tokens used").format(
            used=count_words(use.used), total=count_words(use.total)
        )
        self.setToolTip(words)
        self.setAccessibleName(words)
        self.updateGeometry()
        self.update()

    @property
    def use(self) -> ContextUse:
        return self._use

    def sizeHint(self) -> QSize:
        height = self.fontMetrics().height() + 6
        return QSize(self.fontMetrics().horizontalAdvance(self._words()) + height + 4, height)

    def minimumSizeHint(self) -> QSize:
        return self.sizeHint()

    def paintEvent(self, _event: QPaintEvent) -> None:
        colors = self._theme.colors
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        size = self.fontMetrics().height() - 4
        ring = QRectF(2, (self.height() - size) / 2, size, size)
        pen = QPen(colors.border, 2.4)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.drawEllipse(ring)
        full = self._use.share >= _NEARLY_FULL
        pen.setColor(colors.warning if full else colors.accent)
        painter.setPen(pen)
        if self._use.share > 0.005:
            painter.drawArc(ring, 90 * 16, -round(self._use.share * 360 * 16))
        painter.setPen(colors.warning if full else colors.muted)
        painter.drawText(
            self.rect().adjusted(round(size) + 8, 0, 0, 0),
            Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignLeft,
            self._words(),
        )
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        if event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit()

    def _words(self) -> str:
        return f"{short_count(self._use.used)} / {short_count(self._use.total)}"

    def _on_theme(self) -> None:
        self.setFont(self._theme.small_font())
        self.update()
