"""The conversation: messages as cells, answers that stream in.

Deltas are gathered and drawn at most thirty times a second by one single-shot timer, so the last
of them is never left out; a tail that is dear to draw is drawn less often.
"""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import QElapsedTimer, QTimer
from PySide6.QtGui import QTextDocument
from PySide6.QtWidgets import QWidget

from app.core.events import PromptProgress
from app.ui.icons import Icons
from app.ui.theme import Theme
from app.ui.transcript.blocks import clean
from app.ui.transcript.cell_area import CellArea
from app.ui.transcript.cell_view import CellView
from app.ui.transcript.cells import Cell, NoticeCell, ProseCell, markdown_cells
from app.ui.transcript.column import Slot
from app.ui.transcript.finder import cell_text
from app.ui.transcript.live import LiveAnswer
from app.ui.transcript.look import FormulaMaker
from app.ui.transcript.markdown import parse_source
from app.ui.transcript.messages import MessageItem, footer_of, message_cells, settle_thinking
from app.ui.transcript.writer import DocumentWriter

FRAME_MS = 33
_SLOWEST_FRAME_MS = 400


class Transcript(CellArea):
    """Shows messages; streams one or more answers; reports what the reader asks for."""

    def __init__(
        self,
        theme: Theme,
        icons: Icons | None = None,
        formulas: FormulaMaker | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(theme, icons, formulas, parent)
        self._items: dict[int, MessageItem] = {}
        self._live: dict[int, LiveAnswer] = {}
        self._dirty: set[int] = set()
        self._frame = QTimer(self)
        self._frame.setSingleShot(True)
        self._frame.setInterval(FRAME_MS)
        self._frame.timeout.connect(self.flush)

    def set_options(self, *, show_thinking: bool, show_speed: bool) -> None:
        """Whether reasoning is open by itself, and whether footers tell the speed."""
        if (show_thinking, show_speed) != self._options:
            self._options = (show_thinking, show_speed)
            self._on_theme()

    def spoken_name(self, message_id: int) -> str:
        item = self._items.get(message_id)
        return item.spoken_name if item is not None else ""

    @property
    def is_streaming(self) -> bool:
        return bool(self._live)

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
        cells = settle_thinking(live.finish(thought_s), item)
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
        self._frame.setInterval(max(FRAME_MS, min(4 * clock.elapsed(), _SLOWEST_FRAME_MS)))

    def _touch(self, message_id: int) -> None:
        self._dirty.add(message_id)
        if not self._frame.isActive():
            self._frame.start()

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
