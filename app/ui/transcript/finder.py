"""Finding words in a conversation whose far parts are not drawn."""

from __future__ import annotations

from typing import Protocol

from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor, QTextDocument
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit

from app.ui.theme import Colors
from app.ui.transcript.cell_view import CellView
from app.ui.transcript.cells import (
    Cell,
    CodeCell,
    ProseCell,
    SectionCell,
    TableCell,
    UserCell,
)


class Findable(Protocol):
    """What the finder needs of the transcript."""

    def all_cells(self) -> list[Cell]: ...

    def view_at(self, index: int) -> CellView | None: ...

    def show_cell(self, index: int, y: int) -> CellView | None: ...

    def parse_all(self) -> None: ...

    @property
    def colors(self) -> Colors: ...


def cell_text(cell: Cell) -> str:
    """The text of a cell as far as finding goes: its source."""
    match cell:
        case ProseCell(blocks):
            return "\n".join(block.source for block in blocks)
        case TableCell(source):
            return source
        case CodeCell(code):
            return code
        case UserCell(text):
            return text
        case SectionCell(section):
            return section.text
        case _:
            return ""


def editor_of(view: CellView) -> QTextEdit | QPlainTextEdit | None:
    """The text widget inside a view."""
    found = getattr(view, "browser", None) or getattr(view, "text", None)
    return found if isinstance(found, QTextEdit | QPlainTextEdit) else None


class Finder:
    """Counts hits in the sources and marks them in what is drawn.

    A hit is a cell and the number of the hit within it; the exact place is looked up in the
    drawn document, where Markdown's own characters are gone.
    """

    def __init__(self, area: Findable) -> None:
        self._area = area
        self._words = ""
        self._hits: list[tuple[int, int]] = []
        self._at = -1

    @property
    def words(self) -> str:
        return self._words

    def search(self, words: str) -> None:
        """Starts anew; the last hit is brought into view first, as the newest."""
        changed = words != self._words
        self._words = words
        self._hits = []
        if words:
            self._area.parse_all()
            needle = words.casefold()
            for index, cell in enumerate(self._area.all_cells()):
                count = cell_text(cell).casefold().count(needle)
                self._hits += [(index, number) for number in range(count)]
        if changed or self._at >= len(self._hits):
            self._at = len(self._hits) - 1
        if self._hits:
            self._show()
        self.mark_all()

    def step(self, by: int) -> None:
        """Round and round."""
        if self._hits:
            self._at = (self._at + by) % len(self._hits)
            self._show()
            self.mark_all()

    def place(self) -> tuple[int, int]:
        return (self._at + 1, len(self._hits)) if self._hits else (0, 0)

    def mark_all(self) -> None:
        """Marks the hits in every drawn cell."""
        here = self._hits[self._at] if self._hits and self._at >= 0 else (-1, -1)
        for index in range(len(self._area.all_cells())):
            view = self._area.view_at(index)
            if view is not None:
                self.mark(view, here[1] if index == here[0] else -1)

    def mark(self, view: CellView, here: int = -1) -> None:
        """Marks the hits in one view; `here` is the one in front."""
        editor = editor_of(view)
        if editor is None:
            return
        colors = self._area.colors
        marks = [
            _selection(cursor, colors.found_here if number == here else colors.found)
            for number, cursor in enumerate(_cursors(editor.document(), self._words))
        ]
        editor.setExtraSelections(marks)

    def _show(self) -> None:
        index, number = self._hits[self._at]
        view = self._area.show_cell(index, 0)
        editor = editor_of(view) if view is not None else None
        if view is None or editor is None:
            return
        cursors = _cursors(editor.document(), self._words)
        if cursors:
            cursor = cursors[min(number, len(cursors) - 1)]
            at = QTextCursor(cursor)
            at.setPosition(cursor.selectionStart())
            y = editor.cursorRect(at).center().y() + editor.y()
            self._area.show_cell(index, y)


def _cursors(document: QTextDocument, words: str) -> list[QTextCursor]:
    found: list[QTextCursor] = []
    if not words:
        return found
    cursor = document.find(words)
    while not cursor.isNull() and len(found) < 2_000:
        found.append(cursor)
        cursor = document.find(words, cursor)
    return found


def _selection(cursor: QTextCursor, color: QColor) -> QTextEdit.ExtraSelection:
    selection = QTextEdit.ExtraSelection()
    form = QTextCharFormat()
    form.setBackground(color)
    selection.cursor = cursor
    selection.format = form
    return selection
