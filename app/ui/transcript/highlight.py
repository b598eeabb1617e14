"""Syntax colours by Pygments, a few milliseconds at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from pygments.lexer import Lexer
from pygments.lexers import get_all_lexers, get_lexer_by_name
from pygments.token import Comment, Keyword, Literal, Name, Number, Operator, String, Token
from pygments.util import ClassNotFound
from PySide6.QtGui import QColor

MAX_CHARS = 200_000
"""Longer code stays plain."""
MAX_LINE_CHARS = 1_000
"""So does code with a longer line: some expressions of the lexers cost its length squared."""

_PLAIN = frozenset({"", "text", "txt", "plain", "plaintext", "output"})
_LIGHT = {
    Comment: "#6a737d",
    Keyword: "#a626a4",
    Keyword.Type: "#8a5a00",
    Keyword.Constant: "#0b6bb5",
    String: "#2f7d32",
    String.Escape: "#0b6bb5",
    Number: "#0b6bb5",
    Literal: "#0b6bb5",
    Name.Function: "#3457c9",
    Name.Class: "#8a5a00",
    Name.Decorator: "#8a5a00",
    Name.Builtin: "#0f7285",
    Name.Tag: "#b3261e",
    Name.Attribute: "#8a5a00",
    Name.Exception: "#8a5a00",
    Operator.Word: "#a626a4",
    Token.Generic.Deleted: "#b3261e",
    Token.Generic.Inserted: "#2f7d32",
    Token.Generic.Heading: "#3457c9",
}
_DARK = {
    Comment: "#8b949e",
    Keyword: "#d6a1f0",
    Keyword.Type: "#e5c07b",
    Keyword.Constant: "#7cc0f5",
    String: "#a5d18c",
    String.Escape: "#7cc0f5",
    Number: "#7cc0f5",
    Literal: "#7cc0f5",
    Name.Function: "#8fb4ff",
    Name.Class: "#e5c07b",
    Name.Decorator: "#e5c07b",
    Name.Builtin: "#6fd0dc",
    Name.Tag: "#f28b82",
    Name.Attribute: "#e5c07b",
    Name.Exception: "#e5c07b",
    Operator.Word: "#d6a1f0",
    Token.Generic.Deleted: "#f28b82",
    Token.Generic.Inserted: "#a5d18c",
    Token.Generic.Heading: "#8fb4ff",
}

Span = tuple[int, int, QColor]


@lru_cache(maxsize=1)
def _names() -> dict[str, str]:
    """The full name of each language by its short ones, without loading any lexer."""
    known = get_all_lexers(plugins=False)
    return {alias: name for name, aliases, _files, _kinds in known for alias in aliases}


def has_lexer(language: str) -> bool:
    """Whether a language can be coloured; Pygments itself would search the disk for plugins."""
    return language not in _PLAIN and language in _names()


@lru_cache(maxsize=64)
def find_lexer(language: str) -> Lexer | None:
    """The lexer of a fence's language; None where there is none to be sure of. May take 0.2 s."""
    if not has_lexer(language):
        return None
    try:
        return get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def language_label(language: str) -> str:
    """The name people know a language by."""
    return language if language in _PLAIN else _names().get(language, language)


def color_of(token: object, dark: bool) -> QColor | None:
    """The colour of a Pygments token type; None for plain text."""
    table = _DARK if dark else _LIGHT
    kind = token
    while kind is not None:
        if kind in table:
            return QColor(table[kind])
        kind = kind.parent  # type: ignore[attr-defined]
    return None


def spans(code: str, language: str, dark: bool) -> Iterator[Span]:
    """Coloured stretches (start, length, colour) in order; lazy, so it can be taken in slices."""
    lexer = find_lexer(language)
    if lexer is None or len(code) > MAX_CHARS or max(map(len, code.split("\n"))) > MAX_LINE_CHARS:
        return
    at = 0
    for kind, text in lexer.get_tokens(code):
        color = color_of(kind, dark)
        if color is not None and not text.isspace():
            yield at, len(text), color
        at += len(text)
