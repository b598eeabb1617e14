"""What fills the model's memory of the conversation, and what happens when it is full."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from app.ui.context_gauge import ContextUse
from app.ui.details_popover import Popover
from app.ui.theme import Theme, mix, tint
from app.ui.words import count_words


def part_colors(theme: Theme) -> list[QColor]:
    """One colour for each part, from the accent."""
    colors = theme.colors
    return [mix(colors.accent, colors.base, share) for share in (0.0, 0.3, 0.52, 0.7)]


class _Bar(QWidget):
    def __init__(self, use: ContextUse, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        self._use = use
        self._theme = theme

    def sizeHint(self) -> QSize:
        return QSize(320, 12)

    def paintEvent(self, _event: QPaintEvent) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self._theme.colors.hover)
        painter.drawRoundedRect(QRectF(self.rect()), 5, 5)
        x = 0.0
        for (_name, tokens), color in zip(self._use.rows(), part_colors(self._theme), strict=False):
            width = self.width() * tokens / max(self._use.total, 1)
            painter.fillRect(QRectF(x, 0, max(width, 1.5), self.height()), color)
            x += width
        painter.end()


class ContextPopover(Popover):
    """A bar, its parts, and one sentence."""

    def __init__(self, use: ContextUse, theme: Theme, parent: QWidget) -> None:
        super().__init__(parent)
        title = QLabel(
            self.tr("The model remembers {used} of {total} tokens").format(
                used=count_words(use.used), total=count_words(use.total)
            ),
            self,
        )
        grid = QGridLayout()
        grid.setHorizontalSpacing(20)
        for row, (name, tokens) in enumerate(use.rows()):
            value = QLabel(self.tr("about {count}").format(count=count_words(tokens)), self)
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
            tint(value, theme.colors.muted)
            grid.addWidget(QLabel(name, self), row, 0)
            grid.addWidget(value, row, 1)
        note = QLabel(
            self.tr(
                "Nothing is ever cut silently. When it is full, Garret stops before sending and "
                "lets you start a new chat or shorten this one."
            ),
            self,
        )
        note.setWordWrap(True)
        note.setFont(theme.small_font())
        tint(note, theme.colors.muted)
        column = QVBoxLayout(self)
        column.setContentsMargins(16, 14, 16, 14)
        column.setSpacing(10)
        column.addWidget(title)
        column.addWidget(_Bar(use, theme, self))
        column.addLayout(grid)
        column.addWidget(note)
        self.setFixedWidth(360)
