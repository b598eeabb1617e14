"""A text browser without scroll bars that loads nothing and never leaves its place."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, Qt, QUrl
from PySide6.QtGui import (
    QColor,
    QImage,
    QPainter,
    QPaintEvent,
    QTextFormat,
    QTextOption,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QTextBrowser, QWidget

from app.ui.transcript.look import Look

FORMULA_SCHEME = "garret-formula"


class PassiveBrowser(QTextBrowser):
    """Shows a document that someone else writes; scrolling belongs to the transcript."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.look = look
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setOpenLinks(False)
        self.setUndoRedoEnabled(False)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.viewport().setAutoFillBackground(False)
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        document = self.document()
        document.setDocumentMargin(0)
        document.setIndentWidth(look.em * 1.25)
        document.setDefaultFont(look.text)
        option = QTextOption()
        option.setWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        option.setTextDirection(Qt.LayoutDirection.LayoutDirectionAuto)
        document.setDefaultTextOption(option)

    def loadResource(self, kind: int, name: QUrl | str) -> object:
        """Our own drawn formulas, and nothing else in the world (security.md §8)."""
        url = name if isinstance(name, QUrl) else QUrl(name)
        if url.scheme() == FORMULA_SCHEME and self.look.formulas is not None:
            image = self.look.formulas.image(url.toString())
            if image is not None:
                return image
        return QImage()

    def height_for(self, width: int) -> int:
        """The height of the document at `width`."""
        document = self.document()
        if document.textWidth() != width:
            self.setFixedWidth(width)
            document.setTextWidth(width)
        return round(document.size().height() + 0.49)

    def wheelEvent(self, event: QWheelEvent) -> None:
        event.ignore()

    def paintEvent(self, event: QPaintEvent) -> None:
        self._paint_quote_bars(event)
        super().paintEvent(event)

    def _paint_quote_bars(self, event: QPaintEvent) -> None:
        painter = QPainter(self.viewport())
        self.each_quoted(lambda x, y, height: self._bar(painter, x, y, height))
        painter.end()

    def each_quoted(self, draw: Callable[[float, float, float], None]) -> None:
        """Calls `draw(x, y, height)` for each quotation bar of each block."""
        layout = self.document().documentLayout()
        block = self.document().firstBlock()
        was_quoted = False
        while block.isValid():
            level = block.blockFormat().intProperty(QTextFormat.Property.BlockQuoteLevel)
            if level:
                rect = layout.blockBoundingRect(block)
                margin = block.blockFormat().topMargin() if was_quoted else 0.0
                for depth in range(level):
                    x = depth * self.look.em * 0.9
                    draw(x, rect.top() - margin, rect.height() + margin)
            was_quoted = bool(level)
            block = block.next()

    def _bar(self, painter: QPainter, x: float, y: float, height: float) -> None:
        color = QColor(self.look.colors.border)
        painter.fillRect(round(x), round(y), 3, round(height), color)

    def event(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ShortcutOverride:
            event.ignore()
            return False
        return super().event(event)
