"""A file's changes with Keep and Undo at each: one column, or the old beside the new."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from app.agent.review import FileReview
from app.ui.agent.diff_colors import FileColors
from app.ui.agent.diff_pane import DiffPane
from app.ui.agent.diff_rows import Row, split_rows, unified_rows
from app.ui.buttons import FlatButton
from app.ui.theme import Theme, tint


class DiffView(QWidget):
    """Values in; what a person decides comes out with the review it was decided on."""

    keep_wanted = Signal(object, tuple)  # FileReview, numbers of hunks
    undo_wanted = Signal(object, tuple)

    def __init__(self, theme: Theme, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._review: FileReview | None = None
        self._colors = FileColors()
        self._is_split = False
        self._heads: dict[int, int] = {}  # row → group
        self._pool: list[_Decision] = []
        self._one = DiffPane(("old", "new"), theme.colors, self)
        self._old = DiffPane(("old",), theme.colors, self)
        self._new = DiffPane(("new",), theme.colors, self)
        self._one.setAccessibleName(self.tr("Difference"))
        self._old.setAccessibleName(self.tr("Before"))
        self._new.setAccessibleName(self.tr("After"))
        self._sentence = QLabel(self)
        self._sentence.setTextFormat(Qt.TextFormat.PlainText)
        self._sentence.setWordWrap(True)
        self._sentence.setAlignment(Qt.AlignmentFlag.AlignTop)
        for pane in (self._one, self._old, self._new):
            pane.clicked_group.connect(self._on_group)
            pane.moved.connect(self._place_decisions)
        self._tie(self._old, self._new)
        self._sides = QWidget(self)
        sides = QHBoxLayout(self._sides)
        sides.setContentsMargins(0, 0, 0, 0)
        sides.setSpacing(1)
        sides.addWidget(self._old, 1)
        sides.addWidget(self._new, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self._sentence)
        column.addWidget(self._one, 1)
        column.addWidget(self._sides, 1)
        theme.changed.connect(self._restyle)
        self._restyle()
        self.show_review(None)

    @property
    def is_split(self) -> bool:
        return self._is_split

    @property
    def current(self) -> int:
        """The change that Keep and Undo by key mean; -1 with none."""
        return self._front().current

    @property
    def review(self) -> FileReview | None:
        return self._review

    def rows(self) -> Sequence[Row]:
        """What is shown in the (right) column."""
        return self._front().rows

    def set_split(self, on: bool) -> None:
        """Old beside new, or everything in one column."""
        if on != self._is_split:
            self._is_split = on
            self.show_review(self._review)

    def show_review(self, review: FileReview | None) -> None:
        """Another file, or the same after a decision: then the next change becomes current."""
        same_file = review is not None and self._review is not None
        same_file = same_file and self._review.path == review.path  # type: ignore[union-attr]
        before = self.current if same_file else 0
        if not same_file or review != self._review:
            self._colors = FileColors()
        self._review = review
        groups = len(review.groups) if review is not None else 0
        self._sentence.setText(review.sentence if review is not None else "")
        self._sentence.setVisible(not groups)
        self._one.setVisible(bool(groups) and not self._is_split)
        self._sides.setVisible(bool(groups) and self._is_split)
        if review is not None and groups:
            if self._is_split:
                left, right = split_rows(review)
                self._old.show_rows(left)
                self._new.show_rows(right)
            else:
                self._one.show_rows(unified_rows(review))
        rows = self.rows() if groups else ()
        self._heads = {at: row.group for at, row in enumerate(rows) if row.kind == "head"}
        self._set_current(min(max(before, 0), groups - 1))
        if review is not None and not same_file:
            self._front().scroll_to(0)
        self.show_colors(self._colors)
        self._place_decisions()

    def show_colors(self, colors: FileColors) -> None:
        """Syntax colours, when they have been worked out."""
        self._colors = colors
        for pane in (self._one,) if not self._is_split else (self._old, self._new):
            pane.show_colors(colors.old, colors.new)

    def step(self, by: int) -> bool:
        """The next or previous change; False when there is none in this file."""
        count = len(self._review.groups) if self._review is not None else 0
        wanted = self.current + by
        if not 0 <= wanted < count:
            return False
        self._set_current(wanted)
        head = next((at for at, group in self._heads.items() if group == wanted), 0)
        self._front().scroll_to(head)
        return True

    def decide(self, *, keep: bool, group: int | None = None) -> None:
        """Keeps or undoes a change, the current one unless another is named."""
        review = self._review
        number = self.current if group is None else group
        if review is None or not 0 <= number < len(review.groups):
            return
        signal = self.keep_wanted if keep else self.undo_wanted
        signal.emit(review, review.groups[number].numbers)

    def focus_text(self) -> None:
        """The keyboard goes into the text."""
        self._front().setFocus()

    def _front(self) -> DiffPane:
        return self._new if self._is_split else self._one

    def _set_current(self, group: int) -> None:
        for pane in (self._one, self._old, self._new):
            pane.current = group
            pane.viewport().update()
            pane.update_gutter()

    def _on_group(self, group: int) -> None:
        self._set_current(group)

    def _place_decisions(self) -> None:
        """Buttons float over the head of every change on screen."""
        pane = self._front()
        visible = pane.visible_rows()
        wanted = [(row, self._heads[row]) for row in visible if self._heads.get(row, -1) >= 0]
        while len(self._pool) < len(wanted):
            self._pool.append(_Decision(self))
        for decision, (row, group) in zip(self._pool, wanted, strict=False):
            rect = pane.row_rect(row)
            decision.setParent(pane.viewport())
            decision.group = group
            decision.set_look(self._theme)
            size = decision.sizeHint()
            bottom = rect.bottom() + 1
            left = pane.viewport().width() - size.width() - 6
            decision.setGeometry(left, bottom - size.height(), size.width(), size.height())
            decision.setVisible(not rect.isNull())
        for decision in self._pool[len(wanted) :]:
            decision.hide()

    def _tie(self, one: DiffPane, other: DiffPane) -> None:
        for a, b in ((one, other), (other, one)):
            a.verticalScrollBar().valueChanged.connect(b.verticalScrollBar().setValue)
            a.horizontalScrollBar().valueChanged.connect(b.horizontalScrollBar().setValue)
        one.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def _restyle(self) -> None:
        for pane in (self._one, self._old, self._new):
            pane.set_look(self._theme.colors, self._theme.code_font())
        tint(self._sentence, self._theme.colors.muted)
        self._place_decisions()


class _Decision(QWidget):
    """Keep and Undo of one change."""

    def __init__(self, view: DiffView) -> None:
        super().__init__(view)
        self.group = -1
        self.keep = FlatButton(self.tr("Keep"), self, "outlined")
        self.undo = FlatButton(self.tr("Undo"), self, "outlined")
        self.keep.setToolTip(self.tr("This change is right; it leaves the list"))
        self.undo.setToolTip(self.tr("Put back what was here before"))
        self.keep.clicked.connect(lambda: view.decide(keep=True, group=self.group))
        self.undo.clicked.connect(lambda: view.decide(keep=False, group=self.group))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        row.addWidget(self.keep)
        row.addWidget(self.undo)
        self.setAutoFillBackground(True)
        self.setCursor(Qt.CursorShape.ArrowCursor)

    def set_look(self, theme: Theme) -> None:
        number = self.group + 1
        self.keep.setAccessibleName(self.tr("Keep change {}").format(number))
        self.undo.setAccessibleName(self.tr("Undo change {}").format(number))
        palette = self.palette()
        palette.setColor(self.backgroundRole(), theme.colors.base)
        self.setPalette(palette)
        for button in (self.keep, self.undo):
            button.setFont(theme.small_font())
