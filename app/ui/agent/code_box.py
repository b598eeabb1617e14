"""Read-only text in the code font: command output, the exact command, a unified diff in colour."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QSyntaxHighlighter, QTextCharFormat, QTextDocument
from PySide6.QtWidgets import QFrame, QPlainTextEdit, QWidget

from app.ui.agent.diff_pane import row_color
from app.ui.scroll_bar import make_slim
from app.ui.theme import Colors, mix


class _DiffColors(QSyntaxHighlighter):
    def __init__(self, document: QTextDocument, colors: Colors) -> None:
        super().__init__(document)
        self._colors = colors

    def set_colors(self, colors: Colors) -> None:
        self._colors = colors
        self.rehighlight()

    def highlightBlock(self, text: str) -> None:
        colors = self._colors
        kind = QTextCharFormat()
        if text.startswith(("+++", "---", "@@")):
            kind.setForeground(colors.muted)
        elif text.startswith("+"):
            kind.setBackground(mix(colors.base, row_color(colors, "added"), 0.16))
        elif text.startswith("-"):
            kind.setBackground(mix(colors.base, row_color(colors, "removed"), 0.16))
        else:
            return
        self.setFormat(0, len(text), kind)


class CodeBox(QPlainTextEdit):
    """As high as its text, up to `max_lines`; then it scrolls."""

    def __init__(self, colors: Colors, max_lines: int = 14, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        make_slim(self)
        self._max_lines = max_lines
        self._colors = colors
        self._highlighter: _DiffColors | None = None
        self.setReadOnly(True)
        self.setTabChangesFocus(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)

    def set_colors(self, colors: Colors) -> None:
        """After a switch between light and dark."""
        self._colors = colors
        if self._highlighter is not None:
            self._highlighter.set_colors(colors)

    def show_text(self, text: str, *, is_diff: bool = False) -> None:
        """Replaces what is shown; the view stays at the end while output comes in."""
        bar = self.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 2
        if is_diff and self._highlighter is None:
            self._highlighter = _DiffColors(self.document(), self._colors)
        text = text.rstrip("\n")
        self.setPlainText(text)
        lines = min(self._max_lines, max(1, text.count("\n") + 1))
        height = self.fontMetrics().lineSpacing() * lines + 12
        longest = max(text.split("\n"), key=len)
        if self.fontMetrics().horizontalAdvance(longest) > max(self.width(), 200) - 16:
            height += self.horizontalScrollBar().sizeHint().height()
        self.setFixedHeight(height)
        if at_end and not is_diff:
            bar.setValue(bar.maximum())
