r"""LaTeX between \( \) and \[ \], as most models write it; dollars are the plugin's.

Own rules because `texmath_plugin` gives its blocks no source lines, which cutting needs.
"""

from __future__ import annotations

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

_MAX_LINES = 200


def bracket_math_plugin(md: MarkdownIt) -> None:
    """Adds `math_inline` and `math_block` tokens for bracketed LaTeX."""
    md.inline.ruler.before("escape", "math_bracket", _inline)
    md.block.ruler.before(
        "fence", "math_bracket_block", _block, {"alt": ["paragraph", "blockquote", "list"]}
    )


def _inline(state: StateInline, silent: bool) -> bool:
    opening = state.src[state.pos : state.pos + 2]
    closing = {"\\(": "\\)", "\\[": "\\]"}.get(opening)
    if closing is None:
        return False
    end = state.src.find(closing, state.pos + 2, state.posMax)
    content = state.src[state.pos + 2 : end].strip() if end >= 0 else ""
    if not content:
        return False
    if not silent:
        token = state.push("math_inline" if opening == "\\(" else "math_inline_double", "math", 0)
        token.content = content
        token.markup = opening
    state.pos = end + 2
    return True


def _block(state: StateBlock, start_line: int, end_line: int, silent: bool) -> bool:
    start = state.bMarks[start_line] + state.tShift[start_line]
    if state.sCount[start_line] - state.blkIndent >= 4:
        return False
    if not state.src.startswith("\\[", start):
        return False
    limit = min(end_line, start_line + _MAX_LINES)
    for line in range(start_line, limit):
        if line > start_line and state.isEmpty(line):
            return False
        text = state.src[state.bMarks[line] : state.eMarks[line]].rstrip()
        if not text.endswith("\\]"):
            continue
        content = state.src[start + 2 : state.bMarks[line] + len(text) - 2]
        if not content.strip():
            return False
        if silent:
            return True
        state.line = line + 1
        token = state.push("math_block", "math", 0)
        token.block = True
        token.content = content
        token.map = [start_line, state.line]
        token.markup = "\\["
        return True
    return False
