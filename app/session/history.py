"""From stored messages to the prompt: the same bytes every time, so the engine can reuse them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.core.messages import AttachmentPart, Message, Part, TextPart
from app.storage.values import StoredMessage

SUMMARY_INTRO = "Summary of our conversation so far:"


def branch_prompt(system_prompt: str, branch: Sequence[StoredMessage]) -> list[Message]:
    """The messages to send for a branch: from its last context start on, after the summary."""
    start, summary = context_start(branch)
    messages = [stored.message for stored in branch[start:]]
    if summary:
        messages.insert(0, Message.of("user", f"{SUMMARY_INTRO}\n{summary}"))
    return prompt_messages(system_prompt, messages)


def context_start(branch: Sequence[StoredMessage]) -> tuple[int, str]:
    """Index of the first message the model still reads, and the summary before it."""
    for index in range(len(branch) - 1, -1, -1):
        summary = branch[index].context_summary
        if summary is not None:
            return index, summary
    return 0, ""


def prompt_messages(system_prompt: str, messages: Iterable[Message]) -> list[Message]:
    """The messages to send: attachments written out, empty answers left out.

    Pure and append-only: a longer history begins with exactly what a shorter one gave, so the
    engine finds its prefix again. Two user messages in a row (the answer between failed before
    its first word) become one, because many chat templates demand turns that alternate.
    """
    prompt: list[Message] = []
    if system_prompt.strip():
        prompt.append(Message.of("system", system_prompt))
    for message in messages:
        if message.role == "user":
            asked = Message.of("user", user_text(message.parts))
            if prompt and prompt[-1].role == "user":
                asked = Message.of("user", f"{prompt.pop().text}\n\n{asked.text}")
            prompt.append(asked)
        elif message.role != "assistant" or message.text.strip() or message.tool_calls:
            prompt.append(message)
    return prompt


def user_text(parts: Iterable[Part]) -> str:
    """What the model reads of a user's message: the files first, then the words."""
    blocks: list[str] = []
    words: list[str] = []
    for part in parts:
        if isinstance(part, AttachmentPart):
            blocks.append(file_block(part))
        elif isinstance(part, TextPart):
            words.append(part.text)
    return "\n\n".join([*blocks, "".join(words)]).strip("\n") if blocks else "".join(words)


def file_block(part: AttachmentPart) -> str:
    """A file as the model reads it, in a fence longer than any in its text."""
    fence = "```"
    while fence in part.text:
        fence += "`"
    name = " ".join(part.name.split())
    return f"File: {name}\n{fence}\n{part.text.rstrip()}\n{fence}"
