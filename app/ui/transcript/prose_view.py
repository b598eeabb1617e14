"""Prose cells: one document, rewritten from the first block that differs."""

from __future__ import annotations

from PySide6.QtGui import QTextBlockFormat, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QTextEdit, QVBoxLayout, QWidget

from app.ui.transcript.blocks import Block
from app.ui.transcript.cell_view import CellView
from app.ui.transcript.cells import Cell, ProseCell
from app.ui.transcript.look import Look
from app.ui.transcript.markdown import parse_source
from app.ui.transcript.text_browser import PassiveBrowser
from app.ui.transcript.writer import DocumentWriter


class ProseView(CellView):
    """Paragraphs, headings, lists, quotations and formulas."""

    def __init__(self, look: Look, parent: QWidget | None = None) -> None:
        super().__init__(look, parent)
        self._blocks: tuple[Block, ...] = ()
        self._definitions = ""
        self._ends: list[int] = []
        self._is_outdated = False
        self.browser = PassiveBrowser(look, self)
        self.browser.anchorClicked.connect(
            lambda url: self.action.emit("open_link", url.toString())
        )
        self.browser.highlighted.connect(lambda url: self.action.emit("hover", url.toString()))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.browser)

    def set_value(self, value: Cell) -> None:
        assert isinstance(value, ProseCell)
        same = 0
        if value.definitions == self._definitions:
            for old, new in zip(self._blocks, value.blocks, strict=False):
                if old != new:
                    break
                same += 1
        self._definitions = value.definitions
        if same == len(value.blocks) == len(self._blocks):
            return
        marked = self.browser.textCursor()
        anchor, position = marked.anchor(), marked.position()
        self._cut_to(same)
        self._write(value.blocks[same:])
        self._blocks = value.blocks
        if anchor != position:
            self._restore_selection(anchor, position)

    def outdate(self, drawn: frozenset[str]) -> bool:
        found = any(latex in block.source for block in self._blocks for latex in drawn)
        self._is_outdated = self._is_outdated or found
        return found

    def height_for(self, width: int) -> int:
        if self._is_outdated:
            self._is_outdated = False
            self._cut_to(0)
            self._write(self._blocks)
        return self.browser.height_for(width)

    def selected_text(self) -> str:
        return self.browser.textCursor().selection().toPlainText()

    def clear_selection(self) -> None:
        cursor = self.browser.textCursor()
        if cursor.hasSelection():
            cursor.clearSelection()
            self.browser.setTextCursor(cursor)

    def set_marks(self, marks: list[QTextEdit.ExtraSelection]) -> None:
        """Hits of a search."""
        self.browser.setExtraSelections(marks)

    def _write(self, blocks: tuple[Block, ...]) -> None:
        document = self.browser.document()
        cursor = QTextCursor(document)
        cursor.beginEditBlock()
        for block in blocks:
            writer = DocumentWriter(document, self.look)
            if block.kind == "math":
                writer.write_display_math(block.source)
            else:
                writer.write(parse_source(block.source, self._definitions), block.start)
            self._ends.append(document.characterCount() - 1)
        cursor.endEditBlock()

    def _cut_to(self, count: int) -> None:
        """Removes every block after the first `count`."""
        if count == 0:
            if self._ends:
                self.browser.document().clear()
            self._ends.clear()
            return
        if count == len(self._ends):
            return
        del self._ends[count:]
        cursor = QTextCursor(self.browser.document())
        cursor.beginEditBlock()
        cursor.setPosition(self._ends[-1])
        form: QTextBlockFormat = cursor.blockFormat()
        char: QTextCharFormat = cursor.blockCharFormat()
        cursor.movePosition(QTextCursor.MoveOperation.End, QTextCursor.MoveMode.KeepAnchor)
        cursor.removeSelectedText()
        cursor.setBlockFormat(form)
        cursor.setBlockCharFormat(char)
        cursor.endEditBlock()

    def _restore_selection(self, anchor: int, position: int) -> None:
        last = self.browser.document().characterCount() - 1
        cursor = self.browser.textCursor()
        cursor.setPosition(min(anchor, last))
        cursor.setPosition(min(position, last), QTextCursor.MoveMode.KeepAnchor)
        self.browser.setTextCursor(cursor)
