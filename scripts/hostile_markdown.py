"""Markdown nobody writes by hand: it is deep, long, unbalanced or plainly made to hurt.

Used by `scripts/bench_hostile_markdown.py`, which takes the time, and by the tests, which look at
what is shown. Every text stands for a family; the numbers are far above what any model writes.
"""

from __future__ import annotations

from pygments.lexers import get_all_lexers

MEGABYTE = 1_000_000

NESTED = {
    "deep quotes": ">" * 5_000 + " x",
    "quotes 50 deep, 500 paragraphs": ("> " * 50 + "a\n\n") * 500,
    "quote lines": "> a\n" * 40_000,
    "quoted fences": "> ```\n" * 10_000,
    "deep lists": "\n".join("  " * n + "- x" for n in range(300)),
    "deep ordered lists": "\n".join("   " * n + "1. x" for n in range(200)),
    "lists 20 deep, 400 items": ("\n".join("  " * n + "- x" for n in range(20)) + "\n") * 400,
    "deep brackets": "[" * 20_000 + "]" * 20_000,
    "nested links": "[a](b " * 10_000,
    "open links": "[a](" * 12_000,
    "open images": "![" * 30_000,
    "nested emphasis": "*a **b " * 8_000,
    "mixed emphasis": "*a_ " * 20_000,
    "emphasis run": "*" * 50_000,
    "tildes": "~~a " * 20_000,
    "backticks": "".join("`" * n + " " for n in range(1, 400)),
    "footnotes in footnotes": "^[" * 5_000,
}
LONG = {
    "one line of a megabyte": "word " * 200_000,
    "one word of a megabyte": "x" * MEGABYTE,
    "a megabyte of spaces": " " * MEGABYTE,
    "a megabyte of newlines": "\n" * MEGABYTE,
    "a megabyte of short lines": "a\n" * (MEGABYTE // 2),
    "a megabyte of short paragraphs": "a\n\n" * (MEGABYTE // 3),
    "a megabyte of markers": "*" * MEGABYTE,
    "40,000 CRLF lines": "a\r\n" * 40_000,
    "carriage returns": "a\r" * 40_000,
    "line separators": "a\u2028" * 40_000,
    "tabs": "\t" * 100_000,
    "paragraphs": "p\n\n" * 40_000,
    "headings": "# h\n" * 20_000,
    "underlined headings": "a\n=\n" * 20_000,
    "20,000 rules": "---\n\n" * 20_000,
    "hard breaks": "a  \n" * 40_000,
    "backslash breaks": "a\\\n" * 40_000,
    "bold lines": ("**" + "a" * 50 + "**\n") * 5_000,
    "indented code": "    x\n" * 40_000,
    "flat list": "- a\n" * 40_000,
    "loose list": "- a\n\n" * 20_000,
    "ordered list": "1. a\n" * 40_000,
    "counted list": "".join(f"{n}. item {n}\n" for n in range(1, 20_001)),
    "tasks": "- [ ] a\n" * 20_000,
    "empty items": "-\n" * 40_000,
    "footnotes": "".join(f"[^{n}] " for n in range(3_000))
    + "\n\n"
    + "".join(f"[^{n}]: x\n\n" for n in range(3_000)),
    "link definitions": "".join(f"[l{n}]: http://x/{n}\n" for n in range(4_000)) + "[l1] " * 200,
}
TABLES = {
    "wide table": "|" + "a|" * 800 + "\n|" + "-|" * 800 + "\n" + ("|" + "b|" * 800 + "\n") * 20,
    "long table": "|a|b|\n|-|-|\n" + "|1|2|\n" * 20_000,
    "table of 200 by 200": "|"
    + "a|" * 200
    + "\n|"
    + "-|" * 200
    + "\n"
    + ("|" + "b|" * 200 + "\n") * 200,
    "table of 50 columns": "|"
    + "a|" * 50
    + "\n|"
    + "-|" * 50
    + "\n"
    + ("|" + "b|" * 50 + "\n") * 400,
    "huge table cell": "|a|\n|-|\n|" + "x" * 200_000 + "|\n",
    "escaped pipes": "|a|\n|-|\n|" + "\\|" * 50_000 + "|\n",
    "marked cells": "|a|b|\n|-|-|\n" + "|**b** `c` [d](http://e)|*f*|\n" * 3_000,
    "line of pipes": "|" * 50_000,
    "many small tables": "|a|b|\n|-|-|\n|1|2|\n\n" * 3_000,
}
CODE = {
    "unbalanced fences": "```\n" * 4_001 + "~~~\n" * 300,
    "100,000 fences": "```\n" * 100_000,
    "fences of unknown languages": "".join(f"```{n}\nx\n```\n" for n in range(5_000)),
    "code of a long line": "```js\n" + "a=1;" * 50_000 + "\n```",
    "code of many lines": "```py\n" + "x = 1\n" * 30_000 + "```",
    "code of tabs": "```\n" + "\t" * 50_000 + "\n```",
    "open fence of quotes": "```python\n" + 'x = "' * 20_000,
    "inline code": "`a` " * 20_000,
}
MARKS = {
    "html blocks": "<div>\n" * 40_000,
    "html tags": "<div><p>" * 20_000,
    "html in one line": "<b>" * 100_000,
    "open comments": "<!-- " * 30_000,
    "cdata": "<![CDATA[" * 10_000,
    "angle brackets": "<a " * 30_000,
    "less than": "<" * 100_000,
    "entities": "&amp;" * 60_000,
    "ampersands": "&" * 100_000,
    "backslashes": "\\" * 100_000,
    "colons": "a:" * 50_000,
    "addresses": "a@b.cc " * 20_000,
    "web addresses": "http://example.org/x " * 20_000,
    "links": "[a](http://x/y) " * 20_000,
    "references": "[a][b] " * 20_000 + "\n\n[b]: http://x",
    "images": "![a](x) " * 20_000,
    "data image": "![x](data:image/png;base64," + "A" * 500_000 + ")",
    "file addresses": "[a](file:///etc/passwd) ![b](file:///etc/passwd)\n\n" * 3_000,
    "dollars": "$a" * 30_000,
    "formulas": "$x_1$ " * 20_000,
    "different formulas": "".join(
        f"$x_{{{n}}}$ and $\\frac{{{n}}}{{2}}$\n\n" for n in range(3_000)
    ),
    "endless formula": "$$" + "\\frac{1}{" * 5_000 + "$$",
    "bracket formulas": "\\[" * 20_000,
}
LETTERS = {
    "ansi": "\x1b[31mred\x1b[0m\x1b]8;;http://evil\x07" * 3_000,
    "nul and controls": "\x00\x01\x02\x7f\x9b" * 10_000,
    "bidi": "\u202eevil\u202c \u2066x\u2069 " * 5_000,
    "one letter, 20,000 marks": "a" + "\u0301" * 20_000,
    "stacked combining marks": ("a" + "\u0301" * 200 + " ") * 500,
    "stacked marks in paragraphs": ("a" + "\u0301\u0489\u20dd" * 40 + " ") * 20_000,
    "stacked marks in code": "```\n" + ("a" + "\u0301" * 200 + "\n") * 500 + "```",
    "emoji": "👩‍👩‍👧‍👦" * 20_000,
    "joiners": "a\u200d" * 50_000,
    "right to left": "שלום " * 40_000,
    "arabic": "السلام عليكم " * 20_000,
    "chinese": "本地模型" * 40_000,
    "conjuncts": "क्ष्म्य" * 10_000,
    "private use": "\ue000\U000f0000" * 20_000,
}


def texts() -> dict[str, str]:
    """Every text by its name."""
    return {**NESTED, **LONG, **TABLES, **CODE, **MARKS, **LETTERS, **_every_language()}


def _every_language() -> dict[str, str]:
    """One short fence in each language that can be coloured."""
    found = get_all_lexers(plugins=False)
    names = sorted(aliases[0] for _name, aliases, _files, _kinds in found if aliases)
    fences = (f"```{name}\nx = 'a' # b\n```\n\n" for name in names)
    return {"fences of every language": "".join(fences)}
