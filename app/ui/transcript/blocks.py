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
from typing import Literal

from markdown_it.token import Token

from app.ui.transcript.markdown import block_parser

BlockKind = Literal["prose", "code", "table", "math"]
LONG_LIST_CHARS = 2_500
LONG_TABLE_ROWS = 40
GIANT_CHARS = 16_000
"""Above this a message is cut into sections, each parsed only when it comes near the screen."""
_PLAIN_CHARS = 4_000
_MOST_COLUMNS = 60
_MANY_PIPES = 800
_MOST_TAIL_CHARS = 24_000

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
        elif token.type.endswith("_list_open") and len(source) > LONG_LIST_CHARS:
            found += [(block, first) for block in _list_parts(tokens, index, lines)]
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
    if head.count("|") > _MOST_COLUMNS:
        return [Block("code", source)]
    lines = source.split("\n")
    if len(lines) - 2 <= LONG_TABLE_ROWS:
        return [Block("table", source)]
    top, rows = lines[:2], lines[2:]
    return [
        Block("table", "\n".join(top + rows[at : at + LONG_TABLE_ROWS]))
        for at in range(0, len(rows), LONG_TABLE_ROWS)
    ]


def _list_parts(tokens: list[Token], index: int, lines: list[str]) -> list[Block]:
    """A long list as several, cut between its own items."""
    opened = tokens[index]
    number = int(opened.attrGet("start") or 1) if opened.type == "ordered_list_open" else None
    parts: list[Block] = []
    gathered: list[str] = []
    count = 0
    for token in tokens[index + 1 :]:
        if token.level == 0:
            break
        if token.level != 1 or token.type != "list_item_open" or token.map is None:
            continue
        gathered.append("\n".join(lines[token.map[0] : token.map[1]]).rstrip("\n"))
        count += 1
        if sum(map(len, gathered)) > LONG_LIST_CHARS:
            parts.append(Block("prose", "\n".join(gathered), start=number))
            number = number + count if number is not None else None
            gathered, count = [], 0
    if gathered:
        parts.append(Block("prose", "\n".join(gathered), start=number))
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
            if self._fence is not None:
                block, rest = self._fence.read(self._tail)
                self._tail = rest
                if not block.closed:
                    return committed, [block]
                committed.append(block)
                self._fence = None
            done, tail = self._commit()
            committed += done
            if self._fence is None:
                return committed, tail

    def _commit(self) -> tuple[list[Block], list[Block]]:
        """Moves finished blocks out of the tail; enters fence mode when the tail is one."""
        found = _parse(self._tail)
        if not found:
            return [], []
        complete_lines = self._tail.count("\n")
        starts = [line for _block, line in found if line < complete_lines]
        boundary = starts[-1] if starts else 0
        lines = self._tail.split("\n")
        if len(self._tail) > _MOST_TAIL_CHARS and complete_lines:
            self.was_forced = True  # a monstrous block: cut anywhere; `finish` reads it again
            boundary = complete_lines
        elif boundary > 0 and not self._may_cut(lines, boundary):
            boundary = 0
        done = [block for block, line in found if line < boundary]
        tail = [block for block, line in found if line >= boundary]
        if boundary > 0:
            self._tail = "\n".join(lines[boundary:])
        opened = _OpenFence.at(lines[boundary]) if complete_lines > boundary else None
        if opened is not None:
            self._tail = self._tail.split("\n", 1)[1]
            self._fence = opened
        return done, tail

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
        for index, line in enumerate(complete):
            if closes_fence(line, self._char, self._length):
                return self._block(True), "\n".join([*complete[index + 1 :], partial])
            self._code.append(self._dedent(line))
        shown = self._block(False, partial)
        return shown, partial

    def _block(self, closed: bool, partial: str = "") -> Block:
        lines = [*self._code, self._dedent(partial)] if partial else self._code
        if partial and closes_fence(partial, self._char, self._length):
            lines, closed_now = self._code, closed
            return Block("code", "\n".join(lines), self._info, closed_now)
        return Block("code", "\n".join(lines), self._info, closed)

    def _dedent(self, line: str) -> str:
        spaces = len(line) - len(line.lstrip(" "))
        return line[min(spaces, self._indent) :]
