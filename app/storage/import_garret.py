"""Our own export (`app.storage.export` documents the format)."""

from __future__ import annotations

from typing import Any, get_args

from app.core.errors import StorageError
from app.core.messages import Message, Part, Role, ThinkingPart, part_from_json
from app.storage.import_fields import dict_of, list_of, number_of, seconds_of, text_of
from app.storage.imported import ImportedChat, ImportedMessage
from app.storage.values import AnswerDetails

_FORMAT, _VERSION = "garret-chats", 1
_STATES = ("complete", "stopped", "failed")


def looks_like_garret(data: Any) -> bool:
    """Raises: StorageError when a newer Garret wrote it."""
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        return False
    version = data.get("version")
    if not isinstance(version, int) or version > _VERSION:
        raise StorageError(
            "This export was written by a newer version of Garret.", "Update Garret to read it."
        )
    return isinstance(data.get("chats"), list)


def garret_chat(data: Any) -> ImportedChat | None:
    """One element of `chats`; None when it is not one."""
    if not isinstance(data, dict):
        return None
    messages: list[ImportedMessage] = []
    known: set[str] = set()
    for item in list_of(data, "messages"):
        message = _message(item, known)
        if message is not None:
            messages.append(message)
            known.add(message.key)
    given = dict_of(data, "sampling")
    sampling = {key: given[key] for key in given if number_of(given, key) is not None}
    return ImportedChat(
        uid=text_of(data, "uid"),
        title=text_of(data, "title"),
        messages=messages,
        active=str(data.get("active_leaf")),
        model=text_of(data, "model"),
        system_prompt=text_of(data, "system_prompt"),
        sampling=sampling,
        pinned=data.get("pinned") is True,
        archived=data.get("archived") is True,
        tags=[tag for tag in list_of(data, "tags") if isinstance(tag, str) and tag.strip()],
        created_at=seconds_of(data, "created_at"),
        updated_at=seconds_of(data, "updated_at"),
    )


def _message(data: Any, known: set[str]) -> ImportedMessage | None:
    if not isinstance(data, dict) or data.get("role") not in get_args(Role):
        return None
    role: Role = data["role"]
    key, parent = str(data.get("id")), str(data.get("parent"))
    if key in known:
        return None
    parts = [found for part in list_of(data, "parts") if (found := _part(part)) is not None]
    state = data.get("state")
    summary = data.get("context_summary")
    return ImportedMessage(
        key=key,
        parent=parent if parent in known else None,
        message=Message(role, tuple(parts)),
        created_at=seconds_of(data, "created_at"),
        state=state if state in _STATES else "complete",
        details=_details(dict_of(data, "details")),
        context_summary=summary if isinstance(summary, str) else None,
    )


def _part(data: Any) -> Part | None:
    try:
        part = part_from_json(data) if isinstance(data, dict) else None
    except ValueError:
        return None
    texts = ("text", "name", "call_id", "arguments", "media_type")
    if any(not isinstance(getattr(part, name, ""), str) for name in texts):
        return None
    if isinstance(part, ThinkingPart):
        return ThinkingPart(part.text, number_of(data, "duration_s"))
    return part


def _details(data: dict[str, Any]) -> AnswerDetails:
    """Only values of the kind each field holds."""
    numbers = (int, float)
    kinds: dict[str, tuple[type, ...]] = {
        "model": (str,),
        "finish_reason": (str,),
        "error": (dict,),
        "interrupted": (bool,),
    }
    return AnswerDetails.from_json(
        {key: value for key, value in data.items() if isinstance(value, kinds.get(key, numbers))}
    )
