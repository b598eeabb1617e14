"""The values a transcript is made of: one cell per thing drawn, pure and comparable.

A message becomes a short list of cells. Prose blocks that follow one another share a cell until it
is a screenful; long code is cut into cells of `CODE_LINES` lines. So no cell is ever large, and
drawing, laying out and throwing away are cheap whatever the message is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal

from app.core.events import PromptProgress
from app.ui.transcript.blocks import Block, definitions_of, is_only_definitions, parse_blocks
from app.ui.transcript.sections import Section, sections

PROSE_CHARS = 1_200
PROSE_BLOCKS = 24
_LINE_WEIGHT = 12  # characters that cost as much as a list item of its own
CODE_LINES = 100
CODE_CHARS = 20_000

NoticeKind = Literal["info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class SectionCell:
    """Markdown not parsed yet; becomes other cells when it comes near the screen."""

    section: Section
    definitions: str = ""


@dataclass(frozen=True, slots=True)
class ProseCell:
    """Paragraphs, headings, lists, quotations, formulas."""

    blocks: tuple[Block, ...]
    definitions: str = ""


@dataclass(frozen=True, slots=True)
class TableCell:
    """One table, or a part of a long one."""

    source: str
    definitions: str = ""


@dataclass(frozen=True, slots=True)
class CodeCell:
    """Lines of one code block, from `first_line` (0-based) on."""

    code: str
    language: str
    first_line: int
    is_last: bool
    is_closed: bool


@dataclass(frozen=True, slots=True)
class UserCell:
    """What the user wrote, as it is."""

    text: str
    is_queued: bool = False


@dataclass(frozen=True, slots=True)
class FilesCell:
    """Attachments of a message: names with their size in characters."""

    files: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class ThinkingCell:
    """Reasoning. `duration_s` None: still going on, or not known."""

    text: str
    duration_s: float | None
    is_running: bool = False


@dataclass(frozen=True, slots=True)
class ProgressCell:
    """What the engine does before the first word; None: waiting for it."""

    progress: PromptProgress | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class NoticeCell:
    """Something about a message: stopped, failed, not saved. `action` names a remedy."""

    kind: NoticeKind
    sentence: str
    remedy: str = ""
    action: str = ""
    action_label: str = ""


@dataclass(frozen=True, slots=True)
class RoomCell:
    """From here on the model reads: `summary` stands for the messages above ("" for nothing)."""

    left_out: int
    summary: str


@dataclass(frozen=True, slots=True)
class FooterCell:
    """The row of small buttons under a message."""

    role: Literal["user", "assistant"]
    index: int = 0
    count: int = 1
    summary: str = ""
    details: tuple[tuple[str, str], ...] = ()
    can_act: bool = True


@dataclass(frozen=True, slots=True)
class CustomCell:
    """A cell of another page's own making (a tool card); `Transcript.register` draws it."""

    kind: str
    payload: object


Cell = (
    SectionCell
    | ProseCell
    | TableCell
    | CodeCell
    | UserCell
    | FilesCell
    | ThinkingCell
    | ProgressCell
    | NoticeCell
    | RoomCell
    | FooterCell
    | CustomCell
)


class Grouper:
    """Puts blocks into cells from left to right; later blocks never change earlier cells."""

    def __init__(self, definitions: str = "") -> None:
        self._definitions = definitions
        self._group: list[Block] = []
        self._chars = 0

    def add(self, blocks: list[Block]) -> list[Cell]:
        """Cells that are complete now."""
        done: list[Cell] = []
        for block in blocks:
            done += self._add(block)
        return done

    def rest(self, tail: list[Block]) -> list[Cell]:
        """Cells of what is still open, with `tail` after it."""
        group, chars = list(self._group), self._chars
        cells = [*self.add(tail), *self._flush()]
        self._group, self._chars = group, chars
        return cells

    def _add(self, block: Block) -> list[Cell]:
        if block.kind == "code":
            return [*self._flush(), *code_cells(block)]
        if block.kind == "table":
            definitions = self._definitions if "[" in block.source else ""
            return [*self._flush(), TableCell(block.source, definitions)]
        self._group.append(block)
        self._chars += len(block.source) + block.source.count("\n") * _LINE_WEIGHT
        full = self._chars >= PROSE_CHARS or len(self._group) >= PROSE_BLOCKS
        return self._flush() if full else []

    def _flush(self) -> list[Cell]:
        if not self._group:
            return []
        blocks = tuple(self._group)
        self._group, self._chars = [], 0
        needed = self._definitions and any("[" in block.source for block in blocks)
        return [ProseCell(blocks, self._definitions if needed else "")]


def code_cells(block: Block) -> list[Cell]:
    """One code block as cells of at most `CODE_LINES` lines and about `CODE_CHARS` characters."""
    lines = block.source.split("\n")
    cells: list[Cell] = []
    first = 0
    while first < len(lines) or not cells:
        part = "\n".join(lines[first : first + CODE_LINES])
        end = first + CODE_LINES
        if len(part) > CODE_CHARS:  # of long lines fewer; at least one
            lengths = accumulate(len(line) + 1 for line in lines[first:end])
            end = first + max(sum(length <= CODE_CHARS for length in lengths), 1)
            part = "\n".join(lines[first:end])
        cells.append(CodeCell(part, block.info, first, end >= len(lines), block.closed))
        first = end
    return cells


def same_kind(old: Cell, new: Cell) -> bool:
    """Whether a view of `old` can go on with `new`."""
    if isinstance(old, CodeCell) and isinstance(new, CodeCell):
        return old.first_line == new.first_line and old.language == new.language
    return not isinstance(old, CustomCell) or (isinstance(new, CustomCell) and old.kind == new.kind)


def whole_code(cells: list[Cell], first: CodeCell) -> str:
    """All lines of the code block that starts with `first`."""
    lines: list[str] = []
    taking = False
    for cell in cells:
        taking = taking or cell is first
        if taking and isinstance(cell, CodeCell):
            lines.append(cell.code)
            if cell.is_last:
                break
        elif taking and isinstance(cell, SectionCell):  # a part that is not drawn yet
            lines.append(cell.section.text)
            if cell.section.is_last:
                break
    return "\n".join(lines)


def section_cells(cell: SectionCell) -> list[Cell]:
    """The cells of one slice, or the slices of a chapter."""
    part = cell.section
    if not part.is_code:
        cut = sections(part.text)
        if len(cut) > 1:
            return [SectionCell(one, cell.definitions) for one in cut]
        if not cut or is_only_definitions(part.text):
            return []
        return markdown_cells(part.text, cell.definitions)
    cells = code_cells(Block("code", part.text, part.language))
    return [
        replace(
            one, first_line=one.first_line + part.first_line, is_last=one.is_last and part.is_last
        )
        for one in cells
        if isinstance(one, CodeCell)
    ]


def markdown_cells(text: str, definitions: str | None = None) -> list[Cell]:
    """The cells of finished Markdown."""
    grouper = Grouper(definitions_of(text) if definitions is None else definitions)
    done = grouper.add(parse_blocks(text))
    return done + grouper.rest([])
