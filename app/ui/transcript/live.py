"""An answer while it streams: text in, cells out."""

from __future__ import annotations

from app.core.events import PromptProgress
from app.ui.transcript.blocks import Block, StreamSplitter, clean, definitions_of
from app.ui.transcript.cells import (
    Cell,
    Grouper,
    NoticeCell,
    ProgressCell,
    SectionCell,
    ThinkingCell,
)
from app.ui.transcript.chapters import is_fence_storm, open_fence
from app.ui.transcript.messages import answer_cells
from app.ui.transcript.sections import sections

_BULK_CHARS = 20_000  # more at once than any model writes in a frame: an answer come back to
_BULK_LINES = 350


class LiveAnswer:
    """Gathers deltas; `cells` is asked for at most thirty times a second.

    Cells before `stable` are the same objects as last time, so drawing starts there.
    """

    def __init__(self) -> None:
        self._done: list[Cell] = []
        self._thinking: list[str] = []
        self._thinking_s: float | None = None
        self._splitter: StreamSplitter | None = None
        self._text_from = 0  # where the cells of the open prose begin
        self._grouper = Grouper()
        self._tail: list[Block] = []
        self._progress = ProgressCell()
        self.notice: NoticeCell | None = None

    def set_progress(self, progress: PromptProgress) -> None:
        """The engine reads the prompt."""
        self._progress = ProgressCell(progress)

    def set_note(self, note: str) -> None:
        """What is waited for, in words (the model loads, another answer runs)."""
        self._progress = ProgressCell(None, note)

    def add_thinking(self, text: str) -> None:
        """More reasoning; after prose it opens a new stretch of it."""
        if self._splitter is not None:
            self._close_text()
        self._thinking.append(text)

    def add_text(self, text: str, thought_s: float | None = None) -> None:
        """More prose. `thought_s` is how long the reasoning before it took."""
        if self._thinking:
            self._close_thinking(thought_s)
        if self._splitter is None:
            self._splitter = StreamSplitter()
            self._text_from = len(self._done)
        self._splitter.feed(text)

    def cells(self) -> list[Cell]:
        """All cells of the answer so far."""
        open_cells: list[Cell] = []
        if self._thinking:
            self._thinking = ["".join(self._thinking)]
            open_cells.append(ThinkingCell(clean(self._thinking[0]), None, is_running=True))
        elif self._splitter is not None:
            self._take_bulk(self._splitter)
            committed, self._tail = self._splitter.take()
            self._done += self._grouper.add(committed)
            open_cells = self._grouper.rest(self._tail)
        if not self._done and not open_cells:
            open_cells = [self._progress]
        if self.notice is not None:
            open_cells = [*open_cells, self.notice]
        return self._done + open_cells

    def _take_bulk(self, splitter: StreamSplitter) -> None:
        """Much text at once stays unparsed until it comes near the screen, but for its end."""
        text = splitter.unread
        if len(text) <= _BULK_CHARS and text.count("\n") <= _BULK_LINES:
            return
        self._done += self._grouper.rest([])
        self._grouper = Grouper()
        fence = None if is_fence_storm(text) else open_fence(text, 0, len(text))
        tail = ""
        if fence is not None:
            text, tail = text[: fence.start()], text[fence.start() :]
        definitions = definitions_of(text)
        cut = sections(text)
        while not tail and cut and not cut[-1].is_code:
            last = cut.pop().text
            parts = sections(last)
            if len(parts) > 1:
                cut += parts  # it was a chapter
            else:
                tail = last
        self._done += [SectionCell(section, definitions) for section in cut]
        splitter.skip_to(tail)

    def _close_thinking(self, thought_s: float | None) -> None:
        text = "".join(self._thinking)
        self._thinking = []
        if text.strip():
            self._done.append(ThinkingCell(clean(text), thought_s))

    def _close_text(self) -> None:
        assert self._splitter is not None
        text = self._splitter.text
        if self._splitter.was_forced or definitions_of(text):
            del self._done[self._text_from :]
            self._done += answer_cells(clean(text))
        else:
            committed, tail = self._splitter.take()
            self._done += self._grouper.add(committed)
            self._done += self._grouper.rest(tail)
        self._splitter = None
        self._grouper = Grouper()

    def finish(self, thought_s: float | None = None) -> list[Cell]:
        """The final cells: link definitions that came late are resolved now."""
        if self._thinking:
            self._close_thinking(thought_s)
        if self._splitter is not None:
            self._close_text()
        return list(self._done)
