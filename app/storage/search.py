"""Full-text search over titles and messages: parts of words, code, any script."""

from __future__ import annotations

import re
import sqlite3

from app.storage.database import Database
from app.storage.rows import clean
from app.storage.values import SearchHit

_OPEN, _CLOSE = "\ue000", "\ue001"  # private-use characters mark the matches in a snippet
_SNIPPET_TOKENS = 64  # the most FTS5 gives; a token here is one character
_MAX_QUERY_CHARS = 200
_MAX_SHORT_TERMS = 400
_QUOTED = re.compile(r'"([^"]*)"?|(\S+)')


class Search:
    """Newest first: that keeps every query fast, and is what one looks for in a history."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def find(self, query: str, *, limit: int = 50) -> list[SearchHit]:
        """Hits in titles first, then in messages, at most `limit` of each; none in the trash.

        All words must occur, in any case; "quoted words" must occur as they stand. A query with
        a word of fewer than three characters is looked for as it stands.
        """
        text = clean(query.strip()[:_MAX_QUERY_CHARS].replace("\x00", " "))
        if not text:
            return []
        return await self._db.read(
            lambda connection: [
                *_find_titles(connection, text, limit),
                *_find_messages(connection, text, limit),
            ]
        )


def match_expression(query: str) -> str | None:
    """The FTS5 expression for a query; None when no word has the three characters it takes."""
    terms = _terms(query)
    if any(len(term) < 3 for term in terms):
        whole = query.replace('"', "").strip() if '"' in query else query
        terms = [whole]
    if not terms or any(len(term) < 3 for term in terms):
        return None
    return " AND ".join('"' + term.replace('"', '""') + '"' for term in terms)


def _terms(query: str) -> list[str]:
    return [quoted or bare for quoted, bare in _QUOTED.findall(query) if quoted or bare]


def _short_expression(connection: sqlite3.Connection, query: str) -> str | None:
    """One or two characters: every trigram that begins with them; None when there is none."""
    start = query.strip('"').lower()
    if not start:
        return None
    rows = connection.execute(
        "SELECT term FROM message_terms WHERE term >= ? AND term < ? LIMIT ?",
        (start, start + "\U0010ffff", _MAX_SHORT_TERMS),
    )
    terms = ['"' + row["term"].replace('"', '""') + '"' for row in rows]
    return " OR ".join(terms) or None


def _find_titles(connection: sqlite3.Connection, query: str, limit: int) -> list[SearchHit]:
    expression = match_expression(query)
    if expression is None:
        pattern = "%" + re.sub(r"([%_\\])", r"\\\1", query.strip('"')) + "%"
        where, value = "title LIKE ? ESCAPE '\\'", pattern
    else:
        where = "id IN (SELECT rowid FROM title_search WHERE title_search MATCH ?)"
        value = expression
    rows = connection.execute(
        f"SELECT id, title, updated_at FROM chats WHERE {where}"  # noqa: S608
        " AND trashed_at IS NULL ORDER BY updated_at DESC LIMIT ?",
        (value, limit),
    )
    terms = _terms(query)
    return [
        SearchHit(
            row["id"],
            row["title"],
            None,
            None,
            row["title"],
            _spans(row["title"], terms),
            row["updated_at"],
        )
        for row in rows
    ]


def _spans(title: str, terms: list[str]) -> tuple[tuple[int, int], ...]:
    folded = title.casefold()
    found = [(folded.find(term.casefold()), len(term)) for term in terms]
    return tuple(sorted((at, min(len(title), at + size)) for at, size in found if at >= 0))


def _find_messages(connection: sqlite3.Connection, query: str, limit: int) -> list[SearchHit]:
    expression = match_expression(query) or _short_expression(connection, query)
    if expression is None:
        return []
    rows = connection.execute(
        "SELECT m.id, m.role, m.chat_id, m.created_at, c.title,"
        " snippet(message_search, 0, ?, ?, '…', ?) AS snippet"
        " FROM message_search JOIN messages m ON m.id = message_search.rowid"
        " JOIN chats c ON c.id = m.chat_id"
        " WHERE message_search MATCH ? AND c.trashed_at IS NULL AND m.hidden_at IS NULL"
        " ORDER BY message_search.rowid DESC LIMIT ?",
        (_OPEN, _CLOSE, _SNIPPET_TOKENS, expression, limit),
    )
    return [_hit(row) for row in rows]


def _hit(row: sqlite3.Row) -> SearchHit:
    snippet, spans = read_marks(row["snippet"])
    return SearchHit(
        chat_id=row["chat_id"],
        chat_title=row["title"],
        message_id=row["id"],
        role=row["role"],
        snippet=snippet,
        spans=spans,
        created_at=row["created_at"],
    )


def read_marks(marked: str) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The plain snippet and where its matches are; line ends become spaces."""
    plain: list[str] = []
    spans: list[tuple[int, int]] = []
    start: int | None = None
    for character in marked.rstrip():
        if character == _OPEN:
            start = len(plain)
        elif character == _CLOSE:
            if start is not None and len(plain) > start:
                spans.append((start, len(plain)))
            start = None
        else:
            plain.append(" " if character in "\r\n\t" else character)
    if start is not None and len(plain) > start:
        spans.append((start, len(plain)))
    return "".join(plain), tuple(spans)
