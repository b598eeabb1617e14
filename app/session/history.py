"""From stored messages to the prompt: the same bytes every time, so the engine can reuse them."""

from __future__ import annotations

from collections.abc import Iterable

from app.core.messages import AttachmentPart, Message, Part, TextPart


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
            message = Message("user", (TextPart(user_text(message.parts)),))
            if prompt and prompt[-1].role == "user":
                joined = f"{prompt[-1].text}\n\n{message.text}"
                prompt[-1] = Message.of("user", joined)
                continue
        elif message.role == "assistant" and not (message.text.strip() or message.tool_calls):
            continue
        prompt.append(message)
    return prompt


def user_text(parts: Iterable[Part]) -> str:
    """What the model reads of a user's message: the files first, then the words."""
    blocks: list[str] = []
    words: list[str] = []
    for part in parts:
        if isinstance(part, AttachmentPart):
            blocks.append(_file_block(part))
        elif isinstance(part, TextPart):
            words.append(part.text)
    return "\n\n".join([*blocks, "".join(words)]).strip("\n") if blocks else "".join(words)


def _file_block(part: AttachmentPart) -> str:
    """A fence longer than any in the text, so the file cannot end it."""
    fence = "```"
    while fence in part.text:
        fence += "`"
    name = " ".join(part.name.split())
    return f"File: {name}\n{fence}\n{part.text.rstrip()}\n{fence}"
