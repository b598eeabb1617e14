"""The conversation: a scroll area in which only the cells near the screen are widgets.

Every cell has a `Slot` with a measured or estimated height; `Column` knows where each stands. When
heights above the reader change, the cell at the upper edge stays where it is; when the reader is
at the end, the end stays in view (following). Whoever scrolls up is left alone until he returns.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from PySide6.QtCore import QElapsedTimer, Qt, QTimer, Signal
from PySide6.QtGui import QFontMetricsF, QKeyEvent, QPalette, QResizeEvent, QTextDocument
from PySide6.QtWidgets import QAbstractScrollArea, QFrame, QWidget

from app.core.events import PromptProgress
from app.ui.buttons import FlatButton
from app.ui.icons import Icons
from app.ui.scroll_bar import make_slim
from app.ui.theme import Colors, Theme
from app.ui.transcript.blocks import clean
from app.ui.transcript.cell_view import CellView
from app.ui.transcript.cells import (
    Cell,
    CodeCell,
    CustomCell,
    NoticeCell,
    ProseCell,
    SectionCell,
    markdown_cells,
)
from app.ui.transcript.column import Column, Measures, Slot, estimate_height
from app.ui.transcript.finder import Finder, cell_text
from app.ui.transcript.live import LiveAnswer
from app.ui.transcript.look import FormulaMaker, Look, make_look
from app.ui.transcript.markdown import parse_source
from app.ui.transcript.messages import MessageItem, footer_of, message_cells
from app.ui.transcript.views import make_view
from app.ui.transcript.writer import DocumentWriter

MAX_LIVE = 60
FRAME_MS = 33
_SIDE_MARGIN = 24
_END_MARGIN = 28
_NEAR_END = 6
_IDLE_SLICE_S = 0.006
_AHEAD = 0.8  # of the viewport's height is built above and below while idle

ViewFactory = Callable[[Look, QWidget], CellView]


class Transcript(QAbstractScrollArea):
    """Shows messages; streams one or more answers; reports what the reader asks for."""

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
        self._look = make_look(theme, icons, formulas)
        self._measures = measures_of(self._look)
        self._column: Column[CellView] = Column(self._look.gap)
        self._items: dict[int, MessageItem] = {}
        self._live: dict[int, LiveAnswer] = {}
        self._dirty: set[int] = set()
        self._factories: dict[str, ViewFactory] = {}
        self._following = True
        self._syncing = False
        self._anchor: tuple[int, int] = (0, 0)
        self._shift = 0
        self._finder = Finder(self)
        self._frame = QTimer(self)
        self._frame.setSingleShot(True)
        self._frame.timeout.connect(self.flush)
        self._idle = QTimer(self)
        self._idle.setSingleShot(True)
        self._idle.setInterval(0)
        self._idle.timeout.connect(self._on_idle)
        self._setup_ui()
        theme.changed.connect(self._on_theme)

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
        self.to_end_button = FlatButton(self.tr("New"), self, "filled")
        self.to_end_button.set_round()
        if self._icons is not None:
            self._icons.bind(self.to_end_button, "arrow-down", on_accent=True)
        self.to_end_button.setToolTip(self.tr("To the end of the conversation"))
        self.to_end_button.setAccessibleName(self.to_end_button.toolTip())
        self.to_end_button.clicked.connect(self.scroll_to_end)
        self.to_end_button.hide()

    # -- content ----------------------------------------------------------------------------

    def register(self, kind: str, factory: ViewFactory) -> None:
        """How `CustomCell`s of this kind are drawn."""
        self._factories[kind] = factory

    def set_messages(self, items: Iterable[MessageItem]) -> None:
        """Shows a conversation from its end."""
        self._drop_views(0, len(self._column))
        self._live.clear()
        self._dirty.clear()
        self._items = {item.id: item for item in items}
        slots: list[Slot[CellView]] = []
        for item in self._items.values():
            slots += [self._slot(item.id, cell) for cell in message_cells(item)]
        self._column.replace(0, len(self._column), slots)
        self._following = True
        self._sync()

    def set_message(self, item: MessageItem) -> None:
        """Shows a new message at the end, or a changed one in its place."""
        self._items[item.id] = item
        self._live.pop(item.id, None)
        self._put(item.id, message_cells(item))
        self._sync()

    def set_cells(self, message_id: int, cells: list[Cell]) -> None:
        """Shows cells of another page's making under an id of its own."""
        self._put(message_id, cells)
        self._sync()

    def remove_message(self, message_id: int) -> None:
        """Takes a message away."""
        self._items.pop(message_id, None)
        self._live.pop(message_id, None)
        start, stop = self._column.range_of(message_id)
        self._drop_views(start, stop)
        self._column.replace(start, stop, [])
        self._sync()

    def remove_from(self, message_id: int) -> None:
        """Takes a message and everything after it away."""
        start, _stop = self._column.range_of(message_id)
        gone = {slot.message_id for slot in self._column.slots[start:]}
        self._drop_views(start, len(self._column))
        self._column.replace(start, len(self._column), [])
        for one in gone:
            self._items.pop(one, None)
            self._live.pop(one, None)
        self._set_following(True)
        self._sync()

    def add_before_queued(self, item: MessageItem) -> None:
        """A new message at the end, but before the ones that wait (their ids are negative)."""
        waiting = [one for one in self._items.values() if one.state == "queued"]
        for one in waiting:
            self.remove_message(one.id)
        self.set_message(item)
        for one in waiting:
            self.set_message(one)

    def set_note_under(self, message_id: int, note: NoticeCell | None) -> None:
        """A notice under an answer that goes on; None takes it away."""
        live = self._live.get(message_id)
        if live is not None:
            live.notice = note
            self._touch(message_id)

    def messages(self) -> list[MessageItem]:
        """What is shown, oldest first."""
        return list(self._items.values())

    def item(self, message_id: int) -> MessageItem | None:
        return self._items.get(message_id)

    # -- streaming --------------------------------------------------------------------------

    def begin_answer(self, item: MessageItem) -> None:
        """An answer starts to stream into `item`."""
        self._items[item.id] = item
        self._live[item.id] = LiveAnswer()
        self._touch(item.id)

    def set_progress(self, message_id: int, progress: PromptProgress) -> None:
        """The engine reads the prompt."""
        if message_id in self._live:
            self._live[message_id].set_progress(progress)
            self._touch(message_id)

    def set_note(self, message_id: int, note: str) -> None:
        """What is waited for."""
        if message_id in self._live:
            self._live[message_id].set_note(note)
            self._touch(message_id)

    def append_text(self, message_id: int, text: str, thought_s: float | None = None) -> None:
        """More of an answer."""
        if message_id in self._live:
            self._live[message_id].add_text(text, thought_s)
            self._touch(message_id)

    def append_thinking(self, message_id: int, text: str) -> None:
        """More reasoning."""
        if message_id in self._live:
            self._live[message_id].add_thinking(text)
            self._touch(message_id)

    def end_answer(self, item: MessageItem, thought_s: float | None = None) -> None:
        """The answer is complete, stopped or failed."""
        live = self._live.pop(item.id, None)
        self._items[item.id] = item
        self._dirty.discard(item.id)
        if live is None:
            self.set_message(item)
            return
        cells = live.finish(thought_s)
        if item.notice is not None:
            cells.append(item.notice)
        self._put(item.id, [*cells, footer_of(item)])
        self._sync()

    def flush(self) -> None:
        """Draws what has come in since the last frame."""
        if not self._dirty:
            return
        clock = QElapsedTimer()
        clock.start()
        for message_id in list(self._dirty):
            live = self._live.get(message_id)
            if live is not None:
                self._put(message_id, live.cells())
        self._dirty.clear()
        self._sync()
        # A tail that is dear to draw is drawn less often, so that typing stays smooth.
        self._frame.setInterval(max(FRAME_MS, min(4 * clock.elapsed(), 400)))

    # -- finding ----------------------------------------------------------------------------

    def find_words(self, words: str) -> None:
        """Marks every hit of `words`; an empty text unmarks."""
        self._finder.search(words)

    def find_step(self, by: int) -> None:
        """Brings the next or the previous hit into view."""
        self._finder.step(by)

    def find_place(self) -> tuple[int, int]:
        """Number of the hit in view (1-based) and how many there are."""
        return self._finder.place()

    def _touch(self, message_id: int) -> None:
        self._dirty.add(message_id)
        if not self._frame.isActive():
            self._frame.start()

    def all_cells(self) -> list[Cell]:
        """Every cell, in order."""
        return [slot.cell for slot in self._column.slots]

    def view_at(self, index: int) -> CellView | None:
        """The widget of a cell, if it has one now."""
        return self._column.slots[index].view

    def parse_all(self) -> None:
        """Turns what is not parsed yet into cells, so that it can be searched."""
        index = 0
        while index < len(self._column):
            index += self._expand(index)

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

    # -- place ------------------------------------------------------------------------------

    @property
    def is_following(self) -> bool:
        """Whether the end is kept in view."""
        return self._following

    def scroll_to_end(self) -> None:
        """Follows the end again."""
        self._set_following(True)
        self._sync()

    def scroll_to_message(self, message_id: int) -> None:
        """Brings the start of a message to the upper edge."""
        start, stop = self._column.range_of(message_id)
        if start < stop:
            self._set_following(False)
            self._anchor = (start, -self._look.gap)
            self._sync()

    @property
    def live_count(self) -> int:
        """How many cells are widgets now."""
        return sum(1 for slot in self._column.slots if slot.view is not None)

    def views(self) -> list[tuple[int, CellView]]:
        """The cells that are widgets, in order, each with its message."""
        return [(slot.message_id, slot.view) for slot in self._column.slots if slot.view]

    def selected_text(self, message_id: int | None = None) -> str:
        """What is marked, in one message or anywhere, as plain text."""
        found = [
            view.selected_text()
            for owner, view in self.views()
            if message_id is None or owner == message_id
        ]
        return "\n".join(text for text in found if text)

    def plain_text(self, message_id: int) -> str:
        """A message as it reads, without Markdown's own characters."""
        document = QTextDocument()
        parts: list[str] = []
        item = self._items.get(message_id)
        for cell in markdown_cells(clean(item.text)) if item is not None else []:
            if isinstance(cell, ProseCell):
                document.clear()
                for block in cell.blocks:
                    writer = DocumentWriter(document, self._look)
                    writer.write(parse_source(block.source, cell.definitions), block.start)
                parts.append(document.toPlainText())
            else:
                parts.append(cell_text(cell))
        return "\n\n".join(parts)

    def cells_of(self, message_id: int) -> list[Cell]:
        """The cells of one message as they are now."""
        start, stop = self._column.range_of(message_id)
        return [slot.cell for slot in self._column.slots[start:stop]]

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

    # -- inside -----------------------------------------------------------------------------

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
            if kept is not None and type(kept.cell) is type(cell) and _same_kind(kept.cell, cell):
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

    def _sync(self) -> None:
        """Measures what is visible, keeps the anchor, places and prunes the views."""
        if self._syncing:
            return
        self._syncing = True
        try:
            if self._following:
                self._measure_up(len(self._column) - 1, self.viewport().height())
            else:
                index, offset = self._anchor
                index = min(index, max(len(self._column) - 1, 0))
                self._anchor = (index, offset)
                if offset < 0:
                    before = len(self._column)
                    self._measure_up(index - 1, -offset)
                    index += len(self._column) - before
                self._measure_down(index, self.viewport().height() + max(offset, 0))
            self._place()
        finally:
            self._syncing = False
        self._idle.start()

    def _measure_up(self, index: int, room: int) -> None:
        while index >= 0 and room > 0:
            index += self._expand(index) - 1
            room -= self._measure(index) + self._look.gap
            index -= 1

    def _measure_down(self, index: int, room: int) -> None:
        while index < len(self._column) and room > 0:
            self._expand(index)
            room -= self._measure(index)
            index += 1

    def _expand(self, index: int) -> int:
        """Parses an unparsed section in place; how many slots stand there now."""
        slot = self._column.slots[index]
        if not isinstance(slot.cell, SectionCell):
            return 1
        cells = markdown_cells(slot.cell.text, slot.cell.definitions)
        fresh = [self._slot(slot.message_id, cell) for cell in cells]
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

    def _make_view(self, slot: Slot[CellView]) -> CellView:
        cell = slot.cell
        if isinstance(cell, CustomCell):
            view = self._factories[cell.kind](self._look, self.viewport())
        else:
            view = make_view(cell, self._look, self.viewport())
        view.set_value(cell)
        item = self._items.get(slot.message_id)
        if item is not None and not view.accessibleName():
            view.setAccessibleName(item.spoken_name)
        view.action.connect(
            lambda verb, about, at=slot: self._on_action(at.message_id, verb, about)
        )
        view.resized_itself.connect(lambda at=slot: self._on_resized(at))
        if self._finder.words:
            self._finder.mark(view)
        return view

    def _place(self) -> None:
        column = self._column
        height = self.viewport().height()
        top_margin = self._look.gap * 2
        total = column.total() + top_margin + _END_MARGIN
        bar = self.verticalScrollBar()
        most = max(total - height, 0)
        value = most
        if not self._following and len(column):
            index, offset = self._anchor
            value = min(max(column.top(index) + top_margin + offset, 0), most)
        bar.setPageStep(height)
        bar.setSingleStep(round(self._look.em * 1.3))
        bar.setRange(0, most)
        bar.setValue(value)
        left, _width = self._column_geometry()
        shift = top_margin - value
        low, high = value - top_margin - height, value - top_margin + 2 * height
        if total < height:
            shift = top_margin
        moved, self._shift = shift - self._shift, shift
        if moved and abs(moved) < height:
            self.viewport().scroll(0, moved)  # pixels that only move are not painted again
        for index, slot in self._live_slots():
            view = slot.view
            assert view is not None
            top = column.top(index)
            if (top > high or top + slot.height < low) and not view.selected_text():
                self._discard(slot)
                continue
            view.move(left - view.outset, top + shift)
            if view.isHidden():
                view.show()
        self._place_button()

    def _live_slots(self) -> list[tuple[int, Slot[CellView]]]:
        return [(i, slot) for i, slot in enumerate(self._column.slots) if slot.view is not None]

    def _place_button(self) -> None:
        away = self.verticalScrollBar().maximum() - self.verticalScrollBar().value()
        shown = not self._following and (bool(self._live) or away > self.viewport().height() // 2)
        self.to_end_button.setText(self.tr("New") if self._live else "")
        hint = self.to_end_button.sizeHint()
        place = (self.viewport().width() - hint.width()) // 2
        self.to_end_button.setGeometry(
            place, self.height() - hint.height() - 12, hint.width(), hint.height()
        )
        self.to_end_button.setVisible(shown)
        self.to_end_button.raise_()

    def _on_scrolled(self, value: int) -> None:
        if self._syncing:
            return
        bar = self.verticalScrollBar()
        self._set_following(value >= bar.maximum() - _NEAR_END)
        if not self._following and len(self._column):
            inside = value - self._look.gap * 2
            index = self._column.index_at(inside)
            self._anchor = (index, inside - self._column.top(index))
        self._sync()

    def _set_following(self, on: bool) -> None:
        if on != self._following:
            self._following = on
            self.followed.emit(on)

    def _on_idle(self) -> None:
        """Builds one screen ahead in each direction, a few milliseconds at a time."""
        if not len(self._column) or not self.isVisible():
            return
        until = time.perf_counter() + _IDLE_SLICE_S
        if not self._following and self._keep_anchor():
            pass
        height = round(self.viewport().height() * _AHEAD)
        value = self.verticalScrollBar().value() - self._look.gap * 2
        low, high = value - height, value + self.viewport().height() + height
        _left, width = self._column_geometry()
        index = self._column.index_at(max(low, 0))
        changed = False
        while index < len(self._column) and self._column.top(index) < high:
            slot = self._column.slots[index]
            if slot.view is None or slot.width != width:
                if self.live_count >= MAX_LIVE:
                    break
                if time.perf_counter() > until:
                    self._sync() if changed else self._idle.start()
                    return
                self._expand(index)
                self._measure(index)
                changed = True
            index += 1
        if changed:
            self._sync()

    def _keep_anchor(self) -> bool:
        return self._anchor[0] < len(self._column)

    def _drop_views(self, start: int, stop: int) -> None:
        for slot in self._column.slots[start:stop]:
            if slot.view is not None:
                self._discard(slot)

    def _discard(self, slot: Slot[CellView]) -> None:
        assert slot.view is not None
        slot.view.hide()
        slot.view.deleteLater()
        slot.view = None

    def _on_resized(self, slot: Slot[CellView]) -> None:
        slot.width = 0
        self._set_following(False)
        self._sync()

    def _on_action(self, message_id: int, verb: str, about: object) -> None:
        if verb in ("copy_code", "save_code") and isinstance(about, CodeCell):
            about = self.whole_code(message_id, about)
        self.action.emit(message_id, verb, about)

    def whole_code(self, message_id: int, first: CodeCell) -> str:
        """All lines of the code block that starts with `first`."""
        lines: list[str] = []
        taking = False
        for cell in self.cells_of(message_id):
            taking = taking or cell is first
            if taking and isinstance(cell, CodeCell):
                lines.append(cell.code)
                if cell.is_last:
                    break
        return "\n".join(lines)

    def _on_theme(self) -> None:
        self._look = make_look(self._theme, self._icons, self._formulas)
        self._measures = measures_of(self._look)
        self._drop_views(0, len(self._column))
        self._column.gap = self._look.gap
        for slot in self._column.slots:
            slot.width = 0
        self._column.invalidate()
        self._sync()


def measures_of(look: Look) -> Measures:
    """What height estimates need of the look."""
    text, code = QFontMetricsF(look.text), QFontMetricsF(look.code)
    return Measures(look.em * 1.42, text.averageCharWidth(), code.lineSpacing(), look.gap)


def _same_kind(old: Cell, new: Cell) -> bool:
    """Whether a view of `old` can go on with `new`."""
    if isinstance(old, CodeCell) and isinstance(new, CodeCell):
        return old.first_line == new.first_line and old.language == new.language
    return not isinstance(old, CustomCell) or (isinstance(new, CustomCell) and old.kind == new.kind)
