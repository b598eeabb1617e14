"""Finding words in a conversation whose far parts are neither drawn nor parsed."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
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

_MOST_MARKS = 50  # in one cell, a screenful at most: each costs a stroke of the brush
_MOST_HITS = 500
_MOST_PARSED = 4  # parts at once on the way to a hit: a chapter, a section and what they hide


class Findable(Protocol):
    """What the finder needs of the transcript."""

    def all_cells(self) -> list[Cell]: ...

    def views(self) -> list[tuple[int, CellView]]: ...

    def show_cell(self, index: int, y: int) -> CellView | None: ...

    def expand(self, index: int) -> int: ...

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

    A hit is its number in the conversation. Where it stands is looked up when it is shown: only
    then is the part it lies in parsed, so searching a long conversation costs one look at its text.
    """

    def __init__(self, area: Findable) -> None:
        self._area = area
        self._words = ""
        self._at = -1
        self._count = 0
        self._front: tuple[CellView, int] | None = None  # the view with the hit in front

    @property
    def words(self) -> str:
        return self._words

    def search(self, words: str) -> None:
        """Starts anew; the last hit is brought into view first, as the newest."""
        changed = words != self._words
        self._words = words
        self._count = sum(self._counts())
        if changed or self._at >= self._count:
            self._at = self._count - 1
        self._front = None
        if self._count:
            self._show()
        self.mark_all()

    def step(self, by: int) -> None:
        """Round and round."""
        if self._count:
            self._at = (self._at + by) % self._count
            self._show()
            self.mark_all()

    def place(self) -> tuple[int, int]:
        return (self._at + 1, self._count) if self._count else (0, 0)

    def mark_all(self) -> None:
        """Marks the hits in every drawn cell."""
        for _owner, view in self._area.views():
            self.mark(view)

    def mark(self, view: CellView) -> None:
        """Marks the hits in one view."""
        editor = editor_of(view)
        if editor is None:
            return
        here = self._front[1] if self._front is not None and self._front[0] is view else -1
        colors = self._area.colors
        cursors = _cursors(editor.document(), self._words, max(_MOST_MARKS, here + 1))
        marks = [
            _selection(cursor, colors.found_here if number == here else colors.found)
            for number, cursor in enumerate(cursors)
            if number < _MOST_MARKS or number == here
        ]
        if marks or editor.extraSelections():
            editor.setExtraSelections(marks)

    def _counts(self) -> list[int]:
        """How many hits each cell has."""
        needle = self._words.casefold()
        if not needle:
            return []
        return [cell_text(cell).casefold().count(needle) for cell in self._area.all_cells()]

    def _locate(self) -> tuple[int, int]:
        """The cell with the hit in front and the number of the hit in it; parses it if need be."""
        for _try in range(_MOST_PARSED):
            counts = self._counts()
            self._count = sum(counts)
            self._at = min(self._at, self._count - 1)
            if self._at < 0:
                return -1, -1
            upto = list(accumulate(counts))
            index = bisect_right(upto, self._at)
            if not isinstance(self._area.all_cells()[index], SectionCell):
                return index, self._at - (upto[index] - counts[index])
            self._area.expand(index)
        return -1, -1  # what was counted is not in the text as it is read

    def _show(self) -> None:
        index, number = self._locate()
        view = self._area.show_cell(index, 0) if index >= 0 else None
        editor = editor_of(view) if view is not None else None
        if view is None or editor is None:
            return
        cursors = _cursors(editor.document(), self._words, min(number + 1, _MOST_HITS))
        if cursors:
            number = min(number, len(cursors) - 1)
            self._front = (view, number)
            at = QTextCursor(cursors[number])
            at.setPosition(cursors[number].selectionStart())
            y = editor.cursorRect(at).center().y() + editor.y()
            self._area.show_cell(index, y)


def _cursors(document: QTextDocument, words: str, most: int) -> list[QTextCursor]:
    found: list[QTextCursor] = []
    if not words:
        return found
    cursor = document.find(words)
    while not cursor.isNull() and len(found) < most:
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
