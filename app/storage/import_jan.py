"""Jan's threads: thread.json beside messages.jsonl, a straight line of messages."""

from __future__ import annotations

from typing import Any

from app.core.messages import Message, Role, TextPart
from app.storage.import_fields import dict_of, list_of, seconds_of, text_of
from app.storage.imported import ImportedChat, ImportedMessage
from app.storage.values import AnswerDetails


def looks_like_jan_message(data: Any) -> bool:
    """A line of messages.jsonl: OpenAI's thread message."""
    return (
        isinstance(data, dict)
        and data.get("role") in ("user", "assistant", "system")
        and isinstance(data.get("content"), list)
    )


def jan_chat(
    thread: dict[str, Any], lines: list[dict[str, Any]], folder: str
) -> ImportedChat | None:
    """One thread; None when nothing was said in it. `folder` names it where thread.json fails."""
    messages: list[ImportedMessage] = []
    parent: str | None = None
    dated = sorted(lines, key=lambda line: seconds_of(line, "created_at") or 0.0)
    for number, line in enumerate(dated):
        text = "\n\n".join(piece for piece in map(_text, list_of(line, "content")) if piece)
        if not text:
            continue
        role: Role = line["role"]
        key = str(number)
        messages.append(
            ImportedMessage(
                key,
                parent,
                Message(role, (TextPart(text),)),
                created_at=seconds_of(line, "created_at"),
                details=AnswerDetails(model=text_of(dict_of(line, "metadata"), "modelId")),
            )
        )
        parent = key
    if not messages:
        return None
    assistant = next((a for a in list_of(thread, "assistants") if isinstance(a, dict)), {})
    return ImportedChat(
        uid=f"jan-{text_of(thread, 'id') or folder}",
        title=" ".join(text_of(thread, "title", "summary").split()),
        messages=messages,
        active=parent,
        system_prompt=text_of(assistant, "instructions"),
        created_at=seconds_of(thread, "created"),
        updated_at=seconds_of(thread, "updated"),
    )


def _text(item: Any) -> str:
    text = dict_of(item, "text")
    return text_of(text, "value") if text else text_of(item, "text")
