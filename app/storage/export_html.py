"""Chats as one HTML file that needs nothing else and loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from html import escape
from urllib.parse import urlsplit

from markdown_it import MarkdownIt

from app.core.messages import AttachmentPart, Part, TextPart, ThinkingPart, ToolCallPart
from app.storage.export_markdown import day, speaker, state_note
from app.storage.values import Chat, StoredMessage

_LINK_SCHEMES = ("http", "https", "mailto")
_MAX_RENDERED_CHARS = 200_000  # longer texts are shown as they are: rendering must not hang

_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.55 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
  overflow-wrap: anywhere; }
article { margin-bottom: 4rem; }
section { margin: 1.25rem 0; padding-left: .9rem; border-left: 3px solid #8886; }
section.user { border-color: #3a7; }
h2 { font-size: .85rem; margin: 0 0 .3rem; opacity: .7; }
pre { overflow-x: auto; padding: .7rem; border-radius: .4rem; background: #8882;
  overflow-wrap: normal; }
code { font: .88em ui-monospace, monospace; }
table { border-collapse: collapse; } td, th { border: 1px solid #8886; padding: .2rem .5rem; }
.note { opacity: .7; font-style: italic; }
"""


def html_start() -> str:
    """Everything before the first chat; the policy forbids every load and every script."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy"'
        " content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>Chats</title><style>{_STYLE}</style></head><body>\n"
    )


def html_end() -> str:
    """Everything after the last chat."""
    return "</body></html>\n"


def html_of_chat(chat: Chat, messages: Sequence[StoredMessage]) -> str:
    """One chat as an article."""
    pieces = [f'<article><h1 dir="auto">{escape(chat.title or "Chat")}</h1>']
    pieces.append(f'<p class="note">{day(chat.created_at)}</p>')
    if chat.system_prompt.strip():
        pieces.append(f'<p class="note" dir="auto">{escape(chat.system_prompt)}</p>')
    for message in messages:
        if message.context_summary is not None:
            pieces.append('<hr><p class="note">The model read on from here.</p>')
            pieces.append(_markdown(message.context_summary))
        pieces.append(f'<section class="{message.role}" dir="auto">')
        pieces.append(f"<h2>{escape(speaker(message))}</h2>")
        pieces += [_part(part) for part in message.parts]
        if note := state_note(message):
            pieces.append(f'<p class="note">{escape(note)}</p>')
        pieces.append("</section>")
    return "\n".join([*pieces, "</article>\n"])


def _part(part: Part) -> str:
    match part:
        case TextPart(text):
            return _markdown(text)
        case ThinkingPart(text):
            return f"<details><summary>Thinking</summary>{_markdown(text)}</details>"
        case AttachmentPart(name=name, text=text):
            return _folded(name, text)
        case ToolCallPart(name=name, arguments=arguments):
            return _folded(name, arguments)
        case _:
            return _folded(part.name, part.text)


def _folded(name: str, text: str) -> str:
    inner = f"<pre><code>{escape(text)}</code></pre>"
    return f"<details><summary>{escape(name)}</summary>{inner}</details>"


def _markdown(text: str) -> str:
    if len(text) > _MAX_RENDERED_CHARS:
        return f"<pre>{escape(text)}</pre>"
    return str(_renderer().render(text))


@cache
def _renderer() -> MarkdownIt:
    """CommonMark with tables; no HTML from the text, no images, only web and mail links."""
    renderer = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    renderer.disable("image")
    renderer.validateLink = _is_safe_link  # type: ignore[method-assign]
    return renderer


def _is_safe_link(url: str) -> bool:
    try:
        return urlsplit(url.strip()).scheme.lower() in _LINK_SCHEMES
    except ValueError:
        return False
