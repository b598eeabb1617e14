"""The list over the composer: prompts after “/”, files after “@”."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QPoint, QSize, Qt
from PySide6.QtWidgets import QFrame, QListWidget, QListWidgetItem, QWidget

from app.ui.composer_text import ComposerText
from app.ui.scroll_bar import make_slim

_MOST = 8
_PAD = 4


@dataclass(frozen=True, slots=True)
class Offer:
    """One line: what it is called, a few words, and what it stands for."""

    name: str
    note: str
    value: object


def word_before(text: str, position: int) -> tuple[str, int]:
    """The word the cursor is at the end of, and where it starts."""
    start = position
    while start > 0 and not text[start - 1].isspace():
        start -= 1
    return text[start:position], start


class CompletionList(QListWidget):
    """Keys come from the composer, which keeps the focus."""

    def __init__(
        self,
        box: ComposerText,
        offers: Callable[[str, bool], Sequence[Offer]],
        chosen: Callable[[Offer, int, int], None],
        parent: QWidget,
    ) -> None:
        super().__init__(parent)
        make_slim(self)
        self._box = box
        self._offers = offers
        self._chosen = chosen
        self._shown: list[Offer] = []
        self._start = 0
        self._dismissed = ""
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setViewportMargins(_PAD, _PAD, _PAD, _PAD)
        self.setUniformItemSizes(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAccessibleName(self.tr("Suggestions"))
        self.itemClicked.connect(lambda _item: self._take())
        box.textChanged.connect(self._on_text)
        box.cursorPositionChanged.connect(self._on_text)
        box.completion_key.connect(self._on_key)
        self.hide()

    def refresh(self) -> None:
        """There may be something else to offer now."""
        if self._box.hasFocus():
            self._on_text()

    def _on_text(self) -> None:
        text, position = self._box.toPlainText(), self._box.textCursor().position()
        word, start = word_before(text, position)
        if not word or word == self._dismissed:
            self._close()
            return
        self._dismissed = ""
        found = list(self._offers(word, start == 0))[:_MOST]
        if not found or (len(found) == 1 and found[0].name == word):
            self._close()
            return
        self._start = start
        if found != self._shown:
            self._shown = found
            self.clear()
            for offer in found:
                item = QListWidgetItem(f"{offer.name}    {offer.note}".rstrip())
                item.setSizeHint(QSize(0, self._row_height()))
                self.addItem(item)
            self.setCurrentRow(0)
        self._place()
        self._box.completing = True

    def _on_key(self, key: int) -> None:
        if key == Qt.Key.Key_Escape:
            word, _start = word_before(self._box.toPlainText(), self._box.textCursor().position())
            self._dismissed = word
            self._close()
        elif key == Qt.Key.Key_Down:
            self.setCurrentRow((self.currentRow() + 1) % self.count())
        elif key == Qt.Key.Key_Up:
            self.setCurrentRow((self.currentRow() - 1) % self.count())
        else:
            self._take()

    def _take(self) -> None:
        offer = self._shown[max(self.currentRow(), 0)]
        end = self._box.textCursor().position()
        start = self._start
        self._close()
        self._chosen(offer, start, end)

    def _place(self) -> None:
        host = self.parentWidget()
        assert host is not None
        rows = self.count()
        height = rows * self._row_height() + 2 * self.frameWidth() + 2 * _PAD
        width = min(max(self.sizeHintForColumn(0) + 40, 260), host.width() - 40)
        corner = self._box.mapTo(host, QPoint(0, -height - 12))
        self.setGeometry(corner.x(), max(corner.y(), 4), width, height)
        self.show()
        self.raise_()

    def _row_height(self) -> int:
        return round(self.fontMetrics().height() * 1.75)

    def _close(self) -> None:
        self._shown = []
        self._box.completing = False
        self.hide()
