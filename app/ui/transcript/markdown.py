"""How Markdown is read: CommonMark and the GitHub extensions, with nothing that loads anything.

Model output is hostile input (security.md §8). Raw HTML stays text, an image becomes the text of
its alt and address, and only http, https and mailto links are links. Two parsers share the rules:
`block_parser` finds blocks only, which is four times faster and all that cutting needs;
`inline_parser` also reads what stands inside one block.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.dollarmath import dollarmath_plugin
from mdit_py_plugins.footnote import footnote_plugin
from mdit_py_plugins.gfm_autolink import gfm_autolink_plugin

from app.ui.transcript.bracket_math import bracket_math_plugin

MAX_INLINE_CHARS = 8_000
"""A paragraph longer than this is shown as plain text: nested delimiters cost more than linear."""
_MAX_MARKERS = 400
_MOST_MARKERS = 600
_MOST_ADDRESSES = 60  # at each of their signs the link finder looks back
_MAX_NESTING = 24
_MOST_LINES = 600
_MOST_TOKENS = 1_500  # five make a list item
_MAX_DEFINITION_CHARS = 4_000
_LINK_SCHEMES = frozenset({"http", "https", "mailto"})
_DEEP_QUOTE = re.compile(r"^(?: {0,3}>){12}", re.MULTILINE)
_MARKERS = re.compile(r"[\[\]*_~`!<&$\\:@]")


def is_allowed_link(url: str) -> bool:
    """Whether a click may open `url` in the system browser."""
    if any(ord(char) < 0x21 or ord(char) == 0x7F for char in url):
        return False
    try:
        return urlsplit(url).scheme.lower() in _LINK_SCHEMES
    except ValueError:
        return False


def _new_parser() -> MarkdownIt:
    parser = MarkdownIt(
        "js-default", {"html": False, "maxNesting": _MAX_NESTING, "tasklists": True}
    )
    parser.disable(["html_block", "html_inline"])  # the option above makes them find nothing
    parser.use(footnote_plugin, inline=False, move_to_end=False, always_match_refs=True)
    parser.use(
        dollarmath_plugin,
        allow_labels=False,
        allow_space=False,
        allow_digits=False,
        allow_blank_lines=False,
        double_inline=True,
    )
    parser.use(bracket_math_plugin)
    parser.use(gfm_autolink_plugin)
    parser.validateLink = is_allowed_link  # type: ignore[method-assign]
    return parser


@lru_cache(maxsize=1)
def block_parser() -> MarkdownIt:
    """Finds the blocks and the link definitions, and leaves their text unread."""
    parser = _new_parser()
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


@lru_cache(maxsize=1)
def inline_parser() -> MarkdownIt:
    """Reads one block completely."""
    return _new_parser()


def parse_source(source: str, definitions: str = "") -> list[Token]:
    """The tokens of one block; `definitions` are the message's link definitions.

    Text that would cost too much to read or to write (very long, nothing but markers, hundreds of
    blocks inside one another) comes back as one plain paragraph.
    """
    if is_too_dense(source):
        return _plain(source)
    env: dict[str, Any] = {}
    if definitions and "[" in source:
        env["references"] = dict(_references(definitions))
    tokens = inline_parser().parse(source, env)
    is_cut = any(token.level >= _MAX_NESTING - 1 for token in tokens)  # the parser left text out
    return _plain(source) if is_cut or len(tokens) > _MOST_TOKENS else tokens


@lru_cache(maxsize=8)
def _references(definitions: str) -> dict[str, Any]:
    env: dict[str, Any] = {}
    block_parser().parse(definitions[:_MAX_DEFINITION_CHARS], env)
    found: dict[str, Any] = env.get("references", {})
    return found


def is_too_dense(source: str) -> bool:
    """Whether reading the inline marks of `source` could hold up the window."""
    if len(source) > MAX_INLINE_CHARS * 2 or source.count("\n") > _MOST_LINES:
        return True
    if _DEEP_QUOTE.search(source):
        return True
    for paragraph in source.split("\n\n"):
        if len(paragraph) > MAX_INLINE_CHARS:
            return True
        if paragraph.count("@") + paragraph.count("://") > _MOST_ADDRESSES:
            return True
        if paragraph.count(":") > 3 * _MOST_ADDRESSES:
            return True
        if len(paragraph) > _MAX_MARKERS * 2:
            count = len(_MARKERS.findall(paragraph))
            if count > max(_MAX_MARKERS, len(paragraph) // 4):
                return True
            if count > _MOST_MARKERS and "|" not in paragraph:  # a table may have many
                return True
    return False


def _plain(source: str) -> list[Token]:
    text = Token("text", "", 0, content=source)
    inline = Token("inline", "", 0, content=source, children=[text])
    return [Token("paragraph_open", "p", 1), inline, Token("paragraph_close", "p", -1)]
