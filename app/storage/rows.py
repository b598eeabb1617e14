"""Rows to values and back."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping

from app.core.messages import Message, Part, TextPart, part_from_json, part_to_json
from app.storage.values import AnswerDetails, Chat, StoredMessage

CHAT_COLUMNS = (  # in the order of Chat's fields: 5,000 of them are read at once
    "id, uid, title, title_is_custom, model, system_prompt, sampling, draft, pinned, archived,"
    " trashed_at, active_leaf, folder_id, (SELECT json_group_array(tag) FROM (SELECT tag"
    " FROM chat_tags WHERE chat_id = chats.id ORDER BY tag)) AS tags, created_at, updated_at"
)
MESSAGE_COLUMNS = (
    "messages.*, (SELECT summary FROM context_starts WHERE message_id = messages.id)"
    " AS context_summary"
)
_UNKNOWN = AnswerDetails()


def parts_to_text(parts: Iterable[Part]) -> str:
    """The stored JSON of a message's parts."""
    return to_json([part_to_json(part) for part in parts])


def clean(text: str) -> str:
    """The text with lone surrogates replaced: SQLite takes only what UTF-8 can write."""
    return text.encode("utf-8", "replace").decode("utf-8")


def parts_from_text(text: str) -> tuple[Part, ...]:
    """The parts behind their JSON; a kind this version does not know is shown as it is stored."""
    found: list[Part] = []
    for item in json.loads(text):
        try:
            found.append(part_from_json(item))
        except ValueError:
            found.append(TextPart(json.dumps(item, ensure_ascii=False)))
    return tuple(found)


def to_json(value: object) -> str:
    """Readable JSON; lone surrogates force the escaped form, which keeps them exactly."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=isinstance(value, Mapping))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value)
    return text


def chat_from_row(row: sqlite3.Row) -> Chat:
    """A row of CHAT_COLUMNS."""
    (chat_id, uid, title, is_custom, model, prompt, sampling, draft, pinned, archived, *rest) = row
    trashed_at, active_leaf, folder_id, tags, created_at, updated_at = rest
    return Chat(
        chat_id,
        uid,
        title,
        bool(is_custom),
        model,
        prompt,
        json.loads(sampling) if sampling != "{}" else {},
        draft,
        bool(pinned),
        bool(archived),
        trashed_at,
        active_leaf,
        folder_id,
        tuple(json.loads(tags)) if tags != "[]" else (),
        created_at,
        updated_at,
    )


def message_from_row(row: sqlite3.Row, sibling_ids: tuple[int, ...]) -> StoredMessage:
    """A row of MESSAGE_COLUMNS."""
    details = row["details"]
    return StoredMessage(
        id=row["id"],
        chat_id=row["chat_id"],
        parent_id=row["parent_id"],
        message=Message(row["role"], parts_from_text(row["parts"])),
        state=row["state"],
        details=_UNKNOWN if details == "{}" else AnswerDetails.from_json(json.loads(details)),
        created_at=row["created_at"],
        sibling_ids=sibling_ids,
        context_summary=row["context_summary"],
    )
