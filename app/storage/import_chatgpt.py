"""ChatGPT's conversations.json: a tree of nodes per conversation."""

from __future__ import annotations

from typing import Any

from app.core.messages import Message, Part, Role, TextPart, ThinkingPart
from app.storage.import_fields import dict_of, list_of, seconds_of, text_of
from app.storage.imported import ImportedChat, ImportedMessage
from app.storage.values import AnswerDetails

_NOT_SHOWN = "[something that is not text]"


def looks_like_chatgpt(data: Any) -> bool:
    """A conversation has a `mapping` of nodes."""
    return isinstance(data, dict) and isinstance(data.get("mapping"), dict)


def chatgpt_chat(data: dict[str, Any]) -> ImportedChat | None:
    """One conversation with all its branches; None when nothing was said in it.

    Nodes without a shown message (the root, hidden system messages, tool traffic) are skipped:
    their children hang on the nearest shown message above.
    """
    nodes = {k: v for k, v in data["mapping"].items() if isinstance(v, dict)}
    messages: list[ImportedMessage] = []
    shown: dict[str, str | None] = {}  # node → its own key, or that of the shown one above
    for key in _parents_first(nodes):
        node = nodes[key]
        parent = node.get("parent")
        above = shown.get(parent) if isinstance(parent, str) else None
        message = _message(key, above, dict_of(node, "message"))
        if message is not None:
            messages.append(message)
        shown[key] = key if message is not None else above
    if not messages:
        return None
    current = data.get("current_node")
    identity = text_of(data, "conversation_id", "id")
    return ImportedChat(
        uid=f"chatgpt-{identity}" if identity else "",
        title=" ".join(text_of(data, "title").split()),
        messages=messages,
        active=shown.get(current) if isinstance(current, str) else None,
        archived=data.get("is_archived") is True,
        created_at=seconds_of(data, "create_time"),
        updated_at=seconds_of(data, "update_time"),
    )


def _parents_first(nodes: dict[str, dict[str, Any]]) -> list[str]:
    """Every node once, parents before children, also where links run in circles."""
    children: dict[str | None, list[str]] = {}
    for key, node in nodes.items():
        parent = node.get("parent")
        known = parent if isinstance(parent, str) and parent in nodes else None
        children.setdefault(known, []).append(key)
    order: list[str] = []
    waiting = list(reversed(children.get(None, [])))
    while waiting:
        key = waiting.pop()
        order.append(key)
        waiting.extend(reversed(children.get(key, [])))
    placed = set(order)
    return order + [key for key in nodes if key not in placed]


def _message(key: str, parent: str | None, data: dict[str, Any]) -> ImportedMessage | None:
    role = dict_of(data, "author").get("role")
    metadata = dict_of(data, "metadata")
    if role not in ("user", "assistant") or metadata.get("is_visually_hidden_from_conversation"):
        return None
    parts = _parts(dict_of(data, "content"))
    if not parts:
        return None
    speaker: Role = "user" if role == "user" else "assistant"
    return ImportedMessage(
        key=key,
        parent=parent,
        message=Message(speaker, parts),
        created_at=seconds_of(data, "create_time"),
        details=AnswerDetails(model=text_of(metadata, "model_slug")),
    )


def _parts(content: dict[str, Any]) -> tuple[Part, ...]:
    kind = content.get("content_type")
    if kind in ("text", "multimodal_text"):
        pieces = [
            piece if isinstance(piece, str) else text_of(piece, "text") or _NOT_SHOWN
            for piece in list_of(content, "parts")
        ]
        text = "\n\n".join(piece for piece in pieces if piece)
        return (TextPart(text),) if text.strip() else ()
    if kind == "thoughts":
        thoughts = [text_of(thought, "content") for thought in list_of(content, "thoughts")]
        text = "\n\n".join(thought for thought in thoughts if thought)
        return (ThinkingPart(text),) if text else ()
    if kind in ("code", "execution_output"):
        text = text_of(content, "text")
        return (TextPart(f"```\n{text}\n```"),) if text else ()
    return ()
