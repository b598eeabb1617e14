"""A chat's title from its first words: at once, without asking a model."""

from __future__ import annotations

import re
import unicodedata

UNTITLED = "New chat"
MAX_TITLE = 60

_FENCE = re.compile(r"^\s*(```|~~~)")
_MARKUP = re.compile(r"^[#>\-*+\s]+|[*_`]+")
_SPACE = re.compile(r"\s+")


def title_from(text: str) -> str:
    """The first line with words in it, without Markdown, cut at a word within `MAX_TITLE`."""
    for line in text.splitlines():
        if _FENCE.match(line):
            continue
        plain = _SPACE.sub(" ", _MARKUP.sub("", _printable(line))).strip()
        if any(character.isalnum() for character in plain):
            return _shorten(plain)
    return UNTITLED


def _printable(text: str) -> str:
    """Without control and format characters: a title must not turn the sidebar around."""
    return "".join(
        " " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c
        for c in text
        if unicodedata.category(c) not in ("Cf", "Cs")
    )


def _shorten(text: str) -> str:
    if len(text) <= MAX_TITLE:
        return text
    cut = text[: MAX_TITLE - 1]
    space = cut.rfind(" ")
    return (cut[:space] if space > MAX_TITLE // 2 else cut).rstrip(" ,;:.") + "…"
