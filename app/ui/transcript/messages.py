"""From one message to its cells."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from app.core.messages import AttachmentPart, Part, TextPart, ThinkingPart
from app.ui.transcript.blocks import clean, definitions_of
from app.ui.transcript.cells import (
    Cell,
    FilesCell,
    FooterCell,
    NoticeCell,
    RoomCell,
    SectionCell,
    ThinkingCell,
    UserCell,
)
from app.ui.transcript.chapters import MOST_FENCES, is_fence_storm
from app.ui.transcript.sections import sections

ItemState = Literal["complete", "streaming", "stopped", "failed", "queued"]


@dataclass(frozen=True, slots=True)
class MessageItem:
    """One message as the transcript shows it.

    `index` and `count` place it among its siblings (0-based). `summary` is one line under an
    answer, `details` its facts as pairs of name and value. `room`
    is the divider above it.
    """

    id: int
    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]
    state: ItemState = "complete"
    author: str = ""
    time: str = ""
    index: int = 0
    count: int = 1
    summary: str = ""
    details: tuple[tuple[str, str], ...] = ()
    notice: NoticeCell | None = None
    room: RoomCell | None = None

    @property
    def text(self) -> str:
        """The prose, as Markdown."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))

    @property
    def spoken_name(self) -> str:
        """For a screen reader."""
        return ", ".join(word for word in (self.author, self.time) if word)


def message_cells(item: MessageItem) -> list[Cell]:
    """The cells of a message that is not streaming; long text stays unparsed."""
    cells: list[Cell] = [] if item.room is None else [item.room]
    files = tuple(
        (part.name, len(part.text)) for part in item.parts if isinstance(part, AttachmentPart)
    )
    if files:
        cells.append(FilesCell(files))
    for part in item.parts:
        if isinstance(part, ThinkingPart) and part.text.strip():
            cells.append(ThinkingCell(clean(part.text), part.duration_s))
        elif isinstance(part, TextPart) and part.text.strip():
            cells += _text_cells(item, clean(part.text))
    if item.notice is not None:
        cells.append(item.notice)
    if item.state == "queued":
        words = "Waits until the answer is finished."
        cells.append(NoticeCell("info", words, "", "unqueue", "Take back"))
    else:
        cells.append(footer_of(item))
    return cells


def footer_of(item: MessageItem) -> FooterCell:
    """The buttons under a message."""
    return FooterCell(item.role, item.index, item.count, item.summary, item.details)


def settle_thinking(cells: list[Cell], item: MessageItem) -> list[Cell]:
    """Gives streamed reasoning the durations that were stored with it."""
    known = [part.duration_s for part in item.parts if isinstance(part, ThinkingPart)]
    settled: list[Cell] = []
    for cell in cells:
        if isinstance(cell, ThinkingCell) and known:
            cell = replace(cell, duration_s=known.pop(0), is_running=False)
        settled.append(cell)
    return settled


def _text_cells(item: MessageItem, text: str) -> list[Cell]:
    if item.role == "user":
        return [UserCell(text.strip("\n"), item.state == "queued")]
    return answer_cells(text)


def answer_cells(text: str) -> list[Cell]:
    """Markdown, cut but not parsed."""
    definitions = definitions_of(text)
    cells: list[Cell] = [SectionCell(section, definitions) for section in sections(text)]
    if is_fence_storm(text):
        words = f"Shown as plain text: it has more than {MOST_FENCES:,} code fences."
        cells.append(NoticeCell("info", words))
    return cells
