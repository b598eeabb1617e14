"""A scroll area of cells, of which only those near the screen are widgets.

Every cell has a `Slot` with a measured or estimated height; `Column` knows where each stands. When
heights above the reader change, the cell at the upper edge stays where it is; when the reader is
at the end, the end stays in view (following). Whoever scrolls up is left alone until he returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QPalette, QResizeEvent
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QWidget

from app.ui.icons import Icons
from app.ui.scroll_bar import make_slim
from app.ui.theme import Colors, Theme
from app.ui.transcript.cell_view import CellView
from app.ui.transcript.cells import (
    Cell,
    CodeCell,
    CustomCell,
    SectionCell,
    same_kind,
    section_cells,
    whole_code,
)
from app.ui.transcript.code_modes import CodeMode, set_code_mode
from app.ui.transcript.colorer import Colorer
from app.ui.transcript.column import Column, Slot, estimate_height
from app.ui.transcript.finder import Finder
from app.ui.transcript.look import FormulaMaker, Look, make_look, measures_of
from app.ui.transcript.selection import SelectionKeeper
from app.ui.transcript.to_end_button import ToEndButton
from app.ui.transcript.turn import Turn
from app.ui.transcript.views import make_view

MAX_LIVE = 60
_SIDE_MARGIN = 24
_END_MARGIN = 28
_NEAR_END = 6
_IDLE_SLICE_S = 0.006
_AGAIN_MS = 1
_IDLE_DELAY_MS = 15  # after the last change, so that a resize is not slowed down
_AHEAD = 0.8  # of the viewport's height is built above and below while idle

ViewFactory = Callable[[Look, QWidget], CellView]


class CellArea(QAbstractScrollArea):
    """Places, measures, builds and throws away the views of a column of cells."""

    action = Signal(int, str, object)  # message id, verb, what it is about
    followed = Signal(bool)

    def __init__(
        self,
        theme: Theme,
        icons: Icons | None = None,
        formulas: FormulaMaker | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._theme = theme
        self._icons = icons
        self._formulas = formulas
        self._colorer = Colorer(self)
        self._look = make_look(theme, icons, formulas, self._colorer)
        self._measures = measures_of(self._look)
        self._column: Column[CellView] = Column(self._look.gap)
        self._options = (False, True)  # thinking opened by itself, speed in the footers
        self._alive: list[Slot[CellView]] = []
        self._factories: dict[str, ViewFactory] = {}
        self._following = True
        self._syncing = False
        self._anchor: tuple[int, int] = (0, 0)
        self._shift = 0
        self._finder = Finder(self)
        self._selection = SelectionKeeper(self, self)
        self._turn = Turn()
        self._again = QTimer(self)  # builds what the last turn had no time for
        self._again.setSingleShot(True)
        self._again.setInterval(_AGAIN_MS)
        self._again.timeout.connect(self._sync)
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(_IDLE_DELAY_MS)
        self._idle.timeout.connect(self._on_idle)
        self._setup_ui()
        theme.changed.connect(self._on_theme)
        if formulas is not None:
            formulas.drawn.connect(self._on_formulas)

    def _setup_ui(self) -> None:
        make_slim(self)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName(self.tr("Conversation"))
        self.viewport().setBackgroundRole(QPalette.ColorRole.Base)
        self.viewport().setAutoFillBackground(True)
        bar = self.verticalScrollBar()
        bar.valueChanged.connect(self._on_scrolled)
        self.to_end_button = ToEndButton(self._icons, self)
        self.to_end_button.clicked.connect(self.scroll_to_end)

    def register(self, kind: str, factory: ViewFactory) -> None:
        """How `CustomCell`s of this kind are drawn."""
        self._factories[kind] = factory

    def find_words(self, words: str) -> None:
        """Marks every hit of `words`; an empty text unmarks."""
        self._finder.search(words)

    def find_step(self, by: int) -> None:
        """Brings the next or the previous hit into view."""
        self._finder.step(by)

    def find_place(self) -> tuple[int, int]:
        """Number of the hit in view (1-based) and how many there are."""
        return self._finder.place()

    def all_cells(self) -> list[Cell]:
        """Every cell, in order."""
        return [slot.cell for slot in self._column.slots]

    def show_cell(self, index: int, y: int) -> CellView | None:
        """Brings the line at `y` of a cell to the upper third, unless it is in view."""
        self._set_following(False)
        third = self.viewport().height() // 3
        self._anchor = (index, y - third)
        self._sync()
        return self._column.slots[index].view

    @property
    def colors(self) -> Colors:
        return self._look.colors

    @property
    def is_following(self) -> bool:
        """Whether the end is kept in view."""
        return self._following

    def scroll_to_end(self) -> None:
        """Follows the end again."""
        self._set_following(True)
        self._sync()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._sync()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        bar = self.verticalScrollBar()
        if event.key() == Qt.Key.Key_Home:
            bar.setValue(bar.minimum())
        elif event.key() == Qt.Key.Key_End:
            self.scroll_to_end()
        else:
            super().keyPressEvent(event)

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """Everything is placed by `_sync`."""

    def _column_geometry(self) -> tuple[int, int]:
        """Left edge and width of the text column."""
        room = self.viewport().width()
        width = max(min(room - 2 * _SIDE_MARGIN, self._look.column), 80)
        return max((room - width) // 2, 0), width

    def _slot(self, message_id: int, cell: Cell) -> Slot[CellView]:
        _left, width = self._column_geometry()
        return Slot(message_id, cell, estimate_height(cell, width, self._measures))

    def _put(self, message_id: int, cells: list[Cell]) -> None:
        """Makes a message's slots show `cells`, touching only what differs."""
        start, stop = self._column.range_of(message_id)
        slots = self._column.slots
        same = 0
        for slot, cell in zip(slots[start:stop], cells, strict=False):
            if slot.cell is not cell and slot.cell != cell:
                break
            same += 1
        fresh: list[Slot[CellView]] = []
        old = slots[start + same : stop]
        for index, cell in enumerate(cells[same:]):
            kept = old[index] if index < len(old) else None
            if kept is not None and type(kept.cell) is type(cell) and same_kind(kept.cell, cell):
                kept.cell = cell
                kept.width = 0
                if kept.view is not None:
                    kept.view.set_value(cell)
                else:
                    kept.height = self._slot(message_id, cell).height
                fresh.append(kept)
            else:
                fresh.append(self._slot(message_id, cell))
        for slot in old:
            if slot.view is not None and not any(slot is one for one in fresh):
                self._discard(slot)
        self._column.replace(start + same, stop, fresh)
        if start < self._anchor[0] and len(fresh) != len(old):
            self._anchor = (max(self._anchor[0] + len(fresh) - len(old), 0), self._anchor[1])

    def expand(self, index: int) -> int:
        """Cuts or parses an unparsed section in place; how many slots stand there now."""
        slot = self._column.slots[index]
        if not isinstance(slot.cell, SectionCell):
            return 1
        fresh = [self._slot(slot.message_id, cell) for cell in section_cells(slot.cell)]
        for one in fresh:
            one.modes = slot.modes
        self._column.replace(index, index + 1, fresh)
        if self._anchor[0] > index:
            self._anchor = (self._anchor[0] + len(fresh) - 1, self._anchor[1])
        return len(fresh)

    def _measure(self, index: int) -> int:
        """The true height of a slot, which gets its view now."""
        if index >= len(self._column):
            return 0
        _left, width = self._column_geometry()
        slot = self._column.slots[index]
        if slot.view is None:
            slot.view = self._make_view(slot)
            slot.width = 0
        if slot.width != width:
            height = slot.view.height_for(width)
            slot.view.resize(width + 2 * slot.view.outset, height)
            self._column.set_height(index, height, width)
        return slot.height

    def _set_following(self, on: bool) -> None:
        if on != self._following:
            self._following = on
            self.followed.emit(on)

    def _drop_views(self, start: int, stop: int) -> None:
        for slot in self._column.slots[start:stop]:
            if slot.view is not None:
                self._discard(slot)

    def _on_theme(self) -> None:
        look = make_look(self._theme, self._icons, self._formulas, self._colorer)
        thinking, speed = self._options
        self._look = replace(look, open_thinking=thinking, show_speed=speed)
        self._measures = measures_of(self._look)
        self._drop_views(0, len(self._column))
        self._column.gap = self._look.gap
        for slot in self._column.slots:
            slot.width = 0
        self._column.invalidate()
        self._sync()

    def views(self) -> list[tuple[int, CellView]]:
        """The cells that are widgets, in order, each with its message."""
        return [(slot.message_id, slot.view) for slot in self._column.slots if slot.view]

    @property
    def live_count(self) -> int:
        """How many cells are widgets now."""
        return len(self._alive)

    def scroll_to_message(self, message_id: int) -> None:
        """Brings the start of a message to the upper edge."""
        start, stop = self._column.range_of(message_id)
        if start < stop:
            self._set_following(False)
            self._anchor = (start, -self._look.gap)
            self._sync()

    def spoken_name(self, _message_id: int) -> str:
        """Who wrote a message, for a screen reader."""
        return ""

    @property
    def is_streaming(self) -> bool:
        """Whether more will come at the end."""
        return False

    def whole_code(self, message_id: int, first: CodeCell) -> str:
        """All lines of the code block that starts with `first`."""
        return whole_code(self.cells_of(message_id), first)

    def cells_of(self, message_id: int) -> list[Cell]:
        """The cells of one message as they are now."""
        start, stop = self._column.range_of(message_id)
        return [slot.cell for slot in self._column.slots[start:stop]]

    def _sync(self) -> None:
        """Measures what is visible, keeps the anchor, places and prunes the views."""
        if self._syncing:
            return
        self._syncing = True
        try:
            height = self.viewport().height()
            self._turn.begin()
            if self._following:
                self._measure_up(len(self._column) - 1, height)
            else:
                index, offset = self._anchor = self._near_anchor()
                self._measure_down(index, height + offset)
                if offset < 0:
                    self._measure_up(self._anchor[0] - 1, -offset)
            self._place()
        finally:
            self._syncing = False
        (self._again if self._turn.was_cut else self._idle).start()

    def _near_anchor(self) -> tuple[int, int]:
        """The anchor in the cell it falls into, so that nothing far above is measured.

        In what was not parsed the place is kept by its share of the guessed height.
        """
        column = self._column
        index, offset = self._anchor
        index = min(index, max(len(column) - 1, 0))
        while offset > 0 and index < len(column) - 1:
            step = column.top(index + 1) - column.top(index)
            if offset >= step:
                index, offset = index + 1, offset - step
                continue
            if not isinstance(column.slots[index].cell, SectionCell):
                break
            self._anchor = (index, offset)
            count = self.expand(index)
            if 0 < count < len(column) - index:
                share = (column.top(index + count) - column.top(index)) / max(step, 1)
                offset = round(offset * share)
        return min(index, max(len(column) - 1, 0)), offset

    def _may_build(self, index: int) -> bool:
        """Whether this cell costs nothing any more, or there is time to build it."""
        slot = self._column.slots[index]
        is_ready = slot.view is not None and slot.width == self._column_geometry()[1]
        return is_ready or self._turn.may_go_on()

    def _measure_up(self, index: int, room: int) -> None:
        while index >= 0 and room > 0 and self._may_build(index):
            if isinstance(self._column.slots[index].cell, SectionCell):
                index += self.expand(index) - 1  # its parts are measured one by one, from its end
            else:
                room -= self._measure(index) + self._look.gap
                index -= 1

    def _measure_down(self, index: int, room: int) -> None:
        while index < len(self._column) and room > 0 and self._may_build(index):
            if isinstance(self._column.slots[index].cell, SectionCell):
                self.expand(index)
            else:
                room -= self._measure(index)
                index += 1

    def _make_view(self, slot: Slot[CellView]) -> CellView:
        cell = slot.cell
        if isinstance(cell, CustomCell):
            view = self._factories[cell.kind](self._look, self.viewport())
        else:
            view = make_view(cell, self._look, self.viewport())
        view.set_modes(slot.modes)
        view.set_value(cell)
        if not view.accessibleName():
            view.setAccessibleName(self.spoken_name(slot.message_id))
        view.action.connect(
            lambda verb, about, at=slot: self._on_action(at.message_id, verb, about)
        )
        view.resized_itself.connect(lambda at=slot: self._on_resized(at))
        if self._finder.words:
            self._finder.mark(view)
        self._selection.watch(view)
        self._alive.append(slot)
        return view

    def _place(self) -> None:
        column, height = self._column, self.viewport().height()
        margin = self._look.gap * 2
        total = column.total() + margin + _END_MARGIN
        most = max(total - height, 0)
        value = most
        if not self._following and len(column):
            index, offset = self._anchor
            value = min(max(column.top(index) + margin + offset, 0), most)
        bar = self.verticalScrollBar()
        bar.setPageStep(height)
        bar.setSingleStep(round(self._look.em * 1.3))
        bar.setRange(0, most)
        bar.setValue(value)
        shift = margin - value
        moved, self._shift = shift - self._shift, shift
        if moved and abs(moved) < height:
            self.viewport().scroll(0, moved)  # pixels that only move are not painted again
        self._place_views(-shift - height, -shift + 2 * height, shift)
        self.to_end_button.place(is_following=self._following, is_streaming=self.is_streaming)

    def _place_views(self, low: int, high: int, shift: int) -> None:
        """Moves the views between `low` and `high` into place and drops the others."""
        column = self._column
        left, _width = self._column_geometry()
        near: set[int] = set()
        index = column.index_at(max(low, 0))
        while index < len(column) and column.top(index) < high:
            slot = column.slots[index]
            view = slot.view
            if view is not None:
                near.add(id(slot))
                view.move(left - view.outset, column.top(index) + shift)
                if view.isHidden():
                    view.show()
            index += 1
        for slot in [slot for slot in self._alive if id(slot) not in near]:
            assert slot.view is not None
            if slot.view.selected_text() and self.live_count < MAX_LIVE:
                slot.view.hide()
            else:
                self._discard(slot)

    def _hold_place(self) -> None:
        """The cell at the upper edge becomes the anchor."""
        if len(self._column):
            inside = self.verticalScrollBar().value() - self._look.gap * 2
            index = self._column.index_at(inside)
            self._anchor = (index, inside - self._column.top(index))

    def _on_scrolled(self, value: int) -> None:
        if self._syncing:
            return
        self._set_following(value >= self.verticalScrollBar().maximum() - _NEAR_END)
        if not self._following:
            self._hold_place()
        self._sync()

    def _on_idle(self) -> None:
        """Builds one screen ahead in each direction, a few milliseconds at a time."""
        if not len(self._column) or not self.isVisible():
            return
        until = time.perf_counter() + _IDLE_SLICE_S
        ahead = round(self.viewport().height() * _AHEAD)
        low, high = -self._shift - ahead, -self._shift + self.viewport().height() + ahead
        _left, width = self._column_geometry()
        index = self._column.index_at(max(low, 0))
        changed = False
        while index < len(self._column) and self._column.top(index) < high:
            slot = self._column.slots[index]
            if slot.view is None or slot.width != width:
                if self.live_count >= MAX_LIVE:
                    break
                if time.perf_counter() > until:
                    self._idle.start()
                    break
                changed = True
                if isinstance(slot.cell, SectionCell):
                    self.expand(index)
                    continue
                self._measure(index)
            index += 1
        if changed:
            self._sync()

    def _discard(self, slot: Slot[CellView]) -> None:
        assert slot.view is not None
        slot.view.hide()
        slot.view.deleteLater()
        slot.view = None
        self._alive.remove(slot)

    def _on_resized(self, slot: Slot[CellView]) -> None:
        self._hold_place()
        slot.width = 0
        self._set_following(False)
        self._sync()

    def _on_formulas(self, drawn: frozenset[str]) -> None:
        for slot in self._alive:
            if slot.view is not None and slot.view.outdate(drawn):
                slot.width = 0  # written again when it is measured
        if not self._following:
            self._hold_place()
        self._sync()

    def _on_action(self, message_id: int, verb: str, about: object) -> None:
        if isinstance(about, CodeMode):
            self._hold_place()
            set_code_mode(self._column.slots, about)
            self._set_following(False)
            self._sync()
            return
        if verb in ("copy_code", "save_code") and isinstance(about, CodeCell):
            about = self.whole_code(message_id, about)
        self.action.emit(message_id, verb, about)
