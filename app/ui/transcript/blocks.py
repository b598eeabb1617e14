"""Cutting Markdown into top-level blocks: whole at once, or as it streams in.

Pure. The rule that makes streaming exact: a block is committed once a later block has begun on a
complete line, because CommonMark closes blocks in order and never opens an earlier one again. The
two exceptions are watched for: LaTeX blocks, which look like paragraphs until their end arrives,
and link definitions, which may come after the text that uses them (`StreamSplitter.finish` heals
those). An open code fence is followed line by line without parsing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from markdown_it.token import Token

from app.ui.transcript.markdown import block_parser

BlockKind = Literal["prose", "code", "table", "math"]
LONG_LIST_CHARS = 2_500
LONG_TABLE_ROWS = 40
GIANT_CHARS = 16_000
"""Above this a message is cut into sections, each parsed only when it comes near the screen."""
_PLAIN_CHARS = 4_000
_MOST_ITEMS = 80
_MOST_TABLE_CELLS = 240
_MOST_ROW_CHARS = 3_000
_MOST_COLUMNS = 32
_MANY_PIPES = 800
_MOST_TAIL_CHARS = 24_000
_MOST_TAIL_LINES = 150
_MOST_TAIL_ROWS = 60
_MOST_TAIL_PIPES = 1_200
_LOOK_BACK_LINES = 100

_FENCE_OPEN = re.compile(r"^( {0,3})(`{3,}|~{3,})([^\n]*)$")
_MATH_OPEN = re.compile(r"^ {0,3}(\$\$|\\\[)", re.MULTILINE)
_DEFINITION = re.compile(r"^ {0,3}\[[^\]\n^][^\]\n]*\]:[ \t]*\S.*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """One top-level block.

    `source` is the Markdown, for code the code itself. `info` is the fence's language, `start`
    the number of an ordered list's first item where a long list was cut.
    """

    kind: BlockKind
    source: str
    info: str = ""
    closed: bool = True
    start: int | None = None


def parse_blocks(text: str) -> list[Block]:
    """The blocks of `text`, read at once."""
    return [block for block, _line in _parse(text)]


def definitions_of(text: str) -> str:
    """The lines of `text` that may be link definitions, for `parse_source`."""
    return "\n".join(_DEFINITION.findall(text)) if "]:" in text else ""


def is_only_definitions(text: str) -> bool:
    """Whether nothing of `text` is shown: one-line link definitions and blank lines."""
    if "]:" not in text[:400]:
        return False
    lines = [line for line in text.split("\n") if line.strip()]
    return all(_DEFINITION.fullmatch(line) for line in lines)


def clean(text: str) -> str:
    """Text as every function here expects it: no carriage returns, no NUL."""
    return text.replace("\r", "").replace("\0", "\ufffd")


def opened_fence(line: str) -> str:
    """The marker of the fence `line` opens, or nothing."""
    match = _FENCE_OPEN.match(line)
    if match and not (match[2][0] == "`" and "`" in match[3]):
        return match[2]
    return ""


def fence_language(line: str) -> str:
    """The language named on a fence's first line."""
    match = _FENCE_OPEN.match(line)
    return _language(match[3]) if match else ""


def closes_fence(line: str, char: str, length: int) -> bool:
    """Whether `line` ends a fence of `length` times `char`."""
    stripped = line.strip(" \t")
    indent = len(line) - len(line.lstrip(" "))
    return indent < 4 and len(stripped) >= length and stripped == char * len(stripped)


def _parse(text: str) -> list[tuple[Block, int]]:
    """Blocks with the line each starts on."""
    if len(text) > GIANT_CHARS and "\n" not in text.rstrip("\n"):
        return [(Block("prose", piece), 0) for piece in _pieces(text)]
    lines = text.split("\n")
    if text.count("|") > _MANY_PIPES and max(line.count("|") for line in lines) > _MANY_PIPES // 4:
        return [(Block("code", text.strip("\n")), 0)]  # a table nobody could read
    found: list[tuple[Block, int]] = []
    tokens = block_parser().parse(text)
    for index, token in enumerate(tokens):
        if token.level != 0 or token.nesting < 0 or token.map is None:
            continue
        first, last = token.map
        source = "\n".join(lines[first:last]).rstrip("\n")
        if token.type in ("fence", "code_block"):
            found.append((_code(token, lines[first:last]), first))
        elif token.type == "math_block":
            found.append((Block("math", token.content.strip()), first))
        elif token.type == "table_open":
            found += [(block, first) for block in _table_parts(source, lines[first])]
        elif token.type.endswith("_list_open"):
            found += [(block, first) for block in _list_parts(tokens, index, lines, source)]
        elif source:
            found += [(Block("prose", piece), first) for piece in _pieces(source)]
    return found


