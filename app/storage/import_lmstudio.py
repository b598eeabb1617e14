"""LM Studio's conversation files: a line of messages, each with versions."""

from __future__ import annotations

from typing import Any

from app.core.messages import Message, Part, Role, TextPart, ThinkingPart
from app.storage.import_fields import dict_of, list_of, number_of, seconds_of, text_of
from app.storage.imported import ImportedChat, ImportedMessage
from app.storage.values import AnswerDetails


def looks_like_lmstudio(data: Any) -> bool:
    """A conversation has `messages` with `versions`."""
    messages = list_of(data, "messages")
    return bool(messages) and all(
        isinstance(message, dict) and isinstance(message.get("versions"), list)
        for message in messages
    )


def lmstudio_chat(data: dict[str, Any], stem: str) -> ImportedChat | None:
    """One conversation. The versions of a message become siblings; what follows hangs on the one
    that was selected. `stem` is the file's name: LM Studio keeps no other id."""
    messages: list[ImportedMessage] = []
    parent: str | None = None
    for number, item in enumerate(list_of(data, "messages")):
        versions = list_of(item, "versions")
        selected = item.get("currentlySelected")
        chosen: str | None = None
        for index, version in enumerate(versions):
            message = _version(f"{number}.{index}", parent, version)
            if message is None:
                continue
            messages.append(message)
            if index == selected or chosen is None:
                chosen = message.key
        parent = chosen or parent
    if not messages:
        return None
    created = seconds_of(data, "createdAt")
    return ImportedChat(
        uid=f"lmstudio-{stem}-{int(created or 0)}",
        title=" ".join(text_of(data, "name").split()),
        messages=messages,
        active=parent,
        system_prompt=text_of(data, "systemPrompt") or _configured_prompt(data),
        pinned=data.get("pinned") is True,
        created_at=created,
        updated_at=seconds_of(data, "assistantLastMessagedAt", "userLastMessagedAt"),
    )


def _configured_prompt(data: dict[str, Any]) -> str:
    for entry in list_of(dict_of(data, "perChatPredictionConfig"), "fields"):
        if isinstance(entry, dict) and entry.get("key") == "llm.prediction.systemPrompt":
            return text_of(entry, "value")
    return ""


def _version(key: str, parent: str | None, data: Any) -> ImportedMessage | None:
    role = data.get("role") if isinstance(data, dict) else None
    if role not in ("user", "assistant", "system"):
        return None
    parts: list[Part] = []
    details = AnswerDetails()
    steps = list_of(data, "steps")
    for step in steps if steps else [data]:
        text = _text(step)
        if text:
            is_thinking = dict_of(step, "style").get("type") == "thinking"
            parts.append(ThinkingPart(text) if is_thinking else TextPart(text))
        info = dict_of(step, "genInfo")
        if info:
            details = _details(info)
    if not parts:
        return None
    speaker: Role = role
    return ImportedMessage(key, parent, Message(speaker, tuple(parts)), details=details)


def _text(data: Any) -> str:
    if isinstance(data, dict) and isinstance(data.get("content"), str):
        return text_of(data, "content")
    pieces = [
        text_of(item, "text")
        for item in list_of(data, "content")
        if isinstance(item, dict) and item.get("type") == "text"
    ]
    return "\n".join(piece for piece in pieces if piece)


def _details(info: dict[str, Any]) -> AnswerDetails:
    stats = dict_of(info, "stats")

    def number(key: str) -> float | None:
        return number_of(stats, key)

    def count(key: str) -> int | None:
        value = number(key)
        return int(value) if value is not None and abs(value) < 1e12 else None

    return AnswerDetails(
        model=text_of(info, "identifier", "indexedModelIdentifier"),
        prompt_tokens=count("promptTokensCount"),
        completion_tokens=count("predictedTokensCount"),
        ttft_s=number("timeToFirstTokenSec"),
        write_tokens_per_s=number("tokensPerSecond"),
    )
