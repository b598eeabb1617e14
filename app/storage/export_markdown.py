"""A chat as Markdown, the way it reads on the screen."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from app.core.messages import AttachmentPart, Part, TextPart, ThinkingPart, ToolCallPart
from app.storage.values import Chat, StoredMessage

_SPEAKERS = {"user": "You", "assistant": "Answer", "system": "System", "tool": "Tool"}


def markdown_of_chat(chat: Chat, messages: Sequence[StoredMessage]) -> str:
    """Title, date, instructions, then each message under its speaker."""
    title = " ".join(chat.title.split()) or "Chat"
    blocks = [f"# {title}", f"*{day(chat.created_at)}*"]
    if chat.system_prompt.strip():
        quoted = "\n".join(f"> {line}".rstrip() for line in chat.system_prompt.splitlines())
        blocks.append(f"**Instructions**\n\n{quoted}")
    for message in messages:
        if message.context_summary is not None:
            blocks.append(_cut(message.context_summary))
        blocks.append(f"## {speaker(message)}")
        blocks += [block for part in message.parts if (block := _part(part))]
        if note := state_note(message):
            blocks.append(f"*{note}*")
    return "\n\n".join(blocks) + "\n"


def day(seconds: float) -> str:
    """The date in UTC."""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (OverflowError, ValueError, OSError):
        return "no date"


def speaker(message: StoredMessage) -> str:
    """Who says it; an answer with its model."""
    name = _SPEAKERS[message.role]
    model = " ".join(message.details.model.split())
    return f"{name} ({model})" if message.role == "assistant" and model else name


def state_note(message: StoredMessage) -> str:
    """What to say under an answer that did not end by itself."""
    if message.state == "stopped":
        return "Interrupted." if message.details.interrupted else "Stopped here."
    if message.state == "failed":
        sentence = (message.details.error or {}).get("sentence") or "An error ended this answer."
        return str(sentence)
    return ""


def _part(part: Part) -> str:
    match part:
        case TextPart(text):
            return text.strip("\n")
        case ThinkingPart(text):
            inner = text.strip("\n")
            return f"<details><summary>Thinking</summary>\n\n{inner}\n\n</details>"
        case AttachmentPart(name=name, text=text):
            return f"**{_line(name)}**\n\n{_fenced(text)}"
        case ToolCallPart(name=name, arguments=arguments):
            return f"**{_line(name)}**\n\n{_fenced(arguments, 'json')}"
        case _:
            return _fenced(part.text)


def _cut(summary: str) -> str:
    told = f" Summary:\n\n{summary}" if summary else ""
    return f"---\n\n*The model read on from here.*{told}\n\n---"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("*", "\\*")


def _fenced(text: str, language: str = "") -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"