def _code(token: Token, lines: list[str]) -> Block:
    if token.type == "code_block":
        return Block("code", token.content.rstrip("\n"))
    closed = len(lines) > 1 and closes_fence(lines[-1], token.markup[0], len(token.markup))
    return Block("code", token.content.removesuffix("\n"), _language(token.info), closed)


def _language(info: str) -> str:
    words = info.strip().split(maxsplit=1)
    return words[0].strip("{}.").lower()[:32] if words else ""


def _pieces(source: str) -> list[str]:
    """One paragraph as it is, or a monstrous one as plain slices."""
    if len(source) <= GIANT_CHARS:
        return [source]
    return [source[at : at + _PLAIN_CHARS] for at in range(0, len(source), _PLAIN_CHARS)]


def _table_parts(source: str, head: str) -> list[Block]:
    lines = source.split("\n")
    if head.count("|") > _MOST_COLUMNS or max(map(len, lines)) > _MOST_ROW_CHARS:
        return [Block("code", source)]
    step = max(min(LONG_TABLE_ROWS, _MOST_TABLE_CELLS // max(head.count("|"), 1)), 6)
    if len(lines) - 2 <= step:
        return [Block("table", source)]
    top, rows = lines[:2], lines[2:]
    return [
        Block("table", "\n".join(top + rows[at : at + step])) for at in range(0, len(rows), step)
    ]


@dataclass(slots=True)
class _Item:
    """One item of a list: its lines, and where it and each item inside it begins."""

    first: int
    last: int
    starts: list[int]


def _items(tokens: list[Token], index: int) -> list[_Item]:
    found: list[_Item] = []
    for token in tokens[index + 1 :]:
        if token.level == 0:
            break
        if token.type != "list_item_open" or token.map is None:
            continue
        if token.level == 1:
            found.append(_Item(token.map[0], token.map[1], []))
        found[-1].starts.append(token.map[0])
    return found


def _list_parts(tokens: list[Token], index: int, lines: list[str], source: str) -> list[Block]:
    """A list as it is, or a long one as several, cut between its own items."""
    items = _items(tokens, index)
    if len(source) <= LONG_LIST_CHARS and sum(len(item.starts) for item in items) <= _MOST_ITEMS:
        return [Block("prose", source)]
    opened = tokens[index]
    start = opened.attrGet("start")
    is_ordered = opened.type == "ordered_list_open"
    number = first_number = 1 if start is None else int(start)
    parts: list[Block] = []
    gathered: list[str] = []
    inside = 0

    for at, item in enumerate([*items, None]):
        is_monster = item is not None and len(item.starts) > 2 * _MOST_ITEMS
        is_full = sum(map(len, gathered)) > LONG_LIST_CHARS or inside >= _MOST_ITEMS
        if gathered and (is_full or is_monster or item is None):
            text = "\n".join(gathered)
            parts.append(Block("prose", text, start=number if is_ordered else None))
            gathered, inside = [], 0
        if item is None:
            break
        if is_monster:
            parts += _shreds(lines, item)
            continue
        if not gathered:
            number = first_number + at
        gathered.append("\n".join(lines[item.first : item.last]).rstrip("\n"))
        inside += len(item.starts)
    return parts


def _shreds(lines: list[str], item: _Item) -> list[Block]:
    """A monstrous item cut where items inside it begin, moved left so that each reads as a list."""
    parts: list[Block] = []
    cuts = [*item.starts[::_MOST_ITEMS], item.last]
    for first, last in pairwise(cuts):
        indent = len(lines[first]) - len(lines[first].lstrip(" "))
        pattern = re.compile(f"^ {{0,{indent}}}", re.MULTILINE)
        text = pattern.sub("", "\n".join(lines[first:last])).rstrip("\n")
        if text:
            parts.append(Block("prose", text))
    return parts


class StreamSplitter:
    """Blocks of a text that is still being written."""

    def __init__(self) -> None:
        self._tail = ""
        self._fence: _OpenFence | None = None
        self._all: list[str] = []
        self.was_forced = False

    @property
    def text(self) -> str:
        """Everything fed so far."""
        return "".join(self._all)

    def feed(self, text: str) -> None:
        """Takes more text; costs nothing until `take` is called."""
        if text:
            self._all.append(text)
            self._tail += clean(text)

    @property
    def unread(self) -> str:
        """Text that `take` would have to read now; nothing inside an open fence."""
        return self._tail if self._fence is None else ""

    def skip_to(self, tail: str) -> None:
        """Everything but `tail` is shown without this splitter; `finish` reads all of it again."""
        self._tail = tail
        self.was_forced = True

    def take(self) -> tuple[list[Block], list[Block]]:
        """Blocks committed since the last call, and the present tail, which may still change."""
        committed: list[Block] = []
        while True:
            self._enter_fence()
            if self._fence is not None:
                block, rest = self._fence.read(self._tail)
                self._tail = rest
                if not block.closed:
                    return committed, [block]
                committed.append(block)
                self._fence = None
                continue
            done, tail = self._commit()
            committed += done
            if not self._enter_fence():
                return committed, tail

    def _enter_fence(self) -> bool:
        """Follows the fence the tail begins with, if its first line is complete."""
        line, end, rest = self._tail.partition("\n")
        if self._fence is None and end:
            self._fence = _OpenFence.at(line)
            if self._fence is not None:
                self._tail = rest
        return self._fence is not None

    def _commit(self) -> tuple[list[Block], list[Block]]:
        """Moves finished blocks out of the tail."""
        found = _parse(self._tail)
        if not found:
            return [], []
        complete_lines = self._tail.count("\n")
        starts = [line for _block, line in found if line < complete_lines]
        boundary = starts[-1] if starts else 0
        lines = self._tail.split("\n")
        if boundary > 0 and not self._may_cut(lines, boundary):
            boundary = 0
        if self._is_long(lines[boundary:]):
            return self._force(lines, found)
        done = [block for block, line in found if line < boundary]
        tail = [block for block, line in found if line >= boundary]
        if boundary > 0:
            self._tail = "\n".join(lines[boundary:])
        return done, tail

    def _is_long(self, lines: list[str]) -> bool:
        """Whether an open block costs too much to read thirty times a second."""
        if len(lines) < 2:
            return False
        text = "".join(lines)
        pipes = text.count("|")
        return (
            len(lines) > (_MOST_TAIL_ROWS if pipes > len(lines) else _MOST_TAIL_LINES)
            or len(text) > _MOST_TAIL_CHARS
            or pipes > _MOST_TAIL_PIPES
        )

    def _force(
        self, lines: list[str], found: list[tuple[Block, int]]
    ) -> tuple[list[Block], list[Block]]:
        """Cuts a monstrous block between lines; `finish` reads it again, whole."""
        self.was_forced = True
        block, first = found[-1]
        end = len(lines) - 1  # the last line may be incomplete
        if block.kind == "table" and end - first > 3:
            head = lines[first : first + 2]  # the rows to come need it
            self._tail = "\n".join([*head, *lines[end - 1 :]])
            rows = _table_parts("\n".join(lines[first : end - 1]), lines[first])
            done = [one for one, line in found if line < first] + rows
            return done, parse_blocks(self._tail)
        if not lines[end] and not lines[end - 1][:1].isspace():
            self._tail = ""
            return [one for one, _line in found], []
        cut = end
        for at in range(end - 1, max(end - _LOOK_BACK_LINES, 0), -1):
            if lines[at][:1].strip():  # what is indented belongs to a line above
                cut = at
                break
        self._tail = "\n".join(lines[cut:])
        return parse_blocks("\n".join(lines[:cut])), parse_blocks(self._tail)

    def _may_cut(self, lines: list[str], boundary: int) -> bool:
        if not lines[boundary - 1].strip():
            return True
        return not _MATH_OPEN.search("\n".join(lines[:boundary]))


class _OpenFence:
    """A code fence whose end has not arrived."""

    def __init__(self, indent: int, marker: str, info: str) -> None:
        self._indent = indent
        self._char = marker[0]
        self._length = len(marker)
        self._info = info
        self._code: list[str] = []

    @classmethod
    def at(cls, line: str) -> _OpenFence | None:
        """The fence `line` opens, if it does."""
        match = _FENCE_OPEN.match(line)
        if match is None or (match[2][0] == "`" and "`" in match[3]):
            return None
        return cls(len(match[1]), match[2], _language(match[3]))

    def read(self, text: str) -> tuple[Block, str]:
        """The block with the lines of `text` in it, and what is left of `text`.

        Complete lines are kept here; an incomplete last line is shown and stays in the rest.
        """
        *complete, partial = text.split("\n")
        if self._char * self._length in text:
            for index, line in enumerate(complete):
                if closes_fence(line, self._char, self._length):
                    self._code += self._dedented(complete[:index])
                    return self._block(True), "\n".join([*complete[index + 1 :], partial])
        self._code += self._dedented(complete)
        return self._block(False, partial), partial

    def _dedented(self, lines: list[str]) -> list[str]:
        return [self._dedent(line) for line in lines] if self._indent else lines

    def _block(self, closed: bool, partial: str = "") -> Block:
        lines = [*self._code, self._dedent(partial)] if partial else self._code
        if partial and closes_fence(partial, self._char, self._length):
            lines, closed_now = self._code, closed
            return Block("code", "\n".join(lines), self._info, closed_now)
        return Block("code", "\n".join(lines), self._info, closed)

    def _dedent(self, line: str) -> str:
        spaces = len(line) - len(line.lstrip(" "))
        return line[min(spaces, self._indent) :]
